//! What is to be done to other peers than the one that is served.
//!
//! Owns the orders that wait, their bound, and how many are carried out in a turn. Knows no connection: a port carries
//! out what concerns its peers. A service is given one peer at a time, because the loop is in the middle of that peer's
//! input; so what it wants done to others is noted, and done at the end of the turn.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;

use crate::malloc;
use crate::reactor::peer_id::PeerId;
use crate::reactor::source::{Source, Turn};

/// How many bytes are sent by order in a turn, so that the other peers are served in between.
const BUDGET: usize = 512 * 1024;
/// What an order takes from the budget at least for each peer, however few bytes it sends: 128 sends in a turn.
const LEAST_CHARGE: usize = 4096;

/// Orders: what is to be done to other peers, of any port of the loop.
///
/// They are carried out in the order in which they were given, at the end of each turn and within a budget; so an order
/// for thousands of peers takes several turns, in which the others are served. What a service says to the peer that it
/// is serving ([`Peer::send`](crate::reactor::Peer::send)) is written at once, ahead of orders that wait.
///
/// An order for a peer that has departed does nothing: its id is never used again. A peer for which more waits than its
/// outbox may hold is let go, as with `Peer::send`.
#[derive(Debug, Default)]
pub struct Orders {
    waiting: VecDeque<Waiting>,
    /// How much memory they take, in bytes.
    taken: usize,
}

/// What is to be done to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order<'a> {
    /// Send it these bytes.
    Send(&'a [u8]),
    /// End the connection in an orderly way: see [`Peer::close`](crate::reactor::Peer::close).
    Close,
    /// End it now: see [`Peer::let_go`](crate::reactor::Peer::let_go).
    LetGo,
}

/// An order that waits. It owns its bytes, which are there once, however many peers they are for.
#[derive(Debug)]
struct Waiting {
    what: What,
    to: Recipients,
}

#[derive(Debug)]
enum What {
    Send(Vec<u8>),
    Close,
    LetGo,
}

#[derive(Debug)]
enum Recipients {
    One(PeerId),
    /// The last one is next: they are in reverse order.
    Many(Vec<PeerId>),
    None,
}

/// An order was not taken: too many wait already, or there is no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// How many bytes the orders that wait would take, this one included.
    pub wanted: usize,
}

impl Orders {
    /// How many bytes the orders that wait may take: what they send, and the ids of those it is for.
    pub const LIMIT: usize = 16 << 20;

    /// Sends these bytes to one peer.
    ///
    /// # Errors
    /// Too many orders wait: nothing will be sent.
    pub fn send(&mut self, to: PeerId, bytes: &[u8]) -> Result<(), NoRoom> {
        self.give(Recipients::One(to), 0, Order::Send(bytes))
    }

    /// Sends the same bytes to many peers, in this order. They are copied once.
    ///
    /// # Errors
    /// Too many orders wait: nothing will be sent to any of them.
    pub fn send_to_all(&mut self, to: impl IntoIterator<Item = PeerId>, bytes: &[u8]) -> Result<(), NoRoom> {
        let mut ids = Vec::new();
        for id in to {
            if ids.len() == ids.capacity() && malloc::reserve(&mut ids, 1).is_err() {
                return Err(NoRoom { wanted: self.taken + size_of_val(&ids[..]) });
            }
            ids.push(id);
        }
        if ids.is_empty() {
            return Ok(());
        }
        ids.reverse();
        let listed = ids.capacity() * size_of::<PeerId>();
        self.give(Recipients::Many(ids), listed, Order::Send(bytes))
    }

    /// Ends a connection in an orderly way: see [`Peer::close`](crate::reactor::Peer::close).
    ///
    /// # Errors
    /// Too many orders wait: the peer stays.
    pub fn close(&mut self, peer: PeerId) -> Result<(), NoRoom> {
        self.give(Recipients::One(peer), 0, Order::Close)
    }

    /// Ends a connection now: see [`Peer::let_go`](crate::reactor::Peer::let_go).
    ///
    /// # Errors
    /// Too many orders wait: the peer stays.
    pub fn let_go(&mut self, peer: PeerId) -> Result<(), NoRoom> {
        self.give(Recipients::One(peer), 0, Order::LetGo)
    }

    /// So many wait that the ports of the loop serve nobody until some are carried out: half of [`Orders::LIMIT`]. A
    /// source that gives orders should wait, too.
    pub fn are_many(&self) -> bool {
        self.taken > Self::LIMIT / 2
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn give(&mut self, to: Recipients, listed: usize, order: Order<'_>) -> Result<(), NoRoom> {
        let sent = if let Order::Send(bytes) = order { bytes.len() } else { 0 };
        let wanted = self.taken + size_of::<Waiting>() + sent + listed;
        let no_room = NoRoom { wanted };
        if wanted > Self::LIMIT {
            return Err(no_room);
        }
        self.waiting.try_reserve(1).map_err(|_| no_room)?;
        let what = match order {
            Order::Send(bytes) => {
                let mut copy = Vec::new();
                copy.try_reserve_exact(bytes.len()).map_err(|_| no_room)?;
                copy.extend_from_slice(bytes);
                What::Send(copy)
            }
            Order::Close => What::Close,
            Order::LetGo => What::LetGo,
        };
        self.waiting.push_back(Waiting { what, to });
        self.taken = wanted;
        Ok(())
    }

    /// Takes out the first order.
    fn first(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        self.taken -= first.takes();
        Some(first)
    }

    /// Puts the order that was taken out last back in front of all others: its place is still there.
    fn put_back(&mut self, first: Waiting) {
        self.taken += first.takes();
        self.waiting.push_front(first);
    }
}

impl Waiting {
    fn takes(&self) -> usize {
        let sent = if let What::Send(bytes) = &self.what { bytes.len() } else { 0 };
        let listed = if let Recipients::Many(ids) = &self.to { ids.capacity() } else { 0 };
        size_of::<Self>() + sent + listed * size_of::<PeerId>()
    }

    fn order(&self) -> Order<'_> {
        match &self.what {
            What::Send(bytes) => Order::Send(bytes),
            What::Close => Order::Close,
            What::LetGo => Order::LetGo,
        }
    }
}

impl Recipients {
    fn next(&mut self) -> Option<PeerId> {
        match self {
            Self::Many(ids) => ids.pop(),
            Self::One(id) => {
                let id = *id;
                *self = Self::None;
                Some(id)
            }
            Self::None => None,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Many(ids) => ids.is_empty(),
            Self::One(_) => false,
            Self::None => true,
        }
    }
}

/// Carries out the orders that wait, within the budget of a turn.
pub(super) fn carry_out(sources: &mut [Box<dyn Source>], turn: &mut Turn<'_>) {
    let mut budget = BUDGET;
    while budget > 0 {
        let Some(mut first) = turn.orders.first() else { break };
        while budget > 0 {
            let Some(id) = first.to.next() else { break };
            let order = first.order();
            // An id of another loop is nobody's here.
            if let Some(source) = sources.get_mut(id.port()) {
                source.carry_out(id, order, turn);
            }
            let sent = if let Order::Send(bytes) = order { bytes.len() } else { 0 };
            budget = budget.saturating_sub(sent.max(LEAST_CHARGE));
        }
        if !first.to.is_empty() {
            turn.orders.put_back(first);
        }
    }
    if turn.orders.is_empty() {
        turn.orders.waiting = VecDeque::new(); // an idle loop keeps nothing
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wanted, limit) = (self.wanted, Orders::LIMIT);
        write!(
            f,
            "the order was not taken: with it, {wanted} bytes of orders would wait; {limit} is the most, and there must be memory"
        )
    }
}

impl Error for NoRoom {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::peer_id::Stamp;

    #[test]
    fn what_waits_is_bounded_and_counted() {
        let mut orders = Orders::default();
        let peers: Vec<_> = (0..1000).map(|slot| PeerId::new(Stamp::NONE, slot)).collect();
        orders.send_to_all([], b"to nobody").unwrap();
        assert!(orders.is_empty());
        let mut given = 0;
        let refused = loop {
            match orders.send_to_all(peers.iter().copied(), &[0; 1000]) {
                Ok(()) => given += 1,
                Err(refused) => break refused,
            }
        };
        assert!((1000..1300).contains(&given) && refused.wanted > Orders::LIMIT && orders.are_many(), "{given}");
        assert!(refused.to_string().contains("16777216 is the most"));
        let mut first = orders.first().unwrap();
        assert_eq!([first.to.next(), first.to.next()], [Some(peers[0]), Some(peers[1])]);
        orders.put_back(first);
        assert_eq!(orders.first().unwrap().to.next(), Some(peers[2]), "it goes on where it was");
        orders.close(peers[0]).unwrap();
        while orders.first().is_some() {}
        assert_eq!((orders.taken, orders.is_empty()), (0, true));
    }
}

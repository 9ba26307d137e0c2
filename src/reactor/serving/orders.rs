//! What is to be done to other peers than the one that is served.
//!
//! Owns the orders that wait, and their bound. Knows neither connections nor sources: `carry_out.rs` hands each order to the
//! port of its peer. A service is given one peer at a time, because the loop is in the middle of that peer's
//! input; so what it wants done to others is noted, and done at the end of the turn.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;

use crate::malloc;
use crate::reactor::departing::departure::{Departure, Reason};
use crate::reactor::observing::audience::Audience;
use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::connect::ToConnect;
use crate::reactor::serving::order::{OrderKind, Recipients, WaitingOrder};
use crate::reactor::time::moment::{Clock, Moment};

/// Orders: what is to be done to other peers, of any port of the loop.
///
/// They are carried out in the order in which they were given, at the end of each turn and within a budget; so an order
/// for thousands of peers takes several turns, in which the others are served. What a service says to the peer that it
/// is serving ([`Peer::send`](crate::reactor::Peer::send)) is written at once, ahead of orders that wait.
///
/// An order for a peer that has departed does nothing: its id is never used again. A peer for which more waits than its
/// outbox may hold is let go, as with `Peer::send`.
#[derive(Debug)]
pub struct Orders {
    pub(in crate::reactor) waiting: VecDeque<WaitingOrder>,
    /// How much memory they take, in bytes.
    taken: usize,
    /// When this turn woke.
    pub(in crate::reactor) now: Moment,
    pub(in crate::reactor) clock: Clock,
    /// The source that gives orders now.
    pub(in crate::reactor) giver: usize,
    /// The order that is carried out now is for one peer only.
    pub(in crate::reactor) is_for_one: bool,
    /// Who observes the loop.
    pub(in crate::reactor) audience: Audience,
    #[cfg(feature = "upgrade")]
    asks_for_an_upgrade: bool,
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

    pub(in crate::reactor) fn new(clock: Clock) -> Self {
        Self {
            waiting: VecDeque::new(),
            taken: 0,
            now: Moment::default(),
            clock,
            giver: 0,
            is_for_one: false,
            audience: Audience::default(),
            #[cfg(feature = "upgrade")]
            asks_for_an_upgrade: false,
        }
    }

    /// Sends these bytes to one peer.
    ///
    /// # Errors
    /// Too many orders wait: nothing will be sent.
    pub fn send(&mut self, to: PeerId, bytes: &[u8]) -> Result<(), NoRoom> {
        self.give_bytes(Recipients::One(to), bytes)
    }

    /// Sends the same bytes to many peers, in this order. They are copied once.
    ///
    /// # Errors
    /// Too many orders wait: nothing will be sent to any of them.
    pub fn send_to_all(&mut self, to: impl IntoIterator<Item = PeerId>, bytes: &[u8]) -> Result<(), NoRoom> {
        let to = self.list(to)?;
        self.give_bytes(to, bytes)
    }

    /// Ends a connection in an orderly way: see [`Peer::close`](crate::reactor::Peer::close).
    ///
    /// # Errors
    /// Too many orders wait: the peer stays.
    pub fn close(&mut self, peer: PeerId) -> Result<(), NoRoom> {
        self.give(Recipients::One(peer), OrderKind::Close(Departure::ShutDown))
    }

    /// The same, for a reason that the service names.
    ///
    /// # Errors
    /// Too many orders wait: the peer stays.
    pub fn close_for(&mut self, peer: PeerId, reason: Reason) -> Result<(), NoRoom> {
        self.give(Recipients::One(peer), OrderKind::Close(Departure::ByService(reason)))
    }

    /// Ends a connection now: see [`Peer::let_go`](crate::reactor::Peer::let_go).
    ///
    /// # Errors
    /// Too many orders wait: the peer stays.
    pub fn let_go(&mut self, peer: PeerId) -> Result<(), NoRoom> {
        self.give(Recipients::One(peer), OrderKind::LetGo(Departure::Unresponsive))
    }

    /// The same, for a reason that the service names.
    ///
    /// # Errors
    /// Too many orders wait: the peer stays.
    pub fn let_go_for(&mut self, peer: PeerId, reason: Reason) -> Result<(), NoRoom> {
        self.give(Recipients::One(peer), OrderKind::LetGo(Departure::ByService(reason)))
    }

    /// Has the peer's service called for it ([`Service::called_for`](crate::reactor::Service::called_for)), at the end of this
    /// turn: so a service that has learned something for a peer, in a call that is not for that peer, comes to its state and to
    /// what it may still send it ([`Peer::room`](crate::reactor::Peer::room)).
    ///
    /// # Errors
    /// Too many orders wait: it is not called.
    pub fn call_for(&mut self, peer: PeerId) -> Result<(), NoRoom> {
        self.give(Recipients::One(peer), OrderKind::Call)
    }

    /// Asks what is known of these peers: for each, [`Service::looked`](crate::reactor::Service::looked) of the service that
    /// gives this order is called (of a source: [`Source::looked`](crate::reactor::Source::looked)). The kernel is asked when it is the peer's turn, which
    /// takes a getsockopt(2) for each, so a look at thousands takes several turns, too. `asker` comes back with each
    /// answer: it is the peer for whom it is asked, if it is for one.
    ///
    /// # Errors
    /// Too many orders wait: nothing will be asked.
    pub fn look_at(&mut self, peers: impl IntoIterator<Item = PeerId>, asker: Option<PeerId>) -> Result<(), NoRoom> {
        let giver = self.giver;
        let to = self.list(peers)?;
        self.give(to, OrderKind::Look { giver, asker })
    }

    /// Connects to somebody: see `arriving/dialer.rs`.
    pub(in crate::reactor) fn give_to_connect(&mut self, to: ToConnect) -> Result<(), NoRoom> {
        self.give(Recipients::None, OrderKind::Connect(self.giver, Box::new(to)))
    }

    /// Has another program go on with the loop, if this one does that when it is asked: `Reactor::run` returns
    /// [`Ending::Asked`](crate::reactor::Ending::Asked), as with SIGUSR2.
    #[cfg(feature = "upgrade")]
    pub fn upgrade(&mut self) {
        self.asks_for_an_upgrade = true;
    }

    /// Whether somebody has said so, once.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn take_ask(&mut self) -> bool {
        std::mem::take(&mut self.asks_for_an_upgrade)
    }

    /// Questions are forgotten: those who ask come again.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn drop_inquiries(&mut self) {
        let taken = &mut self.taken;
        self.waiting.retain(|order| {
            let is_left = !matches!(order.what, OrderKind::Inquire(_) | OrderKind::Look { .. });
            if !is_left {
                *taken -= order.takes();
            }
            is_left
        });
    }

    /// When this turn woke: for calls that have no peer ([`Peer::now`](crate::reactor::Peer::now)).
    pub fn now(&self) -> Moment {
        self.now
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

    fn list(&self, peers: impl IntoIterator<Item = PeerId>) -> Result<Recipients, NoRoom> {
        let mut ids = Vec::new();
        for id in peers {
            if ids.len() == ids.capacity() && malloc::reserve(&mut ids, 1).is_err() {
                return Err(NoRoom { wanted: self.taken + size_of_val(&ids[..]) });
            }
            ids.push(id);
        }
        ids.reverse();
        Ok(Recipients::Many(ids))
    }

    fn give_bytes(&mut self, to: Recipients, bytes: &[u8]) -> Result<(), NoRoom> {
        let no_room = NoRoom { wanted: self.taken + bytes.len() };
        let mut copy = Vec::new();
        if no_room.wanted > Self::LIMIT || malloc::reserve(&mut copy, bytes.len()).is_err() {
            return Err(no_room);
        }
        copy.extend_from_slice(bytes);
        self.give(to, OrderKind::Send(copy))
    }

    pub(in crate::reactor) fn give(&mut self, to: Recipients, what: OrderKind) -> Result<(), NoRoom> {
        if matches!(&to, Recipients::Many(ids) if ids.is_empty()) {
            return Ok(());
        }
        let order = WaitingOrder { what, to };
        let wanted = self.taken + order.takes();
        if wanted > Self::LIMIT || self.waiting.try_reserve(1).is_err() {
            return Err(NoRoom { wanted });
        }
        self.waiting.push_back(order);
        self.taken = wanted;
        Ok(())
    }

    /// Takes out the first order.
    pub(in crate::reactor) fn first(&mut self) -> Option<WaitingOrder> {
        let first = self.waiting.pop_front()?;
        self.taken -= first.takes();
        Some(first)
    }

    /// Puts the order that was taken out last back in front of all others: its place is still there.
    pub(in crate::reactor) fn put_back(&mut self, first: WaitingOrder) {
        self.taken += first.takes();
        self.waiting.push_front(first);
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
        let mut orders = Orders::new(Clock::start());
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

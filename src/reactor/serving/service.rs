//! What is done with the bytes: the trait that a server implements, and what a connection is served with.
//!
//! Owns the calls that a service may get. Knows no socket and no table.

use std::collections::TryReserveError;
use std::io;
use std::net::SocketAddr;

use crate::reactor::departing::departure::Reason;
use crate::reactor::observing::figures::Figures;
use crate::reactor::observing::news::News;
use crate::reactor::observing::turn_times::TurnTimes;
use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::farewell::Farewell;
use crate::reactor::serving::link::{Link, Terms};
use crate::reactor::serving::order::Look;
use crate::reactor::serving::orders::Orders;
use crate::reactor::serving::peer::Peer;
use crate::reactor::serving::saved::{CannotRestore, CannotSave, Saved};
use crate::reactor::time::moment::Moment;

/// A service: what the peers of a port talk to.
///
/// One service serves all the peers of its port, on one thread, so it needs no locks. It must not
/// block: while it runs, nobody else is served. Only `arrived` and `received` must be written; the other calls do nothing
/// by default.
///
/// The loop survives when memory runs out: it lets peers go. A service that allocates (`format!`, `Vec::push`, a
/// [`LineBuffer`](crate::service::LineBuffer)) does not: Rust aborts the program when such an allocation fails.
pub trait Service {
    /// What the service remembers about each peer. `()` takes no memory.
    type State;

    /// A peer has connected to us. It may be greeted; nothing was read from it yet.
    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> Self::State;

    /// We have connected to a peer ([`Connect`](crate::reactor::Connect)). `label` is the one that was given for it.
    fn connected(&mut self, peer: &mut Peer<'_, ()>, _label: u64) -> Self::State {
        self.arrived(peer)
    }

    /// An attempt to connect has failed. It is repeated if there is a [`Backoff`](crate::reactor::Backoff).
    fn unreachable(&mut self, _attempt: &Attempt<'_>, _orders: &mut Orders) {}

    /// Bytes came, in order, in pieces of any size: TCP is a stream.
    ///
    /// Nothing more is received while output waits to be written (backpressure).
    fn received(&mut self, peer: &mut Peer<'_, Self::State>, bytes: &[u8]);

    /// The peer will send no more (FIN). What is sent now still reaches it; then it departs, unless the service asks for time
    /// ([`Peer::stay`]).
    fn half_closed(&mut self, _peer: &mut Peer<'_, Self::State>) {}

    /// The moment has come that was set with [`Peer::wake_at`] or [`Peer::wake_after`]. Never early; late by a
    /// millisecond or so, and by as much as the loop is behind. All input that came by [`Peer::now`] was received before, so
    /// that silence can be judged.
    fn woken(&mut self, _peer: &mut Peer<'_, Self::State>) {}

    /// Somebody has ordered that the service be called for this peer ([`Orders::call_for`]). Not for a peer that is being closed, nor
    /// for one that has closed its half, unless it was to stay.
    fn called_for(&mut self, _peer: &mut Peer<'_, Self::State>) {}

    /// The answer to [`Orders::look_at`], for each of the peers that were asked about.
    fn looked(&mut self, _look: &Look, _orders: &mut Orders) {}

    /// What has happened to the peers of the loop in this turn, in order. Only while the service observes
    /// ([`Orders::observe`]).
    fn observed(&mut self, _news: &[News], _orders: &mut Orders) {}

    /// Where the turn has spent its time that ends now. Only while the service times turns ([`Orders::time_turns`]).
    fn turned(&mut self, _times: &TurnTimes, _orders: &mut Orders) {}

    /// The answer to [`Orders::count`].
    fn counted(&mut self, _figures: &Figures, _asker: Option<PeerId>, _orders: &mut Orders) {}

    /// The connection has ended; the service gets its state back. Called once for each peer that arrived.
    fn departed(&mut self, _state: Self::State, _farewell: &Farewell<'_>, _orders: &mut Orders) {}

    /// When the service itself wants to be called ([`Service::expired`]); `None`: never. Asked after each turn in which its
    /// port took part, so it must be cheap.
    fn deadline(&self) -> Option<Moment> {
        None
    }

    /// The moment that [`Service::deadline`] returned has come. Until that returns another one, it is called in each turn.
    fn expired(&mut self, _now: Moment, _orders: &mut Orders) {}

    /// Somebody has called from outside of the loop ([`Handle::wake`](crate::reactor::Handle::wake), or a message came
    /// into a [`Mailbox`](crate::reactor::Mailbox)). True: there is more to do, so it is called again in the next turn, when
    /// the peers have been served in between.
    fn called(&mut self, _orders: &mut Orders) -> bool {
        false
    }

    /// What a reason of its own means ([`Peer::close_for`]), in a few words, for the log.
    fn reason(&self, _reason: Reason) -> &'static str {
        "a reason of the service's own"
    }

    /// Writes down what it remembers of a peer, so that a program that takes over can go on with it
    /// ([`Reactor::release`](crate::reactor::Reactor::release)).
    ///
    /// # Errors
    /// By default: it cannot.
    fn save(&self, _state: &Self::State) -> Result<Saved, CannotSave> {
        Err(CannotSave::NotSupported)
    }

    /// Writes down what it remembers beside its peers, when a whole loop is written down
    /// ([`Reactor::write_down`](crate::reactor::Reactor::write_down), feature `upgrade`). Ids of peers stay valid. By default, that is nothing.
    ///
    /// # Errors
    /// It cannot: then the loop is not written down.
    fn save_service(&self) -> Result<Saved, CannotSave> {
        Ok(Saved::default())
    }

    /// Goes on with that, before any of its peers is restored.
    ///
    /// # Errors
    /// It cannot.
    fn restore_service(&mut self, _saved: &Saved) -> Result<(), CannotRestore> {
        Ok(())
    }

    /// A peer that another program, or another loop, has served until now
    /// ([`Reactor::adopt`](crate::reactor::Reactor::adopt)).
    ///
    /// # Errors
    /// By default: it cannot.
    fn restore(&mut self, _peer: &mut Peer<'_, ()>, _saved: &Saved) -> Result<Self::State, CannotRestore> {
        Err(CannotRestore::NotSupported)
    }
}

/// An attempt to connect that has failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// Where to.
    pub address: SocketAddr,
    /// The label that was given for it.
    pub label: u64,
    /// Why: ECONNREFUSED, ETIMEDOUT and the like (connect(2)).
    pub error: &'a io::Error,
    /// How many attempts in a row have failed, this one included.
    pub failures: u32,
    /// When the next one is made, if there is one.
    pub next: Option<Moment>,
}

/// A service as its port sees it: with no state of its own for a peer, because it keeps the states by slot.
pub(in crate::reactor) trait Hosted: Service<State = ()> {
    /// Allocates the memory that an arrival in this slot needs.
    ///
    /// # Errors
    /// There is no memory for it.
    fn reserve(&mut self, slot: u32) -> Result<(), TryReserveError>;

    /// The peer in this slot has gone.
    fn depart(&mut self, slot: u32, farewell: &Farewell<'_>, orders: &mut Orders);

    /// Writes down what is remembered of the peer in this slot.
    ///
    /// # Errors
    /// The service cannot.
    fn save_slot(&mut self, slot: u32) -> Result<Saved, CannotSave>;

    /// The peer in this slot is served elsewhere from now on.
    fn forget_slot(&mut self, slot: u32);
}

/// What a connection is driven with: the service, and what it may use. One value for the whole way down.
pub(in crate::reactor) struct Serving<'a, V: ?Sized> {
    pub service: &'a mut V,
    pub orders: &'a mut Orders,
    /// The buffer that is read into.
    pub scratch: &'a mut [u8],
    pub terms: Terms,
}

impl<V: Service<State = ()> + ?Sized> Serving<'_, V> {
    /// Calls the service for the peer at the other end of this line.
    pub(crate) fn call<R>(&mut self, line: &mut dyn Link, act: impl FnOnce(&mut V, &mut Peer<'_, ()>) -> R) -> R {
        act(self.service, &mut Peer { state: &mut (), line, orders: self.orders, terms: &mut self.terms })
    }

    /// Hands the service the first `count` bytes of the buffer.
    pub(crate) fn receive(&mut self, line: &mut dyn Link, count: usize) {
        let mut peer = Peer { state: &mut (), line, orders: self.orders, terms: &mut self.terms };
        self.service.received(&mut peer, &self.scratch[..count]);
    }
}

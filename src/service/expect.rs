//! A service whose peers must send something regularly: one that sends nothing for too long is let go.
//!
//! Owns that deadline. It never writes anything, so it works with every protocol; MQTT brokers do the
//! same. And it never asks, so it cannot tell a peer that is gone from one that has nothing to say: the
//! peers must know how often they have to send.

use std::time::Duration;

use crate::keepalive::Unfit;
use crate::reactor::{Farewell, Moment, Orders, Peer, Service, waiting_time};

/// Wraps any service.
#[derive(Clone, Copy, Debug)]
pub struct Expect<S> {
    inner: S,
    within: Duration,
}

/// What is remembered of a peer.
#[derive(Clone, Copy, Debug)]
pub struct Heard<T> {
    at: Moment,
    inner: T,
}

impl<S: Service> Expect<S> {
    /// Lets a peer go that sends nothing for the time `within`.
    ///
    /// # Errors
    /// A time of less than 10 ms, or of more than 40 days.
    pub fn new(inner: S, within: Duration) -> Result<Self, Unfit> {
        Ok(Self { inner, within: waiting_time("expect", within)? })
    }
}

impl<S: Service> Service for Expect<S> {
    type State = Heard<S::State>;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> Self::State {
        Heard { at: peer.now(), inner: self.inner.arrived(peer) }
    }

    fn received(&mut self, peer: &mut Peer<'_, Self::State>, bytes: &[u8]) {
        peer.state.at = peer.now();
        self.inner.received(&mut peer.part(|state| &mut state.inner), bytes);
    }

    fn ended(&mut self, peer: &mut Peer<'_, Self::State>) {
        self.inner.ended(&mut peer.part(|state| &mut state.inner));
    }

    fn quiet(&mut self, peer: &mut Peer<'_, Self::State>) -> Option<Moment> {
        let due = peer.state.at + self.within;
        let own = if due > peer.now() {
            due
        } else if let Some(ago) = peer.took_output().filter(|ago| *ago < self.within) {
            // While output waits the peer is not read; that it takes the output shows that it is there.
            peer.now() + (self.within - ago)
        } else {
            peer.let_go();
            return None;
        };
        let inner = self.inner.quiet(&mut peer.part(|state| &mut state.inner));
        Some(inner.map_or(own, |inner| inner.min(own)))
    }

    fn departed(&mut self, state: Self::State, farewell: &Farewell, orders: &mut Orders) {
        self.inner.departed(state.inner, farewell, orders);
    }
}

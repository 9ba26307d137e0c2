//! A service whose peers must send something regularly: one that sends nothing for too long is let go.
//!
//! Owns that deadline. It never writes anything, so it works with every protocol; MQTT brokers do the
//! same. And it never asks, so it cannot tell a peer that is gone from one that has nothing to say: the
//! peers must know how often they have to send.

use std::time::Duration;

use crate::keepalive::Unfit;
use crate::reactor::{Alarm, CannotRestore, CannotSave, Farewell, Moment, Orders, Peer, Saved, Service, waiting_time};

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
    /// When the wrapped service wants its peer woken.
    inner_due: Moment,
    inner: T,
}

/// Under which keys its moments are written down.
const HEARD: u16 = 1;
const INNER_DUE: u16 = 2;

impl<S: Service> Expect<S> {
    /// Lets a peer go that sends nothing for the time `within`.
    ///
    /// # Errors
    /// A time of less than 10 ms, or of more than 40 days.
    pub fn new(inner: S, within: Duration) -> Result<Self, Unfit> {
        Ok(Self { inner, within: waiting_time("expect", within)? })
    }

    /// A peer that is there now.
    fn begin(&self, peer: &mut Peer<'_, ()>, inner: S::State) -> Heard<S::State> {
        let at = peer.now();
        let inner_due = if let Alarm::At(due) = peer.take_alarm() { due } else { Moment::NEVER };
        peer.wake_at(inner_due.min(at + self.within));
        Heard { at, inner_due, inner }
    }

    /// Lets the wrapped service act, and notes what it says about the alarm. `own` is our deadline if it was set in this call.
    fn act(
        &mut self,
        peer: &mut Peer<'_, Heard<S::State>>,
        own: Option<Moment>,
        act: impl FnOnce(&mut S, &mut Peer<'_, S::State>),
    ) {
        act(&mut self.inner, &mut peer.part(|state| &mut state.inner));
        match peer.take_alarm() {
            Alarm::At(due) => peer.state.inner_due = due,
            Alarm::Never => peer.state.inner_due = Moment::NEVER,
            Alarm::AsBefore if own.is_none() => return,
            Alarm::AsBefore => {}
        }
        // Input moves our deadline, but not the alarm: what comes too early is set again.
        peer.wake_at(peer.state.inner_due.min(own.unwrap_or(peer.state.at + self.within)));
    }
}

impl<S: Service> Service for Expect<S> {
    type State = Heard<S::State>;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> Self::State {
        let inner = self.inner.arrived(peer);
        self.begin(peer, inner)
    }

    fn connected(&mut self, peer: &mut Peer<'_, ()>, label: u64) -> Self::State {
        let inner = self.inner.connected(peer, label);
        self.begin(peer, inner)
    }

    fn received(&mut self, peer: &mut Peer<'_, Self::State>, bytes: &[u8]) {
        peer.state.at = peer.now();
        self.act(peer, None, |inner, peer| inner.received(peer, bytes));
    }

    fn half_closed(&mut self, peer: &mut Peer<'_, Self::State>) {
        self.act(peer, None, S::half_closed);
    }

    fn called_for(&mut self, peer: &mut Peer<'_, Self::State>) {
        self.act(peer, None, S::called_for);
    }

    fn woken(&mut self, peer: &mut Peer<'_, Self::State>) {
        let now = peer.now();
        let mut due = peer.state.at + self.within;
        if due <= now {
            // While output waits the peer is not read; that it takes the output shows that it is there.
            let Some(ago) = peer.took_output().filter(|ago| *ago < self.within) else { return peer.let_go() };
            due = now + (self.within - ago);
        }
        let is_inner_due = peer.state.inner_due <= now;
        if is_inner_due {
            peer.state.inner_due = Moment::NEVER;
        }
        self.act(peer, Some(due), |inner, peer| {
            if is_inner_due {
                inner.woken(peer);
            }
        });
    }

    fn save(&self, state: &Self::State) -> Result<Saved, CannotSave> {
        Ok(self.inner.save(&state.inner)?.with_moment(HEARD, state.at).with_moment(INNER_DUE, state.inner_due))
    }

    /// A peer of which it is not known when it was heard last, because nothing was expected of it, is heard now.
    fn restore(&mut self, peer: &mut Peer<'_, ()>, saved: &Saved) -> Result<Self::State, CannotRestore> {
        let Some(at) = saved.moment(HEARD) else {
            let inner = self.inner.restore(peer, saved)?;
            return Ok(self.begin(peer, inner));
        };
        // The alarm was ours. The wrapped service has its own before it, as it would without us.
        match saved.moment(INNER_DUE).unwrap_or(Moment::NEVER) {
            Moment::NEVER => drop(peer.take_alarm()),
            due => peer.wake_at(due),
        }
        let inner = self.inner.restore(peer, saved)?;
        let inner_due = if let Alarm::At(due) = peer.take_alarm() { due } else { Moment::NEVER };
        peer.wake_at(inner_due.min(at + self.within));
        Ok(Heard { at, inner_due, inner })
    }

    fn departed(&mut self, state: Self::State, farewell: &Farewell<'_>, orders: &mut Orders) {
        self.inner.departed(state.inner, farewell, orders);
    }

    passed_on!();
}

//! Heartbeats: a service that asks a silent peer whether its program is still there.
//!
//! Owns when a peer is asked and when it is let go; the service that it wraps knows how to ask
//! ([`Ask`]). Whatever the peer sends counts as an answer.
//!
//! ```text
//!   heard                          asked                       let go: unresponsive
//!   │                                │                                           │
//!   ├──── ¾ of `after` ────┬── ¼ ────┼──────────────── `timeout` ────────────────┤
//!   │                      └ a moment that differs from peer to peer             │
//! ```
//!
//! After a mass reconnect all peers were heard in the same instant. So each is asked at a moment of
//! its own within the last quarter of `after`, and never later: a peer that is gone is let go at
//! `after + timeout` at the latest. Input only sets `heard`; the timer is set anew when it is due.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::keepalive::Unfit;
use crate::reactor::{Alarm, CannotRestore, CannotSave, Farewell, Moment, Orders, Peer, Saved, Service, waiting_time};
use crate::scatter::scatter;

/// A service whose peers can be asked for a sign of life, in the protocol that they speak.
///
/// The one alarm that a peer has belongs to the heartbeat: one that such a service sets itself does not count.
pub trait Ask: Service {
    /// Sends something that a living program answers.
    fn ask(&mut self, peer: &mut Peer<'_, Self::State>);
}

/// Wraps a service: asks a silent peer, and lets it go if nothing comes back.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat<S> {
    inner: S,
    after: Duration,
    timeout: Duration,
    seed: u64,
}

/// What is remembered of a peer: eight bytes more than the wrapped service remembers.
#[derive(Clone, Copy, Debug)]
pub struct Pulse<T> {
    /// When it was heard; [`ASKED`] if it was asked since.
    heard: Moment,
    inner: T,
}

/// Stands for "asked": no peer is heard at the very start of the clock.
const ASKED: Moment = Moment::after(Duration::ZERO);

/// Under which key it is written down when a peer was heard; [`Moment::NEVER`] if it was asked since.
const HEARD: u16 = 3;

impl<S: Ask> Heartbeat<S> {
    /// Asks after this much silence at the latest, and lets go when nothing comes back within
    /// `timeout`. The seed decides how the moments are spread.
    ///
    /// # Errors
    /// A time of less than 10 ms, or of more than 40 days.
    pub fn new(inner: S, after: Duration, timeout: Duration, seed: u64) -> Result<Self, Unfit> {
        let after = waiting_time("heartbeat", after)?;
        Ok(Self { inner, after, timeout: waiting_time("heartbeat-timeout", timeout)?, seed })
    }

    /// The silence after which this peer is asked, this time: from ¾ of `after` to all of it.
    fn patience(&self, peer: SocketAddr, heard: Moment) -> Duration {
        let ip = match peer.ip() {
            IpAddr::V4(ip) => u64::from(u32::from(ip)),
            IpAddr::V6(ip) => u128::from(ip) as u64,
        };
        let heard = heard.since(Moment::default()).as_nanos() as u64;
        let share = scatter(self.seed ^ scatter(heard ^ scatter(ip << 16 ^ u64::from(peer.port())))) as u32;
        self.after - (self.after / 4).mul_f64(f64::from(share) / f64::from(u32::MAX))
    }

    /// A peer that is there now. It is asked after its patience, whatever the wrapped service has said about an alarm.
    fn begin(&self, peer: &mut Peer<'_, ()>, inner: S::State) -> Pulse<S::State> {
        let heard = peer.now();
        peer.wake_at(heard + self.patience(peer.address(), heard));
        Pulse { heard, inner }
    }
}

impl<S: Ask> Service for Heartbeat<S> {
    type State = Pulse<S::State>;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> Self::State {
        let inner = self.inner.arrived(peer);
        self.begin(peer, inner)
    }

    fn connected(&mut self, peer: &mut Peer<'_, ()>, label: u64) -> Self::State {
        let inner = self.inner.connected(peer, label);
        self.begin(peer, inner)
    }

    fn received(&mut self, peer: &mut Peer<'_, Self::State>, bytes: &[u8]) {
        peer.state.heard = peer.now();
        self.inner.received(&mut peer.part(|state| &mut state.inner), bytes);
        peer.take_alarm();
    }

    fn half_closed(&mut self, peer: &mut Peer<'_, Self::State>) {
        self.inner.half_closed(&mut peer.part(|state| &mut state.inner));
    }

    fn called_for(&mut self, peer: &mut Peer<'_, Self::State>) {
        self.inner.called_for(&mut peer.part(|state| &mut state.inner));
        peer.take_alarm();
    }

    fn woken(&mut self, peer: &mut Peer<'_, Self::State>) {
        let now = peer.now();
        // While output waits the peer is not read; that it takes the output shows that it is there.
        let took = peer.took_output().filter(|ago| *ago < self.timeout);
        if peer.state.heard == ASKED {
            match took {
                Some(ago) => peer.wake_at(now + (self.timeout - ago)),
                None => peer.let_go(),
            }
            return;
        }
        let due = peer.state.heard + self.patience(peer.address(), peer.state.heard);
        if due > now {
            peer.wake_at(due);
        } else if took.is_some() {
            peer.wake_at(now + self.timeout);
        } else {
            self.inner.ask(&mut peer.part(|state| &mut state.inner));
            peer.state.heard = ASKED;
            peer.wake_after(self.timeout);
        }
    }

    fn save(&self, state: &Self::State) -> Result<Saved, CannotSave> {
        let heard = if state.heard == ASKED { Moment::NEVER } else { state.heard };
        Ok(self.inner.save(&state.inner)?.with_moment(HEARD, heard))
    }

    /// A peer of which it is not known when it was heard last, because it was never asked, is heard now; and so is one that was asked,
    /// if it is not known until when it may answer.
    fn restore(&mut self, peer: &mut Peer<'_, ()>, saved: &Saved) -> Result<Self::State, CannotRestore> {
        let inner = self.inner.restore(peer, saved)?;
        match (saved.moment(HEARD), peer.take_alarm()) {
            (Some(Moment::NEVER), Alarm::At(due)) => {
                peer.wake_at(due);
                Ok(Pulse { heard: ASKED, inner })
            }
            (Some(heard), _) if heard != Moment::NEVER => {
                peer.wake_at(heard + self.patience(peer.address(), heard));
                Ok(Pulse { heard, inner })
            }
            _ => Ok(self.begin(peer, inner)),
        }
    }

    fn departed(&mut self, state: Self::State, farewell: &Farewell<'_>, orders: &mut Orders) {
        self.inner.departed(state.inner, farewell, orders);
    }

    passed_on!();
}

#[cfg(test)]
mod tests;

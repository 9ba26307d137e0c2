//! Where to connect to, and how. Each value is checked where it is given.

use std::any::Any;
use std::net::SocketAddr;
use std::time::Duration;

use crate::keepalive::{Keepalive, Unfit, unfit};
use crate::reactor::limits::Limits;
use crate::reactor::time::agenda::waiting_time;

/// A connection that we make.
///
/// Without a [`Backoff`] there is one attempt, and one connection. With one, an attempt that fails is repeated, and a
/// connection that departs is made again, until the loop stops.
#[derive(Clone, Debug)]
pub struct Connect {
    pub(in crate::reactor) address: SocketAddr,
    pub(in crate::reactor) from: Option<SocketAddr>,
    pub(in crate::reactor) label: u64,
    pub(in crate::reactor) backoff: Option<Backoff>,
    pub(in crate::reactor) keepalive: Keepalive,
    pub(in crate::reactor) limits: Limits,
}

impl Connect {
    /// Connects to this address, once, with the default keepalive.
    pub fn to(address: SocketAddr) -> Self {
        let (keepalive, limits) = Default::default();
        Self { address, from: None, label: 0, backoff: None, keepalive, limits }
    }

    /// From this address of ours (bind(2)); with port 0 the kernel chooses one.
    pub fn from(self, address: SocketAddr) -> Self {
        Self { from: Some(address), ..self }
    }

    /// A number that [`Service::connected`](crate::reactor::Service::connected) gets, to tell one peer that we connected to
    /// from another. It is 0 by default.
    pub fn label(self, label: u64) -> Self {
        Self { label, ..self }
    }

    /// Try again after these pauses.
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff: Some(backoff), ..self }
    }

    /// The deadline of the peer; an attempt to connect takes no longer than that, either. At a port that has peers already
    /// ([`Orders::connect`](crate::reactor::Orders::connect)), theirs counts.
    pub fn keepalive(self, keepalive: Keepalive) -> Self {
        Self { keepalive, ..self }
    }

    /// The limits of the peer. At a port that has peers already, theirs count.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}

/// Somebody to connect to, and the code that does it: [`Orders::connect`](crate::reactor::Orders::connect) makes it, and a port
/// that connects to nobody has no dialer.
#[derive(Debug)]
pub struct ToConnect {
    /// To whom.
    pub connect: Connect,
    /// Makes the dialer of a port: see `arriving/dialer.rs`.
    pub(in crate::reactor) dialer: fn(Keepalive) -> Box<dyn Any>,
}

/// How long to wait before the next attempt to connect: each pause is twice the one before, up to the longest.
///
/// A connection that has lived for the longest pause begins anew with the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    jitter: bool,
}

impl Backoff {
    /// The first pause, and the longest. Jitter is on.
    ///
    /// # Errors
    /// Less than 10 ms, more than 40 days, or a first one that is longer than the longest.
    pub fn new(first: Duration, longest: Duration) -> Result<Self, Unfit> {
        waiting_time("backoff", first)?;
        waiting_time("backoff", longest)?;
        if first > longest {
            let because = format!("the longest pause, {longest:?}, is shorter than the first one");
            return Err(unfit("backoff", format!("{first:?}"), because));
        }
        Ok(Self { first, longest, jitter: true })
    }

    /// With jitter, a pause is anything from half of its length to all of it, so that thousands that lost one server do not
    /// come back to it in one instant.
    pub fn jitter(self, jitter: bool) -> Self {
        Self { jitter, ..self }
    }

    /// The longest pause.
    pub(crate) fn longest(&self) -> Duration {
        self.longest
    }

    /// The pause after this many failures in a row; `chance` is any number.
    pub(crate) fn pause(&self, failures: u32, chance: u64) -> Duration {
        let whole = self.first.saturating_mul(1 << failures.saturating_sub(1).min(31)).min(self.longest);
        if !self.jitter {
            return whole;
        }
        whole / 2 + (whole / 2).mul_f64(f64::from(chance as u32) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let [first, longest] = [Duration::from_millis(100), Duration::from_secs(3)];
        let backoff = Backoff::new(first, longest).unwrap();
        let pauses = [1, 2, 3, 5, 6, 40, u32::MAX].map(|failures| backoff.jitter(false).pause(failures, 7).as_millis());
        assert_eq!(pauses, [100, 200, 400, 1600, 3000, 3000, 3000]);
        for chance in [0, 1 << 31, u64::from(u32::MAX)] {
            let pause = backoff.pause(2, chance);
            assert!(pause >= first && pause <= first * 2, "{pause:?}");
        }
        assert!(backoff.pause(2, 0) < backoff.pause(2, 1 << 30), "the chance decides");
        for (first, longest) in [(0, 1000), (100, 99), (100, u64::MAX)] {
            let [first, longest] = [first, longest].map(Duration::from_millis);
            assert_eq!(Backoff::new(first, longest).unwrap_err().setting, "backoff");
        }
    }
}

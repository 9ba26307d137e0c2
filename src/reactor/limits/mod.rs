//! Limits that keep one peer from hurting the others.
//!
//! Owns which values may be set; `addresses.rs`, `capacity.rs` and `memory.rs` own what is counted against them. Knows no
//! connection.

use std::time::Duration;

use crate::keepalive::{Unfit, unfit};
use crate::reactor::time::agenda::waiting_time;

pub(in crate::reactor) mod addresses;
pub(in crate::reactor) mod capacity;
pub(in crate::reactor) mod memory;

/// The limits of a port, each of them checked where it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    max_output: usize,
    stalled: Option<Duration>,
    when_full: WhenFull,
}

impl Limits {
    /// How many bytes of output may wait for one peer by default.
    pub const MAX_OUTPUT: usize = 256 * 1024;

    /// How many bytes of output may wait for one peer; [`Limits::MAX_OUTPUT`] by default. No more than half of it is read
    /// at once, so that an answer that is no longer than the input always fits.
    ///
    /// # Errors
    /// Less than 4 KiB, which leaves too little to read at once, or more than 1 GiB.
    pub fn with_max_output(self, bytes: usize) -> Result<Self, Unfit> {
        if !(4 << 10..=1 << 30).contains(&bytes) {
            let because = "it must be 4K to 1024M: bytes, or with K or M behind them";
            return Err(unfit("max-output", bytes.to_string(), because.to_string()));
        }
        Ok(Self { max_output: bytes, ..self })
    }

    /// A living peer whose output has not moved for this long is let go; `None`, the default: never.
    ///
    /// # Errors
    /// Less than 10 ms, or more than 40 days.
    pub fn with_stalled(self, time: Option<Duration>) -> Result<Self, Unfit> {
        Ok(Self { stalled: time.map(|time| waiting_time("stalled", time)).transpose()?, ..self })
    }

    /// What to do with a newcomer when there is no room; by default it waits.
    pub fn with_when_full(self, when_full: WhenFull) -> Self {
        Self { when_full, ..self }
    }

    /// How many bytes of output may wait for one peer.
    pub fn max_output(&self) -> usize {
        self.max_output
    }

    /// How long the output of a living peer may wait without moving.
    pub fn stalled(&self) -> Option<Duration> {
        self.stalled
    }

    /// What happens to a newcomer when there is no room.
    pub fn when_full(&self) -> WhenFull {
        self.when_full
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_output: Self::MAX_OUTPUT, stalled: None, when_full: WhenFull::Wait }
    }
}

/// What to do with a newcomer when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It waits in the backlog until a peer departs.
    Wait,
    /// It is closed with a reset.
    Refuse,
    /// The peer that has moved no data for the longest time is let go; if none has been idle for a
    /// second, the newcomer is refused.
    EvictOldestIdle,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_cannot_be_is_refused_where_it_is_given() {
        let limits = Limits::default();
        for bytes in [0, 1, 4095, (1 << 30) + 1, usize::MAX] {
            let unfit = limits.with_max_output(bytes).unwrap_err();
            assert_eq!((unfit.setting, unfit.given), ("max-output", bytes.to_string()));
        }
        assert_eq!(limits.with_max_output(4096).unwrap().max_output(), 4096);
        for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            assert_eq!(limits.with_stalled(Some(time)).unwrap_err().setting, "stalled");
        }
        assert_eq!(limits.with_stalled(None).unwrap().stalled(), None);
    }
}

//! Time as the loop sees it.
//!
//! Owns the two kinds of time in a turn: a [`Moment`], which is a value that can be kept, compared and made up by a test,
//! and the [`Clock`], which is read.

use std::ops::Add;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A point in time: nanoseconds since the reactor was made. Half the size of an `Instant`, and a
/// test can make any it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// Later than any other.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `past` after the reactor was made. It overflows after 584 years.
    pub const fn after(past: Duration) -> Self {
        Self(past.as_nanos() as u64)
    }

    /// Rounded down to units of 2^`bits` nanoseconds.
    pub(in crate::reactor) const fn units(self, bits: u32) -> u64 {
        self.0 >> bits
    }

    /// Rounded up to units of 2^`bits` nanoseconds.
    pub(in crate::reactor) const fn in_units(self, bits: u32) -> u64 {
        self.0.div_ceil(1 << bits)
    }

    pub(in crate::reactor) const fn of_units(units: u64, bits: u32) -> Self {
        Self(units.saturating_mul(1 << bits))
    }

    /// `None` for [`Moment::NEVER`].
    pub(in crate::reactor) fn if_ever(self) -> Option<Self> {
        (self != Self::NEVER).then_some(self)
    }

    /// How long ago `earlier` was, in nanoseconds; zero if it is yet to come.
    pub(in crate::reactor) const fn nanoseconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// How long ago `earlier` was; zero if it is yet to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, ahead: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The loop's clock. It is read once or twice a turn, and the result is passed on ([`Turn::now`]); in the middle of a turn
/// it is read only where silence is measured, because by then `now` is a little in the past. An `Instant` would do, but its
/// arithmetic was a good part of a turn's instructions (`make instructions`).
///
/// [`Turn::now`]: crate::reactor::Turn::now
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The monotonic clock at the start, in nanoseconds.
    start: u64,
    /// The time of a script, which passes only when the script says so; [`Moment::NEVER`] in real life.
    stands_at: Moment,
}

impl Clock {
    /// The clock of a new loop: it is `Moment::default()` now.
    pub fn start() -> Self {
        Self { start: monotonic(), stands_at: Moment::NEVER }
    }

    /// A clock that stands still.
    pub(in crate::reactor) fn scripted(at: Moment) -> Self {
        Self { start: 0, stands_at: at }
    }

    /// The time that has passed since the loop was made.
    pub fn now(self) -> Moment {
        if self.stands_at != Moment::NEVER {
            return self.stands_at;
        }
        Moment(monotonic() - self.start)
    }

    /// The monotonic clock when this one was zero, in nanoseconds: the same for all programs until the machine starts anew.
    pub(in crate::reactor) fn epoch(self) -> u64 {
        self.start
    }

    /// The clock that was zero then; now at the latest, if that is still to come.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn since(epoch: u64) -> Self {
        Self { start: epoch.min(monotonic()), stands_at: Moment::NEVER }
    }

    /// This clock's time of a moment of the clock that was zero at `epoch`.
    pub(in crate::reactor) fn translate(self, moment: Moment, epoch: u64) -> Moment {
        if moment == Moment::NEVER {
            return moment;
        }
        Moment(moment.0.saturating_add(epoch).saturating_sub(self.start))
    }

    /// As if the process had been stopped for this long.
    #[cfg(test)]
    pub fn jump(&mut self, ahead: Duration) {
        self.start -= ahead.as_nanos() as u64;
    }
}

/// The clock that is never set, in nanoseconds (CLOCK_MONOTONIC).
#[inline(always)]
fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

//! Time as the loop sees it, and deadlines that the loop itself keeps.

use std::collections::{TryReserveError, VecDeque};
use std::ops::Add;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::reactor::peer_id::PeerId;

/// A point in time: nanoseconds since the reactor was made. Half the size of an `Instant`, and a
/// test can make any it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// Later than any other.
    pub(super) const NEVER: Self = Self(u64::MAX);

    /// The moment `past` after the reactor was made. It overflows after 584 years.
    pub const fn after(past: Duration) -> Self {
        Self(past.as_nanos() as u64)
    }

    /// Rounded down to units of 2^`bits` nanoseconds.
    pub(super) const fn units(self, bits: u32) -> u64 {
        self.0 >> bits
    }

    /// Rounded up to units of 2^`bits` nanoseconds.
    pub(super) const fn in_units(self, bits: u32) -> u64 {
        self.0.div_ceil(1 << bits)
    }

    pub(super) const fn of_units(units: u64, bits: u32) -> Self {
        Self(units.saturating_mul(1 << bits))
    }

    /// How long ago `earlier` was; zero if it is yet to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The first of these. Without a branch for each, because it is computed in every turn, and mostly there is none.
pub fn soonest<const N: usize>(moments: [Option<Moment>; N]) -> Option<Moment> {
    let soonest = moments.iter().fold(Moment::NEVER, |soonest, moment| soonest.min(moment.unwrap_or(Moment::NEVER)));
    (soonest != Moment::NEVER).then_some(soonest)
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, ahead: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The loop's clock. It is read once or twice a turn, and the result is passed on; more often only where
/// silence is measured. An `Instant` would do, but its arithmetic was a good part of a turn's
/// instructions (`make instructions`).
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The monotonic clock at the start, in nanoseconds.
    start: u64,
}

impl Clock {
    pub fn start() -> Self {
        Self { start: monotonic() }
    }

    pub fn now(self) -> Moment {
        Moment(monotonic() - self.start)
    }

    /// As if the process had been stopped for this long.
    #[cfg(test)]
    pub fn jump(&mut self, ahead: Duration) {
        self.start -= ahead.as_nanos() as u64;
    }
}

/// The clock that is never set, in nanoseconds.
fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Deadlines that all lie equally far ahead, so that a queue keeps them sorted: arming and firing
/// take constant time.
///
/// Nothing is taken out when a connection ends early. Its entry comes due all the same, and then its id is nobody's.
#[derive(Debug)]
pub struct Timers {
    ahead: Duration,
    queue: VecDeque<Timer>,
}

/// A deadline of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    pub id: PeerId,
    /// When it was first armed.
    pub since: Moment,
    pub due: Moment,
}

impl Timers {
    pub const fn new(ahead: Duration) -> Self {
        Self { ahead, queue: VecDeque::new() }
    }

    /// # Errors
    /// There is no memory to remember it with.
    pub fn arm(&mut self, now: Moment, id: PeerId) -> Result<(), TryReserveError> {
        self.rearm(now, Timer { id, since: now, due: now })
    }

    /// Arms a timer again that has expired.
    ///
    /// # Errors
    /// There is no memory to remember it with.
    pub fn rearm(&mut self, now: Moment, timer: Timer) -> Result<(), TryReserveError> {
        self.queue.try_reserve(1)?;
        self.queue.push_back(Timer { due: now + self.ahead, ..timer });
        Ok(())
    }

    /// When the loop must wake for these.
    pub fn next(&self) -> Option<Moment> {
        self.queue.front().map(|timer| timer.due)
    }

    /// Takes out the next one that is due, never early.
    pub fn expired(&mut self, now: Moment) -> Option<Timer> {
        if self.next()? <= now { self.queue.pop_front() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::peer_id::Stamp;

    const fn at(milliseconds: u64) -> Moment {
        Moment::after(Duration::from_millis(milliseconds))
    }

    #[test]
    fn timers_fire_in_order_and_never_early() {
        let mut timers = Timers::new(Duration::from_millis(100));
        let [one, two] = [1, 2].map(|slot| PeerId::new(Stamp::NONE, slot));
        timers.arm(at(0), one).unwrap();
        timers.arm(at(5), two).unwrap();
        assert_eq!(timers.next(), Some(at(100)));
        assert_eq!(timers.expired(at(99)), None);
        let first = timers.expired(at(104)).unwrap();
        assert_eq!((first.id, first.since), (one, at(0)));
        assert_eq!(timers.expired(at(104)), None);
        assert_eq!(timers.expired(at(105)).map(|timer| timer.id), Some(two));
        assert_eq!(timers.next(), None);
        assert_eq!(soonest([None, Some(at(5)), None, Some(at(3)), Some(at(4))]), Some(at(3)));
        assert_eq!(soonest([None, Some(Moment::NEVER)]), None);
        timers.rearm(at(105), first).unwrap();
        assert_eq!((timers.next(), timers.expired(at(205)).unwrap().since), (Some(at(205)), at(0)));
    }
}

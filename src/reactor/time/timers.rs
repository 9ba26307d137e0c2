//! Deadlines that all lie equally far ahead.

use std::collections::{TryReserveError, VecDeque};
use std::time::Duration;

use crate::reactor::peer_id::PeerId;
use crate::reactor::time::moment::Moment;

/// Deadlines that all lie equally far ahead, so that a queue keeps them sorted: arming and firing
/// take constant time.
///
/// Nothing is taken out when a connection ends early. Its entry comes due all the same, and then its id is nobody's.
#[derive(Debug)]
pub(crate) struct Timers {
    ahead: Duration,
    queue: VecDeque<Timer>,
}

/// A deadline of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    pub id: PeerId,
    /// When it was first armed.
    pub since: Moment,
    pub due: Moment,
}

impl Timers {
    pub(crate) const fn new(ahead: Duration) -> Self {
        Self { ahead, queue: VecDeque::new() }
    }

    /// # Errors
    /// There is no memory to remember it with.
    pub(crate) fn arm(&mut self, now: Moment, id: PeerId) -> Result<(), TryReserveError> {
        self.rearm(now, Timer { id, since: now, due: now })
    }

    /// Arms a timer again that has expired.
    ///
    /// # Errors
    /// There is no memory to remember it with.
    pub(crate) fn rearm(&mut self, now: Moment, timer: Timer) -> Result<(), TryReserveError> {
        self.queue.try_reserve(1)?;
        self.queue.push_back(Timer { due: now + self.ahead, ..timer });
        Ok(())
    }

    /// All of them, in the order in which they are due.
    #[cfg(feature = "upgrade")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Timer> {
        self.queue.iter()
    }

    /// Takes over timers in the order in which they are due.
    ///
    /// # Errors
    /// There is no memory to remember them with.
    #[cfg(feature = "upgrade")]
    pub(crate) fn resume(&mut self, timer: Timer) -> Result<(), TryReserveError> {
        self.queue.try_reserve(1)?;
        self.queue.push_back(timer);
        Ok(())
    }

    /// When the loop must wake for these.
    pub(crate) fn next(&self) -> Moment {
        self.queue.front().map_or(Moment::NEVER, |timer| timer.due)
    }

    /// Takes out the next one that is due, never early.
    pub(crate) fn expired(&mut self, now: Moment) -> Option<Timer> {
        if self.next() <= now { self.queue.pop_front() } else { None }
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
        assert_eq!(timers.next(), at(100));
        assert_eq!(timers.expired(at(99)), None);
        let first = timers.expired(at(104)).unwrap();
        assert_eq!((first.id, first.since), (one, at(0)));
        assert_eq!(timers.expired(at(104)), None);
        assert_eq!(timers.expired(at(105)).map(|timer| timer.id), Some(two));
        assert_eq!(timers.next(), Moment::NEVER);
        timers.rearm(at(105), first).unwrap();
        assert_eq!((timers.next(), timers.expired(at(205)).unwrap().since), (at(205), at(0)));
    }
}

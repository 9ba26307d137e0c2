//! Which sources a turn drives: those that something was announced for, that have work left, or that are due.
//!
//! Owns that set, and the deadlines of the sources that sleep. A source that sleeps takes no part in a turn, so a port to which
//! nobody talks costs a busy one next to nothing. Knows no source.
//!
//! A source falls asleep when it has no work left. It is woken by an event of its own, by its deadline, by an order for it or an
//! answer to it, and with all others by whatever is rare: a call from outside of the loop, a request, or the want of memory. One
//! that waits for room which others may give back says so in each turn, and stays awake ([`Turn::stay_awake`]).
//!
//! [`Turn::stay_awake`]: crate::reactor::Turn::stay_awake

use crate::reactor::time::moment::Moment;

/// The sources that are awake.
#[derive(Debug, Default)]
pub(in crate::reactor) struct Awake {
    /// A bit for each source; those that come after the 63rd share the last one, and wake together.
    marks: u64,
    /// Those that stay awake until the next turn.
    staying: u64,
    /// When each source is due that sleeps.
    due: Vec<Moment>,
    /// The soonest of those deadlines.
    soonest: Moment,
}

/// The sources that share the last bit begin here.
const SHARED: usize = 63;

fn mark(source: usize) -> u64 {
    1 << source.min(SHARED)
}

impl Awake {
    /// A source is added. It is awake.
    pub(in crate::reactor) fn add(&mut self) {
        self.wake(self.due.len());
        self.due.push(Moment::NEVER);
    }

    /// This source takes part in the turn.
    pub(in crate::reactor) fn wake(&mut self, source: usize) {
        self.marks |= mark(source);
    }

    /// All of them do.
    pub(in crate::reactor) fn wake_all(&mut self) {
        (0..self.due.len()).for_each(|source| self.wake(source));
    }

    /// A turn begins: those take part whose deadline has come, and who wants to stay awake says so again.
    pub(in crate::reactor) fn begin_turn(&mut self, now: Moment) {
        self.staying = 0;
        if self.soonest <= now {
            for source in 0..self.due.len() {
                if self.due[source] <= now {
                    self.wake(source);
                }
            }
        }
    }

    /// This source stays awake for the next turn.
    pub(in crate::reactor) fn stay(&mut self, source: usize) {
        self.staying |= mark(source);
    }

    /// Calls `act` with the number of each source that is awake now.
    #[inline(always)]
    pub(in crate::reactor) fn each(marks: u64, count: usize, mut act: impl FnMut(usize)) {
        let mut left = marks;
        while left != 0 {
            let first = left.trailing_zeros() as usize;
            left &= left - 1;
            act(first);
            if first == SHARED {
                (SHARED + 1..count).for_each(&mut act);
            }
        }
    }

    /// Those that are awake now.
    #[inline(always)]
    pub(in crate::reactor) fn marks(&self) -> u64 {
        self.marks
    }

    /// Before the wait: asks each source that is awake when it is due, or `None` if it has work and stays awake. True if any has.
    pub(in crate::reactor) fn settle(&mut self, mut left: impl FnMut(usize) -> Option<Moment>) -> bool {
        let mut busy = 0;
        Self::each(self.marks, self.due.len(), |source| {
            let due = left(source);
            if due.is_none() {
                busy |= mark(source);
            }
            self.due[source] = due.unwrap_or(Moment::NEVER);
        });
        self.marks = busy | self.staying;
        let mut soonest = Moment::NEVER;
        for due in &self.due {
            soonest = soonest.min(*due);
        }
        self.soonest = soonest;
        busy != 0
    }

    /// The soonest deadline of the sources that have no work left.
    pub(in crate::reactor) fn soonest(&self) -> Moment {
        self.soonest
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn list(awake: &Awake) -> Vec<usize> {
        let mut list = Vec::new();
        Awake::each(awake.marks(), awake.due.len(), |source| list.push(source));
        list
    }

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_source_sleeps_until_it_is_announced_or_due() {
        let mut awake = Awake::default();
        (0..4).for_each(|_| awake.add());
        assert_eq!(list(&awake), [0, 1, 2, 3]);
        let left = |source: usize| [None, Some(at(5)), Some(at(9)), Some(at(7))][source];
        awake.stay(3);
        assert!(awake.settle(left));
        assert_eq!((list(&awake), awake.soonest()), (vec![0, 3], at(5)));
        assert!(awake.settle(left), "it may be asked again before the turn");
        awake.begin_turn(at(4));
        awake.wake(0);
        assert_eq!(list(&awake), [0, 3]);
        awake.begin_turn(at(5));
        assert_eq!(list(&awake), [0, 1, 3]);
        awake.wake(2);
        assert!(!awake.settle(|_| Some(Moment::NEVER)));
        assert_eq!((list(&awake), awake.soonest()), (vec![], Moment::NEVER));
        awake.wake_all();
        assert_eq!(list(&awake), [0, 1, 2, 3]);
    }

    #[test]
    fn the_last_of_many_wake_together() {
        let mut awake = Awake::default();
        (0..256).for_each(|_| awake.add());
        assert_eq!(list(&awake), (0..256).collect::<Vec<_>>());
        assert!(!awake.settle(|source| Some(at(source as u64 + 1))));
        awake.wake(255);
        awake.wake(62);
        assert_eq!((list(&awake), awake.soonest()), ((62..256).collect(), at(1)));
        assert!(awake.settle(|source| (source != 200).then_some(Moment::NEVER)));
        assert_eq!(list(&awake), (63..256).collect::<Vec<_>>());
    }
}

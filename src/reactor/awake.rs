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
    /// A bit for each of the first 64 sources. Those that come after them never sleep.
    marks: u64,
    /// Those that stay awake until the next turn.
    staying: u64,
    /// When each source is due that sleeps.
    due: Vec<Moment>,
    /// The soonest of those deadlines.
    soonest: Moment,
}

/// How many sources may sleep.
const SLEEPERS: usize = u64::BITS as usize;

fn mark(source: usize) -> u64 {
    if source < SLEEPERS { 1 << source } else { 0 }
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

    /// Goes through those that are awake now.
    #[inline(always)]
    pub(in crate::reactor) fn walk(&self) -> Walk {
        Walk { left: self.marks, next: SLEEPERS, count: self.due.len() }
    }

    /// Before the wait, each source that is awake is asked when it is due; `None`: it has work, and stays awake.
    #[inline(always)]
    pub(in crate::reactor) fn settle(&mut self, source: usize, due: Option<Moment>) {
        if due.is_some() {
            self.marks &= !mark(source);
        }
        self.due[source] = due.unwrap_or(Moment::NEVER);
    }

    /// All of them were asked.
    #[inline(always)]
    pub(in crate::reactor) fn settled(&mut self) {
        self.marks |= self.staying;
        let mut soonest = Moment::NEVER;
        for due in &self.due {
            soonest = soonest.min(*due);
        }
        self.soonest = soonest;
    }

    /// The soonest deadline of the sources that have no work left.
    pub(in crate::reactor) fn soonest(&self) -> Moment {
        self.soonest
    }
}

/// The numbers of the sources that were awake when the walk began.
pub(in crate::reactor) struct Walk {
    left: u64,
    next: usize,
    count: usize,
}

impl Walk {
    /// The next one. Written out, and not an iterator's: it runs several times in each turn.
    #[inline(always)]
    pub(in crate::reactor) fn next(&mut self) -> Option<usize> {
        if self.left != 0 {
            let source = self.left.trailing_zeros() as usize;
            self.left &= self.left - 1;
            Some(source)
        } else if self.next < self.count {
            self.next += 1;
            Some(self.next - 1)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn list(awake: &Awake) -> Vec<usize> {
        let mut walk = awake.walk();
        std::iter::from_fn(|| walk.next()).collect()
    }

    /// Settles each that is awake. True if any has work.
    fn settle(awake: &mut Awake, left: impl Fn(usize) -> Option<Moment>) -> bool {
        let (mut walk, mut has_work) = (awake.walk(), false);
        while let Some(source) = walk.next() {
            has_work |= left(source).is_none();
            awake.settle(source, left(source));
        }
        awake.settled();
        has_work
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
        assert!(settle(&mut awake, left));
        assert_eq!((list(&awake), awake.soonest()), (vec![0, 3], at(5)));
        assert!(settle(&mut awake, left), "it may be asked again before the turn");
        awake.begin_turn(at(4));
        awake.wake(0);
        assert_eq!(list(&awake), [0, 3]);
        awake.begin_turn(at(5));
        assert_eq!(list(&awake), [0, 1, 3]);
        awake.wake(2);
        assert!(!settle(&mut awake, |_| Some(Moment::NEVER)));
        assert_eq!((list(&awake), awake.soonest()), (vec![], Moment::NEVER));
        awake.wake_all();
        assert_eq!(list(&awake), [0, 1, 2, 3]);
    }

    #[test]
    fn the_last_of_many_never_sleep() {
        let mut awake = Awake::default();
        (0..256).for_each(|_| awake.add());
        assert_eq!(list(&awake), (0..256).collect::<Vec<_>>());
        assert!(!settle(&mut awake, |source| Some(at(source as u64 + 1))));
        awake.wake(255);
        awake.wake(62);
        assert_eq!((list(&awake)[0], list(&awake).len(), awake.soonest()), (62, 1 + 256 - 64, at(1)));
        assert!(settle(&mut awake, |source| (source != 200).then_some(Moment::NEVER)));
        assert_eq!(list(&awake), (64..256).collect::<Vec<_>>());
    }
}

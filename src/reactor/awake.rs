//! Which sources a turn drives: those that something was announced for, that have work left, or that are due.
//!
//! Owns that list, and the deadlines of the sources that sleep. A source that sleeps takes no part in a turn, so a port to which
//! nobody talks costs a busy one nothing. Knows no source.
//!
//! A source falls asleep when it has no work left and waits for nothing that others give back ([`Source::wants_room`]). It is
//! woken by an event of its own, by its deadline, by an order for it or an answer to it, and with all others by whatever is
//! rare: a call from outside of the loop, a request, or the want of memory.
//!
//! [`Source::wants_room`]: crate::reactor::Source::wants_room

use crate::reactor::time::moment::Moment;

/// The sources that are awake.
#[derive(Debug, Default)]
pub(in crate::reactor) struct Awake {
    /// Their numbers.
    list: Vec<u8>,
    /// For each source: whether it is on the list, and when it is due if it is not.
    sources: Vec<(bool, Moment)>,
    /// The soonest of those deadlines.
    due: Moment,
}

impl Awake {
    /// A source is added. It is awake.
    pub(in crate::reactor) fn add(&mut self) {
        self.sources.push((false, Moment::NEVER));
        self.wake(self.sources.len() - 1);
    }

    /// The nth of those that are awake. Others may wake in the meantime, and come after it.
    pub(in crate::reactor) fn nth(&self, nth: usize) -> Option<usize> {
        self.list.get(nth).map(|source| usize::from(*source))
    }

    /// This source takes part in the turn.
    pub(in crate::reactor) fn wake(&mut self, source: usize) {
        if let Some((is_awake, due)) = self.sources.get_mut(source)
            && !*is_awake
        {
            (*is_awake, *due) = (true, Moment::NEVER);
            self.list.push(source as u8); // `Names::SOURCES` is 256
        }
    }

    /// All of them do.
    pub(in crate::reactor) fn wake_all(&mut self) {
        (0..self.sources.len()).for_each(|source| self.wake(source));
    }

    /// Those do whose deadline has come.
    pub(in crate::reactor) fn wake_due(&mut self, now: Moment) {
        if self.due <= now {
            for source in 0..self.sources.len() {
                if self.sources[source].1 <= now {
                    self.wake(source);
                }
            }
        }
    }

    /// Before the wait: asks each source that is awake what it has left. `None`: it has work, and stays awake; otherwise when it
    /// is due, and whether it stays awake all the same. True if any has work.
    pub(in crate::reactor) fn settle(&mut self, mut left: impl FnMut(usize) -> Option<(Moment, bool)>) -> bool {
        let (mut kept, mut have_work) = (0, false);
        for nth in 0..self.list.len() {
            let source = self.list[nth];
            let (stays, due) = match left(source.into()) {
                None => {
                    have_work = true;
                    (true, Moment::NEVER)
                }
                Some((due, stays)) => (stays, due),
            };
            self.sources[usize::from(source)] = (stays, due);
            if stays {
                self.list[kept] = source;
                kept += 1;
            }
        }
        self.list.truncate(kept);
        self.due = self.sources.iter().map(|(_, due)| *due).min().unwrap_or(Moment::NEVER);
        have_work
    }

    /// The soonest deadline of the sources that have no work left.
    pub(in crate::reactor) fn due(&self) -> Moment {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn list(awake: &Awake) -> Vec<usize> {
        (0..).map_while(|nth| awake.nth(nth)).collect()
    }

    #[test]
    fn a_source_sleeps_until_it_is_announced_or_due() {
        let at = |seconds| Moment::after(Duration::from_secs(seconds));
        let mut awake = Awake::default();
        (0..4).for_each(|_| awake.add());
        assert_eq!(list(&awake), [0, 1, 2, 3]);
        let left = |source| [None, Some((at(5), false)), Some((at(9), false)), Some((at(7), true))][source];
        assert!(awake.settle(left));
        assert_eq!((list(&awake), awake.due()), (vec![0, 3], at(5)));
        awake.wake_due(at(4));
        awake.wake(0);
        assert_eq!(list(&awake), [0, 3]);
        awake.wake_due(at(5));
        assert_eq!(list(&awake), [0, 3, 1]);
        awake.wake(2);
        assert!(!awake.settle(|_| Some((Moment::NEVER, false))));
        assert_eq!((list(&awake), awake.due()), (vec![], Moment::NEVER));
        awake.wake(3);
        awake.wake_all();
        assert_eq!(list(&awake), [3, 0, 1, 2]);
    }
}

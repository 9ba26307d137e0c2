//! Deadlines at any distance ahead: what is due next?
//!
//! Owns the order of the deadlines; knows no connection and no reason. [`Timers`] keep deadlines
//! that all lie equally far ahead; these do not: a peer that spoke in the meantime is due earlier
//! than one that is armed only now. Arming, firing and cancelling take constant time for any number of entries,
//! only a place for each entry is allocated, and only a deadline wakes the loop.
//!
//! ```text
//!   floor = 0110 1000   the last deadline that was taken out: nothing is due before it
//!   due   = 0110 1101   differs first in bit 2, so it lies in list 3
//!                 ^     list 0 holds what is due at the floor itself
//! ```
//!
//! Everything in a lower list is due before everything in a higher one. When list 0 is empty, the
//! floor rises to the soonest of the lowest list, whose entries move to lower ones; so an entry
//! moves at most once for each bit of its distance (a radix heap). The lists are linked in both directions, so that an
//! entry can be taken out of the middle. The soonest deadline of a list is then a lower bound: it may wake the loop once for
//! an entry that was cancelled, but never late.
//!
//! [`Timers`]: crate::reactor::time::timers::Timers

use std::collections::TryReserveError;
use std::time::Duration;

use crate::keepalive::{Unfit, unfit};
use crate::malloc::{self, KEPT_ENTRIES};
use crate::reactor::time::moment::Moment;
use crate::seconds::InWords;

/// The time is counted in units of 2^20 ns, about a millisecond, and rounded up: what is due in the
/// same unit wakes the loop once.
const UNIT: u32 = 20;
/// One for each bit of a `Moment` in these units, one more because it is rounded up, and list 0.
const LISTS: usize = 64 - UNIT as usize + 2;
/// The end of a list.
const NOBODY: u32 = u32::MAX;
/// No setting may be longer. (A deadline itself may lie at any distance.)
const FARTHEST: Duration = Duration::from_secs(40 * 24 * 3600);
/// No time that the loop keeps by itself is shorter: the loop would do nothing else.
const SOONEST: Duration = Duration::from_millis(10);

/// Checks a time that the loop keeps by itself, for the setting of this name.
///
/// # Errors
/// It is shorter than 10 ms, or longer than 40 days.
pub(crate) fn waiting_time(setting: &'static str, time: Duration) -> Result<Duration, Unfit> {
    if (SOONEST..=FARTHEST).contains(&time) {
        return Ok(time);
    }
    Err(unfit(setting, InWords(time).to_string(), "it must be 10ms to 40days".to_string()))
}

/// 20 bytes for a slot's number.
#[derive(Clone, Copy, Debug)]
struct Armed<T> {
    item: T,
    /// The deadline in units, low half first: two halves need no padding.
    due: [u32; 2],
    next: u32,
    /// The entry before this one in its list; [`NOBODY`] for the first. Of a free place: unused.
    before: u32,
}

impl<T> Armed<T> {
    fn due(&self) -> u64 {
        u64::from(self.due[0]) | u64::from(self.due[1]) << 32
    }
}

/// Deadlines in the order in which they come due. Each entry holds a peer, or a peer and what is remembered with it.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    entries: Vec<Armed<T>>,
    /// Places in `entries` that are free, as a list.
    free: u32,
    heads: [u32; LISTS],
    /// No entry of a list is due sooner than this; meaningless for an empty list.
    soonest: [u64; LISTS],
    floor: u64,
    count: usize,
}

impl<T: Copy> Agenda<T> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), free: NOBODY, heads: [NOBODY; LISTS], soonest: [0; LISTS], floor: 0, count: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Allocates the memory that the next [`Agenda::arm`] needs.
    ///
    /// # Errors
    /// There is no memory for one more.
    pub(crate) fn reserve(&mut self) -> Result<(), TryReserveError> {
        if self.free == NOBODY { malloc::reserve(&mut self.entries, 1) } else { Ok(()) }
    }

    /// Allocates places for this many entries in all.
    ///
    /// # Errors
    /// There is no memory for them.
    pub(crate) fn reserve_for(&mut self, entries: usize) -> Result<(), TryReserveError> {
        if self.entries.capacity() >= entries {
            return Ok(());
        }
        let more = entries - self.entries.len();
        malloc::reserve(&mut self.entries, more)
    }

    /// How many entries there is room for.
    #[cfg(test)]
    pub(crate) fn places(&self) -> usize {
        self.entries.capacity()
    }

    /// Puts an entry on the agenda, and returns its place. A deadline that has passed already is due at once.
    ///
    /// # Errors
    /// There is no memory for one more. A place that came free, or was reserved, needs none.
    pub(crate) fn arm(&mut self, due: Moment, item: T) -> Result<u32, TryReserveError> {
        self.reserve()?;
        let due = due.in_units(UNIT).max(self.floor);
        let entry = Armed { item, due: [due as u32, (due >> 32) as u32], next: NOBODY, before: NOBODY };
        let place = if self.free == NOBODY {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        } else {
            let place = self.free;
            self.free = self.entries[place as usize].next;
            self.entries[place as usize] = entry;
            place
        };
        self.link(place);
        self.count += 1;
        Ok(place)
    }

    /// Takes out the entry in this place, which has not come due yet.
    pub(crate) fn cancel(&mut self, place: u32) {
        let Armed { next, before, .. } = self.entries[place as usize];
        match before {
            NOBODY => {
                let list = self.list_of(place);
                self.heads[list] = next;
            }
            before => self.entries[before as usize].next = next,
        }
        if next != NOBODY {
            self.entries[next as usize].before = before;
        }
        self.free(place);
    }

    /// Gives the memory back to the system. Nothing is on the agenda any more.
    pub(crate) fn clear(&mut self) {
        *self = Self { floor: self.floor, ..Self::new() };
    }

    /// Gives the memory of an empty agenda back to the system, if it is much.
    pub(crate) fn give_back(&mut self) {
        if self.is_empty() && self.entries.capacity() > KEPT_ENTRIES {
            self.clear();
        }
    }

    /// When the loop must wake.
    pub(crate) fn next(&self) -> Moment {
        self.lowest().map_or(Moment::NEVER, |list| Moment::of_units(self.soonest[list], UNIT))
    }

    /// The next one that is due, never early. In no order among those that are due in the same unit.
    pub(crate) fn due(&mut self, now: Moment) -> Option<T> {
        loop {
            let list = self.lowest()?;
            if Moment::of_units(self.soonest[list], UNIT) > now {
                return None;
            }
            if list == 0 {
                let place = self.heads[0];
                let item = self.entries[place as usize].item;
                self.cancel(place);
                return Some(item);
            }
            self.rise(list);
        }
    }

    /// Forgets those for which this does not hold, and frees their places.
    pub(crate) fn retain(&mut self, holds: impl Fn(T) -> bool) {
        for list in 0..LISTS {
            let mut place = self.heads[list];
            while place != NOBODY {
                let Armed { item, next, .. } = self.entries[place as usize];
                if !holds(item) {
                    self.cancel(place);
                }
                place = next;
            }
        }
    }

    /// Goes through all entries, in no order, with the deadline of each.
    #[cfg(feature = "upgrade")]
    pub(crate) fn each(&self, tell: &mut dyn FnMut(Moment, T)) {
        for head in self.heads {
            let mut place = head;
            while place != NOBODY {
                let entry = &self.entries[place as usize];
                tell(Moment::of_units(entry.due(), UNIT), entry.item);
                place = entry.next;
            }
        }
    }

    fn lowest(&self) -> Option<usize> {
        if self.is_empty() { None } else { self.heads.iter().position(|head| *head != NOBODY) }
    }

    fn list_of(&self, place: u32) -> usize {
        (u64::BITS - (self.entries[place as usize].due() ^ self.floor).leading_zeros()) as usize
    }

    fn link(&mut self, place: u32) {
        let (list, due) = (self.list_of(place), self.entries[place as usize].due());
        let first = std::mem::replace(&mut self.heads[list], place);
        self.soonest[list] = if first == NOBODY { due } else { self.soonest[list].min(due) };
        let entry = &mut self.entries[place as usize];
        (entry.next, entry.before) = (first, NOBODY);
        if first != NOBODY {
            self.entries[first as usize].before = place;
        }
    }

    fn free(&mut self, place: u32) {
        self.entries[place as usize].next = std::mem::replace(&mut self.free, place);
        self.count -= 1;
    }

    /// Raises the floor to the soonest deadline of `list`, the lowest list that is not empty.
    fn rise(&mut self, list: usize) {
        let mut place = std::mem::replace(&mut self.heads[list], NOBODY);
        self.floor = self.soonest[list];
        while place != NOBODY {
            let next = self.entries[place as usize].next;
            self.link(place);
            place = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const fn at(milliseconds: u64) -> Moment {
        Moment::after(Duration::from_millis(milliseconds))
    }

    #[test]
    fn an_entry_takes_20_bytes() {
        assert_eq!(size_of::<Armed<u32>>(), 20);
    }

    #[test]
    fn a_far_deadline_is_neither_early_nor_lost() {
        let mut agenda = Agenda::new();
        agenda.arm(Moment::after(Duration::MAX), 1).unwrap();
        for year in 1..500 {
            let before = Moment::after(Duration::from_secs(year * 365 * 24 * 3600));
            agenda.arm(before + Duration::from_nanos(1), 2).unwrap();
            assert_eq!((agenda.due(before), agenda.due(before + Duration::from_millis(2))), (None, Some(2)));
        }
        assert_eq!(agenda.count, 1);
    }

    /// The loop wakes for a cancelled deadline once at most.
    #[test]
    fn what_is_cancelled_wakes_once_at_most() {
        let mut agenda = Agenda::new();
        let places: Vec<_> = (0..100).map(|n| agenda.arm(at(1000 + n), n).unwrap()).collect();
        agenda.arm(at(1900), 100).unwrap(); // in one list with the last of those
        places.into_iter().for_each(|place| agenda.cancel(place));
        let first = agenda.next();
        assert!(first < at(1200), "{first:?}");
        assert_eq!(agenda.due(first), None);
        assert!(agenda.next() >= at(1900), "{:?}", agenda.next());
    }

    proptest! {
        /// Whatever is armed and cancelled, and whenever it is asked: no entry is early, none is more than a unit late,
        /// none is lost, no cancelled one fires, and the loop wakes in time.
        #[test]
        fn nobody_is_early_late_or_lost(
            steps in proptest::collection::vec((0u64..40_000, 0u64..3000, 0usize..4), 1..300),
        ) {
            let mut agenda = Agenda::new();
            let mut expected = BTreeMap::new();
            let mut now = 0;
            for (key, (ahead, passes, cancels)) in steps.into_iter().enumerate() {
                let place = agenda.arm(at(now + ahead), key as u32).unwrap();
                expected.insert(key as u32, (now + ahead, place));
                if cancels == 0 {
                    let (&key, &(_, place)) = expected.iter().nth(expected.len() / 2).unwrap();
                    agenda.cancel(place);
                    expected.remove(&key);
                }
                now += passes;
                while let Some(key) = agenda.due(at(now)) {
                    let (due, _) = expected.remove(&key).expect("armed, and fired once");
                    prop_assert!(due <= now, "early: {} instead of {}", now, due);
                }
                prop_assert!(expected.values().all(|(due, _)| *due + 2 > now), "late");
                prop_assert_eq!(agenda.count, expected.len());
                match (agenda.next().if_ever(), expected.values().map(|(due, _)| *due).min()) {
                    (Some(next), Some(soonest)) => prop_assert!(next < at(soonest + 2), "{next:?} for {soonest} ms"),
                    (next, soonest) => prop_assert_eq!(next.is_none(), soonest.is_none()),
                }
                #[cfg(feature = "upgrade")]
                {
                    // Written down and armed again, each is due in the same unit.
                    let mut again = Agenda::new();
                    agenda.each(&mut |due, key| assert!(again.arm(due, key).is_ok()));
                    prop_assert_eq!(again.count, agenda.count);
                    let mut dues = [Vec::new(), Vec::new()];
                    agenda.each(&mut |due, key| dues[0].push((key, due)));
                    again.each(&mut |due, key| dues[1].push((key, due)));
                    dues.iter_mut().for_each(|dues| dues.sort());
                    prop_assert_eq!(&dues[0], &dues[1]);
                }
                agenda.retain(|key| expected.contains_key(&key));
                prop_assert_eq!(agenda.count, expected.len());
            }
        }
    }
}

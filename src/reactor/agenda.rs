//! Deadlines at any distance ahead: which peer is due next?
//!
//! Owns the order of the deadlines; knows no connection and no reason. [`Timers`] keep deadlines
//! that all lie equally far ahead; these do not: a peer that spoke in the meantime is due earlier
//! than one that is armed only now. Arming and firing take constant time for any number of peers,
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
//! moves at most once for each bit of its distance (a radix heap). Nothing is taken out when a
//! connection ends: its entry comes due all the same, and then its id is nobody's.
//!
//! [`Timers`]: crate::reactor::timers::Timers

use std::collections::TryReserveError;
use std::time::Duration;

use crate::keepalive::{Unfit, unfit};
use crate::malloc;
use crate::reactor::peer_id::PeerId;
use crate::reactor::timers::Moment;

/// The time is counted in units of 2^20 ns, about a millisecond, and rounded up: what is due in the
/// same unit wakes the loop once.
const UNIT: u32 = 20;
/// One for each bit of a `Moment` in these units, and list 0.
const LISTS: usize = 64 - UNIT as usize + 1;
/// The end of a list.
const NOBODY: u32 = u32::MAX;
/// No entry lies farther ahead of the floor, because its deadline is kept in 32 bits: a later one is cut to
/// this. A peer that is asked early arms its deadline again.
const FARTHEST: Duration = Duration::from_secs(40 * 24 * 3600);
/// No time that the loop keeps by itself is shorter: the loop would do nothing else.
const SOONEST: Duration = Duration::from_millis(10);
/// An empty agenda of more places than this is given back to the system.
const KEPT_PLACES: usize = 1024;

/// Checks a time that the loop keeps by itself, for the setting of this name.
///
/// # Errors
/// It is shorter than 10 ms, or longer than 40 days.
pub fn waiting_time(setting: &'static str, time: Duration) -> Result<Duration, Unfit> {
    if (SOONEST..=FARTHEST).contains(&time) {
        return Ok(time);
    }
    Err(unfit(setting, humantime::format_duration(time).to_string(), "10ms to 40days is wanted".to_string()))
}

/// 20 bytes for a peer's id.
#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    item: T,
    /// The low half of the deadline, in units.
    due: u32,
    next: u32,
}

/// Deadlines in the order in which they come due. Each entry holds a peer's id, or an id and what is remembered with it.
#[derive(Debug)]
pub struct Agenda<T = PeerId> {
    entries: Vec<Entry<T>>,
    /// Places in `entries` that are free, as a list.
    free: u32,
    heads: [u32; LISTS],
    /// The soonest deadline of each list; meaningless for an empty one.
    soonest: [u64; LISTS],
    floor: u64,
    count: usize,
}

impl<T: Copy> Agenda<T> {
    pub const fn new() -> Self {
        Self { entries: Vec::new(), free: NOBODY, heads: [NOBODY; LISTS], soonest: [0; LISTS], floor: 0, count: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Allocates the memory that the next [`Agenda::arm`] needs. Called for each peer at its arrival, so that
    /// a peer that was on the agenda always finds a place on it again.
    ///
    /// # Errors
    /// There is no memory for one more.
    pub fn reserve(&mut self) -> Result<(), TryReserveError> {
        if self.free == NOBODY { malloc::reserve(&mut self.entries, 1) } else { Ok(()) }
    }

    /// Allocates places for this many peers, each of which is on the agenda at most once.
    ///
    /// # Errors
    /// There is no memory for them.
    pub fn reserve_for(&mut self, peers: usize) -> Result<(), TryReserveError> {
        if self.entries.capacity() >= peers {
            return Ok(());
        }
        let more = peers - self.entries.len();
        malloc::reserve(&mut self.entries, more)
    }

    /// Puts a peer on the agenda. A deadline that has passed already is due at once.
    ///
    /// # Errors
    /// There is no memory for one more. A place that came free, or was reserved, needs none.
    pub fn arm(&mut self, due: Moment, item: T) -> Result<(), TryReserveError> {
        self.reserve()?;
        let farthest = self.floor + FARTHEST.as_nanos() as u64 / (1 << UNIT);
        let due = due.in_units(UNIT).clamp(self.floor, farthest);
        let entry = Entry { item, due: due as u32, next: NOBODY };
        let place = if self.free == NOBODY {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        } else {
            let place = self.free;
            self.free = self.entries[place as usize].next;
            self.entries[place as usize] = entry;
            place
        };
        self.link(place, due);
        self.count += 1;
        Ok(())
    }

    /// No peer is left: the memory is given back to the system.
    pub fn clear(&mut self) {
        *self = Self { floor: self.floor, ..Self::new() };
    }

    /// When the loop must wake.
    pub fn next(&self) -> Option<Moment> {
        self.lowest().map(|list| Moment::of_units(self.soonest[list], UNIT))
    }

    /// The next one that is due, never early. In no order among those that are due in the same unit.
    pub fn due(&mut self, now: Moment) -> Option<T> {
        let list = self.lowest()?;
        if Moment::of_units(self.soonest[list], UNIT) > now {
            return None;
        }
        if list > 0 {
            self.rise(list);
        }
        let place = self.heads[0];
        let entry = &mut self.entries[place as usize];
        let item = entry.item;
        self.heads[0] = std::mem::replace(&mut entry.next, self.free);
        self.free = place;
        self.count -= 1;
        if self.is_empty() && self.entries.capacity() > KEPT_PLACES {
            (self.entries, self.free) = (Vec::new(), NOBODY);
        }
        Some(item)
    }

    /// Forgets the peers that have gone, if they are the majority: thousands may come and go before the
    /// first of them is due. `living` is how many peers there are now.
    pub fn tidy(&mut self, living: usize, is_living: impl Fn(T) -> bool) {
        if self.count > 2 * living + KEPT_PLACES {
            self.forget(is_living);
        }
    }

    /// Forgets the peers that have gone, and frees their places.
    pub fn forget(&mut self, is_living: impl Fn(T) -> bool) {
        // In place, because there may be no memory.
        for list in 0..LISTS {
            let mut place = std::mem::replace(&mut self.heads[list], NOBODY);
            while place != NOBODY {
                let Entry { item, due, next } = self.entries[place as usize];
                if is_living(item) {
                    self.link(place, self.whole(due));
                } else {
                    self.entries[place as usize].next = std::mem::replace(&mut self.free, place);
                    self.count -= 1;
                }
                place = next;
            }
        }
    }

    fn lowest(&self) -> Option<usize> {
        if self.is_empty() { None } else { self.heads.iter().position(|head| *head != NOBODY) }
    }

    /// The whole deadline, of which an entry keeps the low half: it is never below the floor.
    fn whole(&self, due: u32) -> u64 {
        self.floor + u64::from(due.wrapping_sub(self.floor as u32))
    }

    fn link(&mut self, place: u32, due: u64) {
        let list = (u64::BITS - (due ^ self.floor).leading_zeros()) as usize;
        let is_first = self.heads[list] == NOBODY;
        self.soonest[list] = if is_first { due } else { self.soonest[list].min(due) };
        self.entries[place as usize].next = std::mem::replace(&mut self.heads[list], place);
    }

    /// Raises the floor to the soonest deadline of `list`, the lowest list that is not empty.
    fn rise(&mut self, list: usize) {
        let mut place = std::mem::replace(&mut self.heads[list], NOBODY);
        let before = self.floor;
        let whole = |due: u32| before + u64::from(due.wrapping_sub(before as u32));
        self.floor = self.soonest[list];
        while place != NOBODY {
            let Entry { due, next, .. } = self.entries[place as usize];
            self.link(place, whole(due));
            place = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::reactor::peer_id::Stamp;

    const fn at(milliseconds: u64) -> Moment {
        Moment::after(Duration::from_millis(milliseconds))
    }

    fn id(slot: u32) -> PeerId {
        PeerId::new(Stamp::NONE, slot)
    }

    #[test]
    fn an_entry_takes_20_bytes() {
        assert_eq!(size_of::<Entry<PeerId>>(), 20);
    }

    #[test]
    fn a_far_deadline_is_cut_and_not_lost() {
        let mut agenda = Agenda::new();
        agenda.arm(Moment::after(Duration::MAX), id(1)).unwrap();
        assert_eq!(agenda.due(at(1000)), None);
        let due = agenda.next().unwrap();
        assert!(due.since(at(0)) <= FARTHEST && due.since(at(0)) > FARTHEST / 2, "{due:?}");
        assert_eq!(agenda.due(due), Some(id(1)));
        // Months later, 32 bits have wrapped around more than once.
        for month in 2..8u64 {
            let later = at(month * 30 * 24 * 3_600_000);
            agenda.arm(later, id(2)).unwrap();
            while agenda.due(later + Duration::from_millis(2)).is_none() {
                agenda.arm(later, id(2)).unwrap();
            }
            assert!(agenda.is_empty());
        }
    }

    #[test]
    fn those_who_have_gone_are_forgotten_in_time() {
        let mut agenda = Agenda::new();
        for key in 0..10_000 {
            agenda.arm(at(30_000 + u64::from(key)), id(key)).unwrap();
            agenda.tidy(10, |id| id.slot() < 10);
            assert!(agenda.count <= 2 * 10 + KEPT_PLACES, "{} entries for 10 peers", agenda.count);
        }
        assert!(agenda.entries.len() <= 2 * 10 + KEPT_PLACES + 1, "their places are used again");
        let fired = std::iter::from_fn(|| agenda.due(at(100_000))).filter(|id| id.slot() < 10).count();
        assert_eq!((fired, agenda.next(), agenda.entries.capacity()), (10, None, 0), "and the places are given back");
    }

    proptest! {
        /// Whatever is armed and whenever it is asked: no entry is early, none is more than a unit late,
        /// none is lost, and the loop gets the right moment to wake.
        #[test]
        fn nobody_is_early_late_or_lost(
            steps in proptest::collection::vec((0u64..40_000, 0u64..3000), 1..300),
        ) {
            let mut agenda = Agenda::new();
            let mut expected = BTreeMap::new();
            let mut now = 0;
            for (key, (ahead, passes)) in steps.into_iter().enumerate() {
                agenda.arm(at(now + ahead), id(key as u32)).unwrap();
                expected.insert(key as u32, now + ahead);
                now += passes;
                while let Some(id) = agenda.due(at(now)) {
                    let due = expected.remove(&id.slot()).expect("armed, and fired once");
                    prop_assert!(due <= now, "early: {} instead of {}", now, due);
                }
                prop_assert!(expected.values().all(|due| *due + 2 > now), "late");
                prop_assert_eq!(agenda.count, expected.len());
                match (agenda.next(), expected.values().min()) {
                    (Some(next), Some(soonest)) => {
                        prop_assert!(next >= at(*soonest) && next < at(*soonest + 2), "{next:?} for {soonest} ms");
                    }
                    (next, soonest) => prop_assert_eq!(next.is_none(), soonest.is_none()),
                }
            }
        }
    }
}

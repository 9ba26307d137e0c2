//! How much memory all outboxes together take, and may take.
//!
//! Owns the sum and what follows from it; knows no connection. The sum is updated as outboxes change, so that a
//! write costs an addition. The largest outboxes are searched for only when the sum is near its bound.
//!
//! ```text
//!   0                          ½               ¾      ⅞      bound
//!   ├──────────────────────────┼───────────────┼──────┼──────┤
//!   │ as much is read at once  │ less and less is     │ the largest are let go, until the sum
//!   │ as the port allows       │ read at once         │ is down to ¾: `memory limit`
//! ```
//!
//! A peer with waiting output is not read anyway. What shrinks is how much is read at once from a peer without, so
//! that thousands of them share what is left, instead of a few taking it.
//!
//! In a cgroup the bound follows what the cgroup has left: the kernel counts its own share, sockets and what waits
//! in them, against the same limit, and kills the process when nothing is left.

use crate::keepalive::{Unfit, unfit};
use crate::machine::{Gauge, Machine};
use crate::malloc;
use crate::reactor::scratch::SCRATCH;
use crate::reactor::time::moment::Moment;
use crate::told::warn;
use std::time::Duration;

/// The lowest limit for all outboxes together.
const LEAST: usize = 1 << 20;
/// This much is read at once however near the bound is: an answer that is no longer than the input takes little.
const LEAST_PORTION: usize = 512;
/// After this many arrivals the cgroup is asked what it has left: their sockets count, too.
const ARRIVALS: u32 = 64;
/// Freed memory is given back to the system when this much of it has lain idle for the time `IDLE`.
const WORTH_GIVING_BACK: usize = 1 << 20;
const IDLE: Duration = Duration::from_secs(1);
/// How long the warning about the bound is not repeated.
const QUIET: Duration = Duration::from_secs(10);

/// The memory that all outboxes together take, and its bound.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    /// The limit, or less if the cgroup has less left.
    bound: usize,
    held: usize,
    gauge: Option<Gauge>,
    /// By how much outboxes have grown, and how many peers have arrived, since the cgroup was last asked.
    grown: usize,
    arrived: u32,
    /// The cgroup has so little left that no peer can be accepted.
    short: bool,
    /// The most that was held since memory was last given back.
    peak: usize,
    give_back_at: Option<Moment>,
    told: Option<Moment>,
}

impl Memory {
    /// A quarter of what the machine, the cgroup and the limits of the process allow.
    pub(crate) fn of(machine: Machine) -> Self {
        let limit = (machine.memory / 4).max(LEAST);
        Self {
            limit,
            bound: limit,
            held: 0,
            gauge: machine.gauge,
            grown: 0,
            arrived: 0,
            short: false,
            peak: 0,
            give_back_at: None,
            told: None,
        }
    }

    /// # Errors
    /// Less than 1 MiB.
    pub(crate) fn set_limit(&mut self, bytes: usize) -> Result<(), Unfit> {
        if bytes < LEAST {
            let because = "it must be 1M or more: bytes, or with K, M or G behind them";
            return Err(unfit("max-memory", bytes.to_string(), because.to_string()));
        }
        self.limit = bytes;
        self.ask_cgroup();
        Ok(())
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// How many bytes all outboxes take.
    #[cfg(feature = "observe")]
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// By how much outboxes may still grow.
    pub(crate) fn left(&self) -> usize {
        self.bound.saturating_sub(self.held)
    }

    /// How much may be read from a peer at once.
    pub(crate) fn portion(&self) -> usize {
        let full = self.bound / 8 * 3;
        let left = self.left().saturating_sub(self.bound / 8);
        if left >= full { SCRATCH } else { (left / (full / SCRATCH).max(1)).clamp(LEAST_PORTION, SCRATCH) }
    }

    /// An outbox that took `before` takes `after` bytes now.
    pub(crate) fn changed(&mut self, before: usize, after: usize) {
        self.held = self.held - before + after;
        self.peak = self.peak.max(self.held);
        if after > before {
            self.grown += after - before;
            if self.grown > self.limit / 64 {
                self.ask_cgroup();
            }
        }
    }

    /// Whether one more peer can be accepted: its socket counts against the cgroup, too.
    pub(crate) fn take_room_for_a_peer(&mut self) -> bool {
        self.arrived += 1;
        if self.short || self.arrived >= ARRIVALS {
            self.ask_cgroup();
        }
        !self.short
    }

    fn ask_cgroup(&mut self) {
        (self.grown, self.arrived) = (0, 0);
        self.bound = self.limit;
        if let Some((gauge, free)) = self.gauge.as_ref().and_then(|gauge| Some((gauge, gauge.free()?))) {
            let reserve = gauge.limit() / 8;
            self.short = free < reserve;
            self.bound = self.limit.min(self.held + free.saturating_sub(reserve));
        }
    }

    /// How much the largest outboxes must give up; usually nothing.
    pub(crate) fn excess(&self) -> usize {
        let bound = self.bound;
        if self.held > bound - bound / 8 { self.held - (bound - bound / 4) } else { 0 }
    }

    /// Logs that this many peers were let go for it.
    pub(crate) fn relieved(&mut self, now: Moment, count: usize) {
        if count > 0 && self.told.is_none_or(|told| now.since(told) >= QUIET) {
            self.told = Some(now);
            let (held, bound) = (self.held >> 10, self.bound >> 10);
            warn!(
                "waiting output of all peers takes {held} of {bound} KiB: {count} of the peers with the largest \
                 outboxes are let go"
            );
        }
    }

    /// When memory is to be given back to the system.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.give_back_at
    }

    /// The C library keeps freed memory for the next allocations. After a crowd has gone there are none, so
    /// what has lain idle for a while is given back to the system.
    pub(crate) fn give_back(&mut self, now: Moment) {
        if self.held > self.peak / 2 || self.peak - self.held < WORTH_GIVING_BACK {
            self.give_back_at = None;
        } else if *self.give_back_at.get_or_insert(now + IDLE) <= now {
            malloc::give_back();
            (self.peak, self.give_back_at) = (self.held, None);
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::of(Machine { memory: usize::MAX, gauge: None })
    }
}

/// How much the outboxes of each size take together, by powers of two: enough to know which are large.
#[derive(Debug)]
pub struct Sizes {
    taken: [usize; usize::BITS as usize],
    /// Taken by peers that are ending already.
    going: usize,
}

impl Sizes {
    /// Counts a peer whose outbox takes this many bytes, and whether it is ending anyway.
    pub fn add(&mut self, held: usize, is_going: bool) {
        if is_going {
            self.going += held;
        } else if held > 0 {
            self.taken[held.ilog2() as usize] += held;
        }
    }
}

/// Which peers are to be let go.
#[derive(Debug)]
pub struct Relief {
    /// Peers whose outbox takes less than this stay.
    pub least: usize,
    /// How much is still to be given up.
    pub excess: usize,
    /// Only peers whose output has not moved for a while are let go.
    pub only_stuck: bool,
    /// How many peers were let go.
    pub count: usize,
}

impl Relief {
    /// The largest outboxes that together take as much as must be given up; `weigh` adds all of them.
    pub fn of(excess: usize, weigh: impl FnOnce(&mut Sizes)) -> Self {
        let mut sizes = Sizes { taken: [0; usize::BITS as usize], going: 0 };
        weigh(&mut sizes);
        let excess = excess.saturating_sub(sizes.going);
        let mut sum = 0;
        let large = sizes.taken.iter().rposition(|taken| {
            sum += taken;
            sum >= excess
        });
        Self { least: 1 << large.unwrap_or(0), excess, only_stuck: true, count: 0 }
    }

    /// A peer whose outbox takes `held` is let go.
    pub fn take(&mut self, held: usize) {
        self.excess = self.excess.saturating_sub(held);
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(limit: usize) -> Memory {
        let mut memory = Memory::default();
        memory.set_limit(limit).unwrap();
        memory
    }

    /// Peers that never read, however many arrive: they share what there is, and the bound is never exceeded.
    #[test]
    fn what_is_read_at_once_shrinks_with_what_is_left() {
        let mut memory = memory(16 << 20);
        assert_eq!(memory.portion(), SCRATCH);
        let mut count = 0;
        while memory.excess() == 0 {
            let portion = memory.portion();
            memory.changed(0, portion);
            count += 1;
            assert!(memory.left() > 0);
        }
        assert!(count > 500, "only {count} peers before one has to go");
        assert_eq!(memory.portion(), LEAST_PORTION);
        assert_eq!(memory.excess(), memory.held - (12 << 20));
        assert!(memory.set_limit(LEAST - 1).unwrap_err().to_string().contains("1M or more"));
    }

    #[test]
    fn the_largest_go_and_no_more_than_must() {
        let relief = Relief::of(100_000, |sizes| {
            (0..1000).for_each(|_| sizes.add(600, false));
            (0..2).for_each(|_| sizes.add(40_000, false));
            sizes.add(70_000, false);
            sizes.add(30_000, true);
        });
        assert_eq!((relief.least, relief.excess), (65_536, 70_000));
        let relief = Relief::of(100_000, |sizes| (0..10).for_each(|_| sizes.add(40_000, false)));
        assert_eq!(relief.least, 32_768);
        assert_eq!(Relief::of(100, |_| {}).least, 1, "nobody has any");
    }

    #[test]
    fn what_lies_idle_is_given_back_once() {
        let at = |milliseconds| Moment::after(Duration::from_millis(milliseconds));
        let mut memory = memory(64 << 20);
        memory.changed(0, 8 << 20);
        memory.give_back(at(0));
        assert_eq!(memory.deadline(), None);
        memory.changed(8 << 20, 1 << 20);
        memory.give_back(at(100));
        assert_eq!(memory.deadline(), Some(at(1100)));
        // It is used again: nothing is given back.
        memory.changed(0, 5 << 20);
        memory.give_back(at(500));
        assert_eq!(memory.deadline(), None);
        memory.changed(5 << 20, 0);
        memory.give_back(at(600));
        memory.give_back(at(1600));
        assert_eq!((memory.deadline(), memory.peak), (None, 1 << 20));
        memory.give_back(at(1700));
        assert_eq!(memory.deadline(), None);
    }
}

//! When something is to be done for a peer.
//!
//! Owns all the times of a port's peers, and the memory for them; `due.rs` does what is due. A deadline that outlives its peer
//! comes due all the same, and then its id is nobody's; alarms are cancelled when their peer departs.

use std::collections::TryReserveError;
use std::time::Duration;

use crate::keepalive::Keepalive;
use crate::keepalive::owing::{Asking, FIRST_LOOK, Owing};
use crate::reactor::time::alarms::Alarms;
use crate::reactor::time::moment::Moment;
use crate::reactor::time::timers::Timers;
use crate::reactor::time::watch::Watch;

/// How often a lingering connection is asked whether its peer has everything.
const LINGER_CHECK: Duration = Duration::from_millis(50);
/// How long a connection waits before it is tried again after the kernel had no memory for it.
pub(super) const STARVED_PAUSE: Duration = Duration::from_millis(100);

/// The times of a port's peers.
pub(super) struct Deadlines {
    pub lingering: Timers,
    pub starved: Timers,
    /// The peers that were written to, and the terms on which they are looked at; `None` if the kernel keeps their
    /// deadline.
    pub watch: Option<(Asking, Watch<Option<Owing>>)>,
    /// The peers that were written to, and for how long their output may stall; `None` if it may for ever.
    pub stall: Option<(Duration, Watch<()>)>,
    /// When the service wants to be called for a peer.
    pub alarms: Alarms,
    /// When each peer was last active, as far as is known; kept only if the most idle one may be evicted. It wakes nobody.
    pub idle: Option<Alarms>,
    /// When to search the whole table for peers whose deadline could not be remembered for want of memory; mostly never.
    pub look_through: Moment,
    /// When a port that is stopping lets go of the peers that are left; never, if it is not stopping.
    pub stop_by: Moment,
}

impl Deadlines {
    pub(super) fn new(keepalive: &Keepalive, stalled: Option<Duration>, evicts: bool) -> Self {
        Self {
            lingering: Timers::new(LINGER_CHECK),
            starved: Timers::new(STARVED_PAUSE),
            watch: keepalive.asking().map(|asking| (asking, Watch::new(FIRST_LOOK))),
            stall: stalled.map(|limit| (limit, Watch::new(limit))),
            alarms: Alarms::new(),
            idle: evicts.then(Alarms::new),
            look_through: Moment::NEVER,
            stop_by: Moment::NEVER,
        }
    }

    /// A deadline that there is no memory for is kept all the same, but what the looks have found out about the
    /// peer would be lost, and an alarm too. So room for these is reserved at the arrival, for a table of this many slots.
    ///
    /// # Errors
    /// There is no memory.
    pub(super) fn reserve_for(&mut self, slots: usize) -> Result<(), TryReserveError> {
        self.alarms.reserve_for(slots)?;
        if let Some(idle) = &mut self.idle {
            idle.reserve_for(slots)?;
        }
        if let Some((_, watch)) = &mut self.watch {
            watch.reserve_for(slots)?;
        }
        self.stall.as_mut().map_or(Ok(()), |(_, watch)| watch.reserve_for(slots))
    }

    /// The peer in this slot has departed.
    pub(super) fn depart(&mut self, slot: u32) {
        self.alarms.cancel(slot);
        if let Some(idle) = &mut self.idle {
            idle.cancel(slot);
        }
    }

    /// No peer is left: the memory is given back.
    pub(super) fn clear(&mut self) {
        self.alarms.clear();
        if let Some(idle) = &mut self.idle {
            idle.clear();
        }
        if let Some((_, watch)) = &mut self.watch {
            watch.clear();
        }
        if let Some((_, watch)) = &mut self.stall {
            watch.clear();
        }
    }

    /// When the loop must wake for the next of these.
    pub(super) fn next(&self) -> Moment {
        let watch = self.watch.as_ref().map_or(Moment::NEVER, |(_, watch)| watch.next());
        let stall = self.stall.as_ref().map_or(Moment::NEVER, |(_, watch)| watch.next());
        let service = self.alarms.next().min(self.look_through).min(self.stop_by);
        self.lingering.next().min(self.starved.next()).min(watch).min(stall).min(service)
    }
}

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
    /// peer would be lost, and an alarm too. So room for these is reserved at the arrival, for a table of this many slots
    /// with this many peers in it: when a crowd has gone, a newcomer in a high slot needs no room for the crowd.
    ///
    /// # Errors
    /// There is no memory.
    pub(super) fn reserve_for(&mut self, slots: usize, peers: usize) -> Result<(), TryReserveError> {
        self.alarms.reserve_for(slots, peers)?;
        if let Some(idle) = &mut self.idle {
            idle.reserve_for(slots, peers)?;
        }
        if let Some((_, watch)) = &mut self.watch {
            watch.reserve_for(peers)?;
        }
        self.stall.as_mut().map_or(Ok(()), |(_, watch)| watch.reserve_for(peers))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::peer_id::{PeerId, Stamp};

    /// A server out of memory once kept a newcomer waiting for good: the crowd had gone, but for the newcomer's high slot
    /// room for as many looks as the crowd had needed was wanted again.
    #[test]
    fn a_newcomer_needs_no_room_for_a_crowd_that_has_gone() {
        let mut deadlines = Deadlines::new(&Keepalive::default(), Some(Duration::from_secs(1)), false);
        for peers in 1..=3000 {
            deadlines.reserve_for(peers, peers).unwrap();
        }
        let (_, stall) = deadlines.stall.as_mut().unwrap();
        assert!(stall.places() >= 3000, "{}", stall.places());
        let now = Moment::after(Duration::from_secs(1));
        stall.suspect(now, PeerId::new(Stamp::NONE, 1), (), Duration::ZERO, |_| true).unwrap();
        assert!(stall.due_suspect(now + Duration::from_secs(1)).is_some());
        assert_eq!(stall.places(), 0, "an empty table is given back");
        deadlines.reserve_for(3000, 2).unwrap();
        let (_, stall) = deadlines.stall.as_ref().unwrap();
        assert!((2..100).contains(&stall.places()), "{}", stall.places());
        // And each peer has its place, also when the newcomer's slot is a low one.
        deadlines.reserve_for(5, 2500).unwrap();
        let (_, stall) = deadlines.stall.as_ref().unwrap();
        assert!(stall.places() >= 2500, "{}", stall.places());
    }
}

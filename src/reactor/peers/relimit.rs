//! Other limits for peers that are there already.
//!
//! Owns what must be known of each of them for a limit that did not exist when they came. First everything is made that needs
//! memory, then it is put in place, so that the limits of several ports change together or not at all.

use std::collections::TryReserveError;
use std::time::Duration;

use crate::reactor::connection::stream::Stream;
use crate::reactor::limits::{Limits, WhenFull};
use crate::reactor::peers::Peers;
use crate::reactor::time::alarms::Alarms;
use crate::reactor::time::moment::Moment;
use crate::reactor::time::watch::Watch;

/// What new limits need; the memory for it is there.
pub(in crate::reactor) struct Relimit {
    limits: Limits,
    stall: Option<(Duration, Watch<()>)>,
    idle: Option<Alarms>,
}

impl<S: Stream> Peers<S> {
    /// Makes what these limits need for the peers that are there.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(in crate::reactor) fn prepare(&self, limits: Limits) -> Result<Relimit, TryReserveError> {
        let stall = match limits.stalled() {
            Some(limit) => {
                let mut watch = Watch::new(limit);
                watch.reserve_for(self.table.len())?;
                Some((limit, watch))
            }
            None => None,
        };
        let idle = if limits.when_full() == WhenFull::EvictOldestIdle {
            let (mut alarms, slots) = (Alarms::new(), self.table.slots());
            alarms.reserve_for(slots.end as usize, self.table.len())?;
            // The kernel knows when each was active since, and is asked before one is let go.
            for slot in slots {
                if let Some(connection) = self.table.get(slot).filter(|connection| !connection.is_ending()) {
                    alarms.set(slot, connection.arrival());
                }
            }
            Some(alarms)
        } else {
            None
        };
        Ok(Relimit { limits, stall, idle })
    }

    /// These limits hold from now on.
    pub(in crate::reactor) fn limit(&mut self, relimit: Relimit, now: Moment) {
        let Relimit { limits, stall, idle } = relimit;
        let before = std::mem::replace(&mut self.limits, limits);
        self.terms.max_output = limits.max_output();
        if before.when_full() != limits.when_full() {
            self.deadlines.idle = idle;
        }
        if before.stalled() != limits.stalled() {
            self.deadlines.stall = stall;
            // Those whose output was looked at, or might have been, are looked at anew, on the new terms.
            for slot in self.table.slots() {
                if let Some(connection) = self.table.get_mut(slot) {
                    connection.look_for_stalls_anew();
                }
                self.watch_output(slot, now);
            }
        }
    }
}

//! A stop that closes the peers one by one, evenly over a time, so that not all of them come to the next server at once.
//!
//! Owns whose turn it is and when the next one comes. Who waits for it is served as usual; who leaves meanwhile makes the others' turns
//! come later, so that the closes stay even until the end.

use std::time::Duration;

use crate::reactor::connection::stream::Stream;
use crate::reactor::departing::departure::Departure;
use crate::reactor::peers::Peers;
use crate::reactor::peers::due::tell_of_the_lost;
use crate::reactor::serving::link::Link;
use crate::reactor::source::Turn;
use crate::reactor::time::moment::Moment;
use crate::reactor::time::timers::Timers;

/// How many are closed in a turn at most: a loop that is late serves the others meanwhile.
const CLOSE_BUDGET: usize = 64;
/// How often those are counted who are left. A loop that was stopped for longer closes no crowd when it goes on.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Peers whose turn to be closed comes one after the other.
pub(super) struct OneByOne {
    /// The first slot whose peer may not have had its turn.
    slot: u32,
    /// When the next peer's turn comes.
    next: Moment,
    /// From one turn to the next.
    pace: Duration,
    count_at: Moment,
    until: Moment,
    /// When those are let go that were closed; how long each has is their distance.
    grace: Timers,
    has: Duration,
}

impl OneByOne {
    /// When something is to be done.
    pub(super) fn deadline(&self) -> Moment {
        self.next.min(self.grace.next())
    }
}

impl<S: Stream> Peers<S> {
    /// Ends all of them in an orderly way, one by one over this time. Each has `grace` from then on.
    pub(in crate::reactor) fn stop_evenly(&mut self, now: Moment, over: Duration, grace: Duration) {
        let (next, until) = (now, now + over);
        let (pace, count_at, timers) = (Duration::ZERO, now, Timers::new(grace));
        self.one_by_one = Some(Box::new(OneByOne { slot: 0, next, pace, count_at, until, grace: timers, has: grace }));
    }

    /// Closes those whose turn has come, and lets go of those who were closed and have not taken their output in time.
    pub(super) fn close_one_by_one(&mut self, turn: &Turn<'_>) {
        let Some(mut all) = self.one_by_one.take() else { return };
        self.let_go_in_time(&mut all, turn.heard);
        let mut budget = CLOSE_BUDGET;
        while all.next <= turn.heard {
            if budget == 0 {
                break;
            }
            budget -= 1;
            if all.count_at <= turn.heard {
                self.count_those_left(&mut all, turn.heard);
            }
            let mut slots = all.slot..self.table.slots().end;
            let Some(slot) = slots.find(|slot| self.table.get(*slot).is_some_and(|peer| peer.is_open())) else {
                // Whoever came by another way meanwhile is closed, too; the others have what is left of their grace.
                self.stop(turn.now + all.has);
                all.next = Moment::NEVER;
                break;
            };
            all.slot = slot + 1;
            all.next = all.next + all.pace;
            if let Some(connection) = self.table.get_mut(slot) {
                connection.close(Departure::ShutDown);
                // If there is no memory for this, it has until the end.
                let _ = all.grace.arm(turn.now, connection.id(slot));
            }
            self.table.schedule(slot);
        }
        self.one_by_one = Some(all);
    }

    /// Divides the time that is left among the peers that are left.
    fn count_those_left(&self, all: &mut OneByOne, now: Moment) {
        let slots = all.slot..self.table.slots().end;
        let left = slots.filter(|slot| self.table.get(*slot).is_some_and(|peer| peer.is_open())).count();
        all.next = all.next.max(now);
        all.pace = all.until.since(all.next) / u32::try_from(left).unwrap_or(u32::MAX).max(1);
        all.count_at = now + COUNT_EVERY;
    }

    fn let_go_in_time(&mut self, all: &mut OneByOne, now: Moment) {
        let mut lost = 0;
        while let Some(timer) = all.grace.expired(now) {
            let Some(connection) = self.table.of(timer.id).filter(|peer| peer.departure().is_none()) else { continue };
            lost += u64::from(!connection.has_delivered());
            self.let_go(timer.id.slot(), Departure::ShutDown);
        }
        tell_of_the_lost(lost);
    }
}

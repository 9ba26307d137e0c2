//! Where a turn spends its time.

use std::time::Duration;

use crate::reactor::observing::IS_THERE;
use crate::reactor::time::moment::{Clock, Moment};

/// The times of one turn's parts, in the order of a turn.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TurnTimes {
    /// Its number: the turns of a loop are counted from 1.
    pub number: u64,
    /// How many events it was woken with.
    pub events: usize,
    /// How long it waited for them.
    pub wait: Duration,
    /// Remembering what the kernel announced.
    pub latch: Duration,
    /// Driving peers.
    pub drive: Duration,
    /// Accepting newcomers.
    pub accept: Duration,
    /// Doing what was due.
    pub expire: Duration,
    /// Carrying out orders.
    pub carry_out: Duration,
    /// Freeing the slots of those that have departed, and reporting it.
    pub reap: Duration,
}

/// Times the parts of a turn, if anybody wants to know: then the clock is read after each.
#[derive(Debug, Default)]
pub(in crate::reactor) struct Stopwatch {
    /// When the part began that is going on; `None`: nobody wants to know.
    since: Option<Moment>,
    times: TurnTimes,
}

impl Stopwatch {
    /// A turn begins.
    pub(in crate::reactor) fn start(&mut self, wanted: bool, clock: Clock) {
        if IS_THERE {
            self.since = wanted.then(|| clock.now());
        }
    }

    /// A part has ended, and the next one begins.
    #[inline(always)]
    pub(in crate::reactor) fn ends(&mut self, part: fn(&mut TurnTimes) -> &mut Duration, clock: Clock) {
        if IS_THERE && self.since.is_some() {
            self.notes(part, clock);
        }
    }

    /// The times of this turn, if anybody wants to know.
    pub(in crate::reactor) fn times(&self, number: u64, events: usize) -> Option<TurnTimes> {
        self.since.filter(|_| IS_THERE).map(|_| TurnTimes { number, events, ..self.times })
    }

    #[cold]
    #[inline(never)]
    fn notes(&mut self, part: fn(&mut TurnTimes) -> &mut Duration, clock: Clock) {
        let now = clock.now();
        if let Some(since) = self.since.replace(now) {
            *part(&mut self.times) = now.since(since);
        }
    }
}

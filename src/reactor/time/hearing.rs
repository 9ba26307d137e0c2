//! The moment up to which the loop has heard all peers.
//!
//! Silence must not be judged by a clock that is ahead of what was read: a loop that was stopped, or whose batch of
//! events was full, has not yet heard the peers that spoke meanwhile. Owns the loop's clock and that judgement; knows
//! no event and no peer, only how many events came.

use std::time::Duration;

use crate::reactor::BATCH;
use crate::reactor::time::moment::{Clock, Moment};

/// A turn that comes this much later than it should was held up from outside: the process was stopped
/// or frozen, or the whole machine was.
const HELD_UP: Duration = Duration::from_secs(1);
/// After that, no silence is judged for this long: if the kernel was held up, too, what was sent
/// meanwhile is still on its way.
const SETTLE: Duration = Duration::from_secs(1);

/// The loop's clock, and the moment up to which all peers were heard.
#[derive(Debug)]
pub(crate) struct Hearing {
    pub clock: Clock,
    /// When this turn woke.
    pub now: Moment,
    /// Everything that had come by this moment was latched.
    pub heard: Moment,
    /// When the wait began, or earlier; and when it was to end.
    asked: Moment,
    until: Moment,
    /// If the batches are full: since when, and how many events they have held.
    sweep: Option<(Moment, usize)>,
    /// After the loop was held up: no silence is judged before this moment.
    settled: Moment,
}

impl Hearing {
    pub(crate) fn start() -> Self {
        let never = Moment::default();
        Self {
            clock: Clock::start(),
            now: never,
            heard: never,
            asked: never,
            until: never,
            sweep: None,
            settled: never,
        }
    }

    /// With a clock that began long ago, in another program: this turn wakes now, and nobody was heard yet.
    #[cfg(feature = "upgrade")]
    pub(crate) fn with(clock: Clock) -> Self {
        Self { clock, now: clock.now(), ..Self::start() }
    }

    /// The loop will not wait: work is left.
    pub(crate) fn does_not_wait(&mut self) {
        (self.asked, self.until) = (self.now, self.now);
    }

    /// How long the loop is to wait: until `deadline`, if there is one, and no longer than `most`.
    pub(crate) fn waits_until(&mut self, deadline: Option<Moment>, most: Duration) -> Option<Duration> {
        (self.asked, self.until) = (self.now, Moment::NEVER);
        if deadline.is_none() && most == Duration::MAX {
            return None;
        }
        self.asked = self.look_at_the_clock(self.now);
        let deadline = deadline.map_or(Moment::NEVER, |deadline| deadline.max(self.settled).max(self.asked));
        self.until = deadline.min(self.asked + most);
        Some(self.until.since(self.asked))
    }

    /// When the wait began, if the clock was read then.
    pub(crate) fn began_to_wait(&self) -> Option<Moment> {
        (self.asked != self.now).then_some(self.asked)
    }

    /// The loop wakes.
    pub(crate) fn wakes(&mut self) {
        self.now = self.look_at_the_clock(self.until);
    }

    /// A wait has returned `count` events, which were latched; there are `connected` peers.
    pub(crate) fn hear(&mut self, count: usize, connected: impl FnOnce() -> usize) {
        let mut heard = self.asked;
        if count == BATCH {
            // The kernel reports ready peers in rotation: a peer that was ready at the start is reported
            // before any peer is reported twice.
            let (began, told) = self.sweep.get_or_insert((self.asked, 0));
            *told += BATCH;
            if *told < connected() + BATCH {
                return;
            }
            heard = *began;
        } else if count == 0 {
            // Nothing came until the time was up.
            heard = self.until.min(self.now);
        }
        self.sweep = None;
        if self.settled <= self.now {
            self.heard = self.heard.max(heard);
        }
    }

    /// Reads the clock, which should be at `expected`. If the loop was held up, the kernel may have been, too.
    fn look_at_the_clock(&mut self, expected: Moment) -> Moment {
        let now = self.clock.now();
        if expected + HELD_UP < now {
            self.settled = now + SETTLE;
        }
        now
    }
}

//! When a silent peer is gone: an interval of time for each state that TCP may be in.

use std::fmt;
use std::time::Duration;

use crate::keepalive::owing::ANSWER;
use crate::keepalive::{Guard, Keepalive, RTO_MAX, RTO_MIN};
use crate::seconds::Seconds;

/// How long after data were sent, or the window was shut, the clock of a user timeout starts: after the minimum
/// retransmission time-out, or later if a loss probe is sent first.
const CLOCK_STARTS: (Duration, Duration) = (RTO_MIN, Duration::from_millis(450));
/// How far below the deadline a user timeout is set, to make up for that late start.
const HEAD_START: Duration = Duration::from_millis(500);
/// The least distance between a user timeout and a keepalive tick at which it must not have passed yet.
pub(super) const MARGIN: Duration = Duration::from_millis(50);
/// How often the kernel retransmits outstanding data, or probes a shut window, before it gives up: the default of
/// `tcp_retries2` (tcp(7)). Each wait is twice as long as the one before.
const TRIES: u32 = 15;
/// How long the kernel waits when its own transmit queue has refused a packet (`TCP_RESOURCE_PROBE_INTERVAL`).
const REFUSED_AGAIN: Duration = Duration::from_millis(500);
/// How late the loop may be, in addition to the tick of the clock: `poll` counts in milliseconds, and a turn
/// may be under way.
const TURN: Duration = Duration::from_millis(50);

/// What TCP is doing when the peer falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is outstanding. The time runs from the last packet received.
    Idle,
    /// Data are unacknowledged. The time runs from the last packet received, or under a user timeout from the
    /// moment when they were sent.
    InFlight,
    /// The peer's window is shut and data wait. The time runs from the last packet received, or under a user
    /// timeout from the moment when the window was shut.
    WindowShut,
    /// The peer's window was shut under data that it has not acknowledged. The time runs as for a shut window.
    Shrunk,
    /// Both ends have data unacknowledged, and only our packets are lost: the peer's retransmissions keep
    /// arriving. The time runs from the last packet that proves that the peer receives ours, or under a user timeout
    /// from the moment when our data were sent.
    Deaf,
    /// Idle, and the server's own transmit queue has accepted nothing since before the first probe. The kernel does
    /// not count a probe that was refused there, and tries again (`tcp_keepalive_timer`, NET_XMIT_DROP). The time
    /// runs from the moment when the queue accepts packets again.
    QueueStuck,
}

/// When a silent peer is gone: not before `from`, and not after `to` plus the time that a busy
/// machine needs to run a timer. [`State`] says from when the time runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// The earliest time.
    pub from: Duration,
    /// The latest time.
    pub to: Duration,
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} s", Seconds(self.from), Seconds(self.to))
    }
}

impl Keepalive {
    /// By when a peer should be found that falls silent, in whichever state of TCP. `None` if nothing keeps a deadline.
    pub fn latest(&self) -> Option<Duration> {
        let states = [State::Idle, State::InFlight, State::WindowShut, State::Shrunk, State::Deaf];
        states.into_iter().filter_map(|state| self.predict(state)).map(|prediction| prediction.to).max()
    }

    /// When a peer that falls silent in `state` is gone. `None`: no deadline holds, the kernel
    /// retransmits for 15 minutes or more.
    ///
    /// Under a user timeout this holds for a path whose round trip is short compared with the minimum
    /// retransmission time-out (0.2 s); a longer round trip adds about three times its own length.
    pub fn predict(&self, state: State) -> Option<Prediction> {
        match (state, self.guard) {
            (State::QueueStuck, _) => Some(Prediction {
                from: self.interval * self.count,
                to: REFUSED_AGAIN
                    + self.wheel.grain(REFUSED_AGAIN)
                    + (self.interval + self.wheel.grain(self.interval)) * self.count,
            }),
            (State::Idle, Guard::UserTimeout(timeout)) => Some(Prediction {
                from: self.tick(first_probe(|k| self.late_tick(k) >= timeout)),
                to: self.late_tick(first_probe(|k| self.tick(k) >= timeout)).min(self.next_tick(timeout)),
            }),
            (State::Idle, _) => Some(Prediction {
                from: self.deadline(),
                to: self.splits().iter().map(|split| split.late_tick(split.count)).max()?,
            }),
            (State::Shrunk, Guard::Loop { rto_max }) => Some(Prediction {
                from: self.deadline().min(rto_max.unwrap_or(RTO_MAX) * 2),
                to: self.deadline() + self.wheel.tick * 2 + TURN + ANSWER,
            }),
            (State::Deaf, Guard::Loop { .. }) => Some(Prediction {
                from: self.deadline(),
                to: self.deadline() + self.wheel.tick * 2 + TURN + CLOCK_STARTS.1,
            }),
            (_, Guard::Loop { .. }) => Some(Prediction {
                from: self.deadline().min(gives_up(TRIES, self.pace())),
                to: self.deadline() + self.wheel.tick * 2 + TURN,
            }),
            (_, Guard::UserTimeout(timeout)) => Some(Prediction {
                from: timeout + CLOCK_STARTS.0,
                to: timeout + CLOCK_STARTS.1 + self.grain_of_backoff(timeout),
            }),
            (_, Guard::Nobody) => None,
        }
    }

    /// When the kernel gives up a silent peer by itself, with `tries` as its `tcp_retries2`, if that is before the
    /// deadline.
    pub fn given_up_after(&self, tries: u32) -> Option<Duration> {
        let after = gives_up(tries, self.pace());
        (matches!(self.guard, Guard::Loop { .. }) && after < self.deadline()).then_some(after)
    }

    /// How long the connection of an idle peer is silent at most: if every probe is answered, if one is lost, if two
    /// in a row are lost, and so on, until all but the last are lost. This includes peers that connected together,
    /// which may be probed later ([`Keepalive::splits`]).
    pub fn silences(&self) -> Vec<Duration> {
        let splits = self.splits();
        let most = splits.iter().map(|split| split.count).max().unwrap_or_default();
        let longest = |lost: u32| splits.iter().map(|split| split.late_tick(lost.min(split.count - 1))).max();
        (0..most).filter_map(longest).collect()
    }

    /// The `k`-th tick of the keepalive timer after the first probe, if no timer is late.
    pub(super) fn tick(&self, k: u32) -> Duration {
        self.idle + self.interval * k
    }

    /// The same tick, if every timer until then is as late as the wheel allows, and the last sign of
    /// life was the answer to a probe, so that the first tick is at least an interval away.
    pub(super) fn late_tick(&self, k: u32) -> Duration {
        let first = self.idle.max(self.interval);
        // After a probe the timer is set when a bucket of the wheel has just come due.
        let intervals = (self.interval + self.wheel.rest(self.interval)) * k.saturating_sub(1);
        let grains = self.wheel.grain(first) + self.wheel.grain(self.interval) * k.min(1);
        first + grains + self.interval * k.min(1) + intervals
    }

    /// The latest time of the first tick past `timeout`: ticks are never further apart than an interval and its
    /// grain.
    fn next_tick(&self, timeout: Duration) -> Duration {
        timeout.max(self.late_tick(0)) + self.interval + self.wheel.grain(self.interval)
    }

    /// How late the last retransmission or window probe may be. Each wait is twice as long as the one
    /// before, so the last one is at most half of the whole.
    pub(super) fn grain_of_backoff(&self, timeout: Duration) -> Duration {
        self.wheel.grain(timeout / 2)
    }

    /// The user timeout to fall back on: it passes no later than the deadline in any state, and never
    /// before the last probe but one has had its full interval, however late the timers before it were.
    pub(super) fn longest_user_timeout(&self) -> Duration {
        let before_deadline = self.deadline() - HEAD_START;
        let late_end = self.late_tick(self.count);
        let in_flight = late_end.saturating_sub(CLOCK_STARTS.1 + self.grain_of_backoff(late_end));
        let keeps_the_count = self.late_tick(self.count - 1) + MARGIN;
        let tenths = |timeout: Duration| timeout.as_millis() as u64 / 100 * 100;
        Duration::from_millis(tenths(before_deadline.min(in_flight))).max(whole_milliseconds(keeps_the_count))
    }
}

/// The earliest time at which the kernel gives up outstanding data by itself, after this many tries.
pub(super) fn gives_up(tries: u32, rto_max: Duration) -> Duration {
    (0..=tries.min(TRIES)).map(|tries| rto_max.min(CLOCK_STARTS.0 * 2u32.pow(tries))).sum()
}

/// The first probe, counted from 1, for which `over` holds. `over` must hold for all later probes, too.
pub(super) fn first_probe(over: impl Fn(u32) -> bool) -> u32 {
    // A binary search, because a fixed user timeout may be days long and an interval one second.
    let mut range = (1, u32::MAX / 2);
    while range.0 < range.1 {
        let middle = range.0 + (range.1 - range.0) / 2;
        if over(middle) { range.1 = middle } else { range.0 = middle + 1 }
    }
    range.0
}

pub(super) fn whole_milliseconds(duration: Duration) -> Duration {
    Duration::from_millis(duration.as_nanos().div_ceil(1_000_000) as u64)
}

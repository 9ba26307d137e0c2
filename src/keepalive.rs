//! Keepalive and its deadline: how long a silent peer may be kept.
//!
//! Owns the arithmetic of idle, interval, count and user timeout, and the one function that puts
//! them on a socket. Knows nothing of the reactor, of arguments, or of what is told to people.
//!
//! ```text
//!  the last sign of life                                                          gone: ETIMEDOUT
//!  │                                                                                            │
//!  ├────── idle ──────┬─────── interval ────────┬─────── interval ────────┬─────── interval ────┤
//!  │                  probe 1                   probe 2                   probe 3 (= count)     │
//!  0 s                5 s                       15 s                      25 s               35 s
//!  └──────────────────────────── deadline = idle + interval × count ───────────────────────────┘
//!                                                                               └ user timeout
//! ```
//!
//! The facts that the arithmetic stands on, each with its source:
//!
//! - Keepalive probes go out only while nothing is outstanding (RFC 9293 §3.8.4, MUST-26). Data in
//!   flight and a shut window are timed by the retransmission and the window-probe timer, which
//!   give up after `tcp_retries2` tries: 15 minutes and more (tcp(7)).
//! - `TCP_USER_TIMEOUT` bounds those two as well (RFC 5482, tcp(7)), but once it is set the kernel
//!   **ignores the count**: an idle peer is gone at the first tick `idle + k × interval`, k ≥ 1, at
//!   which the user timeout has passed and a probe is unanswered (`tcp_keepalive_timer` in Linux's
//!   `net/ipv4/tcp_timer.c`). Below `idle + interval` one lost probe is fatal, which MUST-29
//!   forbids; a little above the deadline costs a whole interval.
//! - Its clock does not start with the last sign of life, but with the first retransmission, or the
//!   first window probe: 0.2 s after the data were sent or the window was shut (the least
//!   retransmission time-out), and 0.45 s where a loss probe is sent first, on a path whose round
//!   trip is short ([`Keepalive::predict`]; `tests/dead_peer.rs` measures it).
//! - A kernel timer is never early, and late by up to the grain of the timer wheel
//!   ([`TimerWheel::grain`]). So a prediction is an interval, not a number.

use std::fmt;
use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// The longest idle time and interval that Linux takes, in seconds (`MAX_TCP_KEEPIDLE`).
const MOST_SECONDS: u64 = 32767;
/// The highest probe count that Linux takes (`MAX_TCP_KEEPCNT`).
const MOST_PROBES: u32 = 127;
/// How long after data were sent, or the window was shut, the user timeout's clock starts: at the
/// least retransmission time-out (`TCP_RTO_MIN`), or that after a loss probe.
const CLOCK_STARTS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(450));
/// A user timeout this much below the deadline is over when the deadline is, in spite of that start.
const HEAD_START: Duration = Duration::from_millis(500);
/// What keeps a user timeout apart from the tick that it must not meet.
const MARGIN: Duration = Duration::from_millis(50);

/// The kernel's timer wheel (`kernel/time/timer.c`): the further away a timer, the coarser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerWheel {
    tick: Duration,
}

impl TimerWheel {
    /// A wheel that turns once a `tick`: 4 ms where the kernel was built with `HZ=250`.
    pub const fn with_tick(tick: Duration) -> Self {
        Self { tick }
    }

    /// How late a timer may fire that was set `ahead`. The wheel has levels of 64 buckets, each
    /// level eight times as coarse as the one before.
    pub fn grain(self, ahead: Duration) -> Duration {
        let ticks = ahead.as_nanos().div_ceil(self.tick.as_nanos().max(1));
        let mut level = 0;
        while level < 8 && ticks >= 63 << (3 * level) {
            level += 1;
        }
        self.tick * (1 << (3 * level))
    }
}

impl Default for TimerWheel {
    /// `HZ=250`, as most distributions build their kernels.
    fn default() -> Self {
        Self::with_tick(Duration::from_millis(4))
    }
}

/// What is to become of a peer whose data are unacknowledged, or whose window is shut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserTimeout {
    /// As long as the deadline allows without undoing the count ([`Keepalive::user_timeout`]).
    #[default]
    Auto,
    /// None: the kernel tries for 15 minutes and more, and the deadline holds for idle peers only.
    Off,
    /// This long, in whole milliseconds.
    Fixed(Duration),
}

/// What TCP is doing when the peer falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is outstanding. Counted from the last packet heard.
    Idle,
    /// Data are unacknowledged. Counted from the moment when they were sent.
    InFlight,
    /// The peer's window is shut and data wait. Counted from the moment when it was shut.
    WindowShut,
}

/// When the kernel lets a silent peer go: not before `from`, and not after `to` plus what a busy
/// machine takes to run a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    pub from: Duration,
    pub to: Duration,
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} to {:.1} s", self.from.as_secs_f64(), self.to.as_secs_f64())
    }
}

/// A value that the kernel refuses, or that cannot keep its promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The setting: `idle`, `interval`, `count`, `deadline` or `user-timeout`.
    pub setting: &'static str,
    /// The value as a person would write it.
    pub given: String,
    /// What is wrong with it, and what would be right.
    pub because: String,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.setting, self.given, self.because)
    }
}

impl std::error::Error for Unfit {}

/// The settings of a listener, complete: checked, and with the user timeout worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keepalive {
    idle: Duration,
    interval: Duration,
    count: u32,
    user_timeout: Option<Duration>,
    wheel: TimerWheel,
}

impl Default for Keepalive {
    /// Idle 5 s, interval 10 s, count 3: a deadline of 35 s.
    fn default() -> Self {
        let mut keepalive = Self {
            idle: Duration::from_secs(5),
            interval: Duration::from_secs(10),
            count: 3,
            user_timeout: None,
            wheel: TimerWheel::default(),
        };
        keepalive.user_timeout = Some(keepalive.longest_user_timeout());
        keepalive
    }
}

impl Keepalive {
    /// Takes the three settings as they are, with the user timeout on [`UserTimeout::Auto`].
    ///
    /// # Errors
    /// A value out of the kernel's range: idle and interval are whole seconds from 1 to 32767, the
    /// count is 1 to 127 (tcp(7)).
    pub fn new(idle: Duration, interval: Duration, count: u32) -> Result<Self, Unfit> {
        whole_seconds("idle", idle)?;
        whole_seconds("interval", interval)?;
        if !(1..=MOST_PROBES).contains(&count) {
            return Err(unfit("count", count.to_string(), format!("the kernel takes 1 to {MOST_PROBES}")));
        }
        let keepalive = Self { idle, interval, count, ..Self::default() };
        keepalive.with_user_timeout(UserTimeout::Auto)
    }

    /// Derives idle, interval and count from one number.
    ///
    /// Three probes, two sevenths of the deadline apart, which makes 35 s the default settings and
    /// leaves the odd seconds to idle. A deadline of 3 s has room for two probes.
    ///
    /// # Errors
    /// A part of a second, or less than 3 s: with one probe, one lost packet would end a living
    /// peer, which RFC 9293 (MUST-29) forbids. More than what the kernel's ranges allow.
    pub fn with_deadline(deadline: Duration) -> Result<Self, Unfit> {
        let given = || humantime::format_duration(deadline).to_string();
        let seconds = deadline.as_secs();
        if deadline.subsec_nanos() != 0 {
            let because = format!(
                "the kernel counts in whole seconds; {}s or {}s would do",
                seconds.max(3),
                (seconds + 1).max(3)
            );
            return Err(unfit("deadline", given(), because));
        }
        if seconds < 3 {
            let because = "too short for a probe to be lost and another to be answered; 3s is the least".to_string();
            return Err(unfit("deadline", given(), because));
        }
        let count = if seconds < 4 { 2 } else { 3 };
        let interval = (seconds * 2 / 7).max(1);
        let idle = seconds - interval * u64::from(count);
        if interval > MOST_SECONDS || idle > MOST_SECONDS {
            let most = MOST_SECONDS * 7 / 2;
            return Err(unfit(
                "deadline",
                given(),
                format!("longer than the kernel's timers reach; {most}s is the most"),
            ));
        }
        Self::new(Duration::from_secs(idle), Duration::from_secs(interval), count)
    }

    /// Chooses the user timeout.
    ///
    /// # Errors
    /// A fixed one that is not a whole number of milliseconds from 1 to 2147483647 (tcp(7)).
    pub fn with_user_timeout(mut self, choice: UserTimeout) -> Result<Self, Unfit> {
        self.user_timeout = match choice {
            UserTimeout::Auto => Some(self.longest_user_timeout()),
            UserTimeout::Off => None,
            UserTimeout::Fixed(timeout) => {
                if !(1..=i32::MAX as u128).contains(&timeout.as_millis())
                    || !timeout.subsec_nanos().is_multiple_of(1_000_000)
                {
                    let given = humantime::format_duration(timeout).to_string();
                    let because =
                        format!("the kernel takes whole milliseconds, 1ms to {}ms; \"off\" sets none", i32::MAX);
                    return Err(unfit("user-timeout", given, because));
                }
                Some(timeout)
            }
        };
        Ok(self)
    }

    /// Reckons with the timer wheel of a kernel whose tick is not the usual 4 ms. A user timeout
    /// that was derived is derived again: call this before [`Keepalive::with_user_timeout`].
    pub fn on_wheel(mut self, wheel: TimerWheel) -> Self {
        self.wheel = wheel;
        self.user_timeout = self.user_timeout.map(|_| self.longest_user_timeout());
        self
    }

    /// `idle + interval × count`.
    pub fn deadline(&self) -> Duration {
        self.tick(self.count)
    }

    pub fn idle(&self) -> Duration {
        self.idle
    }

    pub fn interval(&self) -> Duration {
        self.interval
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    /// What `TCP_USER_TIMEOUT` is set to, in whole milliseconds; `None` where it is off.
    pub fn user_timeout(&self) -> Option<Duration> {
        self.user_timeout
    }

    /// When a peer that falls silent in `state` is gone. `None`: no deadline holds, the kernel
    /// tries for 15 minutes and more.
    ///
    /// In flight and with the window shut this is reckoned for a path whose round trip is short
    /// beside the least retransmission time-out (0.2 s); a longer one comes on top, about thrice.
    pub fn predict(&self, state: State) -> Option<Prediction> {
        match (state, self.user_timeout) {
            (State::Idle, None) => Some(Prediction { from: self.tick(self.count), to: self.late_tick(self.count) }),
            (State::Idle, Some(timeout)) => Some(Prediction {
                from: self.tick(first_probe(|k| self.late_tick(k) >= timeout)),
                to: self.late_tick(first_probe(|k| self.tick(k) >= timeout)).min(self.next_tick(timeout)),
            }),
            (_, None) => None,
            (_, Some(timeout)) => Some(Prediction {
                from: timeout + CLOCK_STARTS.0,
                to: timeout + CLOCK_STARTS.1 + self.grain_of_backoff(timeout),
            }),
        }
    }

    /// What the kernel takes but a person should know: each with what would be right.
    pub fn warnings(&self) -> Vec<Unfit> {
        let mut warnings = Vec::new();
        if self.count == 1 {
            let because = "one lost packet ends a living peer (RFC 9293 MUST-29); 2 or more would not";
            warnings.push(unfit("count", "1".to_string(), because.to_string()));
        }
        match self.user_timeout {
            None => {
                let because = "the deadline holds for idle peers only: with data unacknowledged or the window shut \
                               a dead peer is kept for 15 minutes and more; \"auto\" would let it go in time";
                warnings.push(unfit("user-timeout", "off".to_string(), because.to_string()));
            }
            Some(timeout) => warnings.extend(self.warning_of(timeout)),
        }
        warnings
    }

    fn warning_of(&self, timeout: Duration) -> Option<Unfit> {
        let probes = first_probe(|k| self.late_tick(k) >= timeout);
        let right = format!("\"auto\" is {}", humantime::format_duration(self.longest_user_timeout()));
        let because = if probes < self.count {
            let fatal =
                if probes == 1 { "one lost packet ends a living peer".to_string() } else { format!("{probes} do") };
            format!("undoes the count: of {} probes {fatal}, after {}; {right}", self.count, seconds(self.tick(probes)))
        } else if self.tick(self.count) < timeout && self.late_tick(self.count - 1) + MARGIN < self.deadline() {
            let late = self.tick(first_probe(|k| self.tick(k) >= timeout));
            format!(
                "longer than the deadline of {}: an idle peer is kept for {}; {right}",
                seconds(self.deadline()),
                seconds(late)
            )
        } else {
            return None;
        };
        Some(unfit("user-timeout", humantime::format_duration(timeout).to_string(), because))
    }

    /// Puts the settings on a socket. On a listener they are inherited by what it accepts (Linux).
    ///
    /// # Errors
    /// What setsockopt(2) says.
    pub fn apply(&self, socket: &SockRef<'_>) -> io::Result<()> {
        let probes = TcpKeepalive::new().with_time(self.idle).with_interval(self.interval).with_retries(self.count);
        socket.set_tcp_keepalive(&probes)?; // SO_KEEPALIVE too
        socket.set_tcp_user_timeout(self.user_timeout)
    }

    /// Whether a socket has just these settings: asked of the first one that is accepted.
    ///
    /// # Errors
    /// What getsockopt(2) says.
    pub fn is_applied(&self, socket: &SockRef<'_>) -> io::Result<bool> {
        Ok(socket.keepalive()?
            && socket.tcp_keepalive_time()? == self.idle
            && socket.tcp_keepalive_interval()? == self.interval
            && socket.tcp_keepalive_retries()? == self.count
            && socket.tcp_user_timeout()?.unwrap_or_default() == self.user_timeout.unwrap_or_default())
    }

    /// The keepalive timer's `k`-th tick after the first probe, if no timer is late.
    fn tick(&self, k: u32) -> Duration {
        self.idle + self.interval * k
    }

    /// The same tick, if every timer on the way is as late as the wheel allows.
    fn late_tick(&self, k: u32) -> Duration {
        self.tick(k) + self.wheel.grain(self.idle) + self.wheel.grain(self.interval) * k
    }

    /// The latest tick after the first probe that is the first one past `timeout`: ticks are never
    /// further apart than an interval and its grain.
    fn next_tick(&self, timeout: Duration) -> Duration {
        timeout.max(self.late_tick(0)) + self.interval + self.wheel.grain(self.interval)
    }

    /// How late the last retransmission or window probe may be. Each waits twice as long as the one
    /// before, so the last wait is at most half of the whole.
    fn grain_of_backoff(&self, timeout: Duration) -> Duration {
        self.wheel.grain(timeout / 2)
    }

    /// The user timeout that `auto` means: over no later than the deadline in any state, and never
    /// before the last probe but one had its full interval, however late the timers before it.
    fn longest_user_timeout(&self) -> Duration {
        let before_deadline = self.deadline() - HEAD_START;
        let late_end = self.late_tick(self.count);
        let in_flight = late_end.saturating_sub(CLOCK_STARTS.1 + self.grain_of_backoff(late_end));
        let keeps_the_count = self.late_tick(self.count - 1) + MARGIN;
        let tenths = |timeout: Duration| timeout.as_millis() as u64 / 100 * 100;
        Duration::from_millis(tenths(before_deadline.min(in_flight))).max(whole_milliseconds(keeps_the_count))
    }
}

/// The first probe, from 1, for which `over` holds. `over` must hold in the end.
fn first_probe(over: impl Fn(u32) -> bool) -> u32 {
    // A fixed user timeout may be days away from an interval of a second: search by halves.
    let mut range = (1, u32::MAX / 2);
    while range.0 < range.1 {
        let middle = range.0 + (range.1 - range.0) / 2;
        if over(middle) { range.1 = middle } else { range.0 = middle + 1 }
    }
    range.0
}

fn whole_milliseconds(duration: Duration) -> Duration {
    Duration::from_millis(duration.as_nanos().div_ceil(1_000_000) as u64)
}

fn whole_seconds(setting: &'static str, value: Duration) -> Result<(), Unfit> {
    if value.subsec_nanos() == 0 && (1..=MOST_SECONDS).contains(&value.as_secs()) {
        return Ok(());
    }
    let given = humantime::format_duration(value).to_string();
    Err(unfit(setting, given, format!("the kernel takes whole seconds, 1s to {MOST_SECONDS}s")))
}

fn unfit(setting: &'static str, given: String, because: String) -> Unfit {
    Unfit { setting, given, because }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests;

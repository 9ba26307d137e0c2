//! Keepalive and its deadline: how long a silent peer may be kept.
//!
//! Owns the arithmetic of idle, interval, count and user timeout, and the one function that puts
//! them on a socket. Knows nothing of the reactor, of arguments, or of what is shown to people.
//!
//! ```text
//!  the last sign of life                                                          gone: ETIMEDOUT
//!  │                                                                                            │
//!  ├────────────┬─ interval ─┬─ interval ─┬─ interval ─┬─ interval ─┬─ interval ─┬─ interval ─┤
//!  │    idle    probe 1      2            3            4            5            6 (= count)    │
//!  0 s          5 s          10 s         15 s         20 s         25 s         30 s        35 s
//!  └──────────────────────────── deadline = idle + interval × count ───────────────────────────┘
//!
//!  and with output outstanding, when there are no probes:
//!  ├─┬─┬───┬───────┬────────────┬────────────┬───────── retransmissions, or probes of a shut ───┤
//!  │  0.2, 0.4, 0.8 … s, at most rto_max apart           window, until the loop says: dead      │
//! ```
//!
//! The facts that the arithmetic stands on, each with its source:
//!
//! - A peer that answers a probe is asked again when both idle and the interval have passed: the
//!   timer was set an interval ahead when the probe went out (`tcp_keepalive_timer` in Linux's
//!   `net/ipv4/tcp_timer.c`). So with an interval longer than idle the deadline is missed by the
//!   difference, once a probe was answered: idle 5 s, interval 10 s, count 3 keep a peer for 40 s
//!   (`tests/dead_peer.rs`). What is derived here has no interval longer than idle.
//! - Keepalive probes go out only while nothing is outstanding (RFC 9293 §3.8.4, MUST-26). Data in
//!   flight and a shut window are timed by the retransmission and the window-probe timer, which
//!   give up after `tcp_retries2` tries: 15 minutes and more (tcp(7)).
//! - `TCP_USER_TIMEOUT` bounds those two as well (RFC 5482, tcp(7)), at a price. The kernel then
//!   **ignores the count**: an idle peer is gone at the first tick `idle + k × interval`, k ≥ 1, at
//!   which the user timeout has passed and a probe is unanswered (`tcp_keepalive_timer`). Below
//!   `idle + interval` one lost probe is fatal, which MUST-29 forbids; a little above the deadline
//!   costs a whole interval. And a **living** peer that keeps its window shut for that long is let go,
//!   though its kernel answers every probe (against MUST-37).
//! - Its clock does not start with the last sign of life, but with the first retransmission, or the
//!   first window probe: 0.2 s after the data were sent or the window was shut (the least
//!   retransmission time-out), and 0.45 s where a loss probe is sent first, on a path whose round
//!   trip is short ([`Keepalive::predict`]; `tests/dead_peer.rs` measures it).
//! - So the loop keeps the deadline itself where it can: `TCP_INFO` says when the last ACK came, and the
//!   kernel is made to try often enough for a living peer to answer in time (`owing.rs`).
//! - A kernel timer is never early, and late by up to the grain of the timer wheel
//!   ([`TimerWheel::grain`]). So a prediction is an interval, not a number.
#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use self::owing::Asking;
use self::prediction::whole_milliseconds;
pub use self::prediction::{Prediction, State};
pub use self::timer_wheel::TimerWheel;
pub use self::unfit::Unfit;
pub(crate) use self::unfit::unfit;
use self::unfit::{MOST_SECONDS, whole_seconds};
use crate::seconds::InWords;
use crate::sockopt;
use crate::tcp_info::TcpInfo;

// The lab uses one part of it, and the plan another.
#[cfg(any(feature = "lab", feature = "plan"))]
#[cfg_attr(not(all(feature = "lab", feature = "plan")), allow(dead_code))]
pub(crate) mod odds;
pub(crate) mod owing;
mod prediction;
mod timer_wheel;
mod unfit;

/// The highest probe count that Linux takes (`MAX_TCP_KEEPCNT`).
const MOST_PROBES: u32 = 127;
/// The range of `TCP_RTO_MAX_MS`.
const RTO_MAX: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(120));

/// The choice of a user timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserTimeout {
    /// None where the loop can keep the deadline; otherwise the longest that keeps the deadline without
    /// undoing the count.
    #[default]
    Auto,
    /// The loop keeps the deadline, as on a kernel without `TCP_RTO_MAX_MS`: with a user timeout that
    /// slides for a peer whose window is shut.
    Sliding,
    /// None, and the loop does not look either: keepalive alone.
    Off,
    /// This long, in whole milliseconds.
    Fixed(Duration),
}

/// What keeps the deadline while output is outstanding, when keepalive sends no probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The loop: it looks for a sign of life of a peer that it has written to (`owing.rs`). The kernel
    /// lets at most `rto_max` pass between two tries; `None` where it has no such option.
    Loop {
        /// The longest retransmission time-out (`TCP_RTO_MAX_MS`), where the kernel has that option.
        rto_max: Option<Duration>,
    },
    /// The kernel, by `TCP_USER_TIMEOUT`.
    UserTimeout(Duration),
    /// Nothing: the kernel tries for 15 minutes and more.
    Nobody,
}

/// The complete settings of a listener: checked, and with the rest derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keepalive {
    idle: Duration,
    interval: Duration,
    count: u32,
    guard: Guard,
    wheel: TimerWheel,
}

impl Default for Keepalive {
    /// Idle 5 s, interval 5 s, count 6: a deadline of 35 s.
    fn default() -> Self {
        let (idle, interval, count) = (Duration::from_secs(5), Duration::from_secs(5), 6);
        let keepalive = Self { idle, interval, count, guard: Guard::Nobody, wheel: TimerWheel::default() };
        let guard = Guard::Loop { rto_max: Some(keepalive.longest_rto_max()) };
        Self { guard, ..keepalive }
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
    /// Six probes, a seventh of the deadline apart, which makes 35 s the default settings and leaves
    /// the odd seconds to idle. A deadline of less than 7 s has room for three, one of 3 s for two.
    ///
    /// # Errors
    /// A part of a second, or less than 3 s: with one probe, one lost packet would end a living
    /// peer, which RFC 9293 (MUST-29) forbids. More than what the kernel's ranges allow.
    pub fn with_deadline(deadline: Duration) -> Result<Self, Unfit> {
        let given = || InWords(deadline).to_string();
        let seconds = deadline.as_secs();
        if deadline.subsec_nanos() != 0 {
            // The whole seconds below and above; or only the least, if that is above.
            let would_do = |seconds| InWords(Duration::from_secs(seconds)).to_string();
            let below = if seconds < 3 { String::new() } else { would_do(seconds) + " or " };
            let because =
                format!("the kernel counts in whole seconds; {below}{} would do", would_do((seconds + 1).max(3)));
            return Err(unfit("deadline", given(), because));
        }
        if seconds < 3 {
            let because = "too short for a probe to be lost and another to be answered; 3s is the least".to_string();
            return Err(unfit("deadline", given(), because));
        }
        let count = match seconds {
            ..4 => 2,
            4..7 => 3,
            _ => 6,
        };
        let interval = (seconds / 7).max(1);
        let idle = seconds - interval * u64::from(count);
        if interval > MOST_SECONDS || idle > MOST_SECONDS {
            let most = InWords(Duration::from_secs(MOST_SECONDS * 7));
            let because = format!("longer than the kernel's timers reach; {most} is the most");
            return Err(unfit("deadline", given(), because));
        }
        Self::new(Duration::from_secs(idle), Duration::from_secs(interval), count)
    }

    /// Chooses the user timeout.
    ///
    /// # Errors
    /// A fixed one that is not a whole number of milliseconds from 1 to 2147483647 (tcp(7)).
    pub fn with_user_timeout(mut self, choice: UserTimeout) -> Result<Self, Unfit> {
        self.guard = match choice {
            UserTimeout::Auto => Guard::Loop { rto_max: Some(self.longest_rto_max()) },
            UserTimeout::Sliding => Guard::Loop { rto_max: None },
            UserTimeout::Off => Guard::Nobody,
            UserTimeout::Fixed(timeout) => {
                if !(1..=i32::MAX as u128).contains(&timeout.as_millis()) || timeout.subsec_nanos() % 1_000_000 != 0 {
                    let given = InWords(timeout).to_string();
                    let most = InWords(Duration::from_millis(i32::MAX as u64));
                    let because = format!("the kernel takes whole milliseconds, 1ms to {most}; \"off\" sets none");
                    return Err(unfit("user-timeout", given, because));
                }
                Guard::UserTimeout(timeout)
            }
        };
        Ok(self)
    }

    /// Computes with the timer wheel of a kernel whose tick is not the usual 4 ms.
    pub fn on_wheel(mut self, wheel: TimerWheel) -> Self {
        self.wheel = wheel;
        self
    }

    /// The same for a kernel whose `TCP_INFO` reports nothing: there the loop cannot look, and a user
    /// timeout is used instead, at its price.
    pub fn without_tcp_info(mut self) -> Self {
        if let Guard::Loop { .. } = self.guard {
            self.guard = Guard::UserTimeout(self.longest_user_timeout());
        }
        self
    }

    /// These settings, and others with the same deadline but a longer idle time, up to twice as long: so
    /// that a crowd of peers is not probed in one instant. Settings that a person chose are left alone,
    /// and so are those with a user timeout, which fits one split only.
    pub fn splits(&self) -> Vec<Self> {
        let derived = Self::with_deadline(self.deadline());
        let is_derived = derived.is_ok_and(|other| (other.idle, other.count) == (self.idle, self.count));
        let (deadline, mut idle) = (self.deadline().as_secs(), self.idle.as_secs());
        let (longest, step) = ((idle * 2).min(MOST_SECONDS), (idle / 8).max(1));
        let mut splits = vec![self.clone()];
        while is_derived && matches!(self.guard, Guard::Loop { .. }) && idle + step <= longest.min(deadline) {
            idle += step;
            let probing = deadline - idle;
            let divides = |count: &u32| {
                let count = u64::from(*count);
                probing % count == 0 && (1..=idle).contains(&(probing / count))
            };
            if let Some(count) = (self.count..=MOST_PROBES).find(divides) {
                let interval = Duration::from_secs(probing / u64::from(count));
                splits.push(Self { idle: Duration::from_secs(idle), interval, count, ..self.clone() });
            }
        }
        splits
    }

    /// Another split, with the same choice of user timeout, on the same kernel.
    ///
    /// # Errors
    /// See [`Keepalive::new`].
    #[cfg(feature = "plan")]
    pub fn split_into(&self, idle: Duration, interval: Duration, count: u32) -> Result<Self, Unfit> {
        let other = Self::new(idle, interval, count)?.on_wheel(self.wheel);
        Ok(if let Guard::Loop { rto_max: Some(_) } = self.guard { other } else { Self { guard: self.guard, ..other } })
    }

    /// `idle + interval × count`.
    pub fn deadline(&self) -> Duration {
        self.tick(self.count)
    }

    /// How long the peer must be silent before the first probe (`TCP_KEEPIDLE`).
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// How long after an unanswered probe the next one follows (`TCP_KEEPINTVL`).
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// How many probes may stay unanswered (`TCP_KEEPCNT`).
    pub fn count(&self) -> u32 {
        self.count
    }

    /// What keeps the deadline while output is outstanding.
    pub fn guard(&self) -> Guard {
        self.guard
    }

    /// The terms on which the loop looks for signs of life; `None` where it does not. A tick is added to
    /// the deadline, because the kernel counts silence in ticks: so no peer is taken for dead early.
    pub fn asking(&self) -> Option<Asking> {
        let Guard::Loop { rto_max } = self.guard else { return None };
        Some(Asking { deadline: self.deadline() + self.wheel.tick, pace: self.pace(), rto_max })
    }

    fn user_timeout(&self) -> Option<Duration> {
        if let Guard::UserTimeout(timeout) = self.guard { Some(timeout) } else { None }
    }

    /// Puts the settings on a socket. Accepted sockets inherit them from their listener (Linux).
    ///
    /// What this kernel cannot do is found out by trying, and the settings are changed to match: an option
    /// counts as set if it can be read back, and the loop looks only where `TCP_INFO` reports something. A
    /// sandbox may accept every option without effect (gVisor).
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn apply(&mut self, socket: &SockRef<'_>) -> io::Result<()> {
        if let Guard::Loop { rto_max: Some(rto_max) } = self.guard {
            let is_set = sockopt::set_rto_max(&**socket, rto_max).is_ok() && has_rto_max(socket, rto_max);
            self.guard = Guard::Loop { rto_max: is_set.then_some(rto_max) };
        }
        if matches!(self.guard, Guard::Loop { .. }) && !TcpInfo::is_told(&**socket) {
            *self = self.clone().without_tcp_info();
        }
        let probes = TcpKeepalive::new().with_time(self.idle).with_interval(self.interval).with_retries(self.count);
        socket.set_tcp_keepalive(&probes)?; // SO_KEEPALIVE too
        socket.set_tcp_user_timeout(self.user_timeout())?;
        if self.user_timeout().is_some() && socket.tcp_user_timeout()? != self.user_timeout() {
            self.guard = Guard::Nobody;
        }
        Ok(())
    }

    /// Whether a socket has exactly these settings: checked on the first one that is accepted.
    ///
    /// # Errors
    /// Those of getsockopt(2).
    pub fn is_applied(&self, socket: &SockRef<'_>) -> io::Result<bool> {
        let is_guarded = match self.guard {
            Guard::Loop { rto_max: Some(rto_max) } => has_rto_max(socket, rto_max) && TcpInfo::is_told(&**socket),
            Guard::Loop { rto_max: None } => TcpInfo::is_told(&**socket),
            _ => true,
        };
        Ok(is_guarded
            && socket.keepalive()?
            && socket.tcp_keepalive_time()? == self.idle
            && socket.tcp_keepalive_interval()? == self.interval
            && socket.tcp_keepalive_retries()? == self.count
            && socket.tcp_user_timeout()?.unwrap_or_default() == self.user_timeout().unwrap_or_default())
    }

    /// The longest time wanted between two tries while output is outstanding: an interval, so that a
    /// living peer is asked as often as by keepalive; and an eighth of the deadline at least, so that
    /// the kernel does not give up first.
    pub fn pace(&self) -> Duration {
        self.interval.max(whole_milliseconds(self.deadline() / 8)).clamp(RTO_MAX.0, RTO_MAX.1)
    }

    /// The listener's `TCP_RTO_MAX_MS`: half of the deadline, because the kernel gives up a peer whose
    /// window shrinks after twice this. A deadline of more than 4 minutes is beyond what the option takes.
    fn longest_rto_max(&self) -> Duration {
        self.pace().max(whole_milliseconds((self.deadline() + self.wheel.tick) / 2)).clamp(RTO_MAX.0, RTO_MAX.1)
    }
}

/// Whether the kernel returns that value. It counts in ticks, and rounds up.
fn has_rto_max(socket: &SockRef<'_>, wanted: Duration) -> bool {
    let tick = Duration::from_millis(10);
    sockopt::rto_max(&**socket).is_ok_and(|is| (wanted..=wanted + tick).contains(&is))
}

#[cfg(test)]
mod tests;

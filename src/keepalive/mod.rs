//! Keepalive and its deadline: how long a silent peer may be kept.
//!
//! Owns the arithmetic of idle, interval, count and user timeout, and the one function that sets
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
//! The facts that the arithmetic is based on, each with its source:
//!
//! - A peer that has answered a probe is probed again when both idle and the interval have passed, because the
//!   kernel set the timer one interval ahead when it sent the probe (`tcp_keepalive_timer` in Linux's
//!   `net/ipv4/tcp_timer.c`). So with an interval longer than idle, a peer that has answered a probe is kept past
//!   the deadline by the difference: idle 5 s, interval 10 s, count 3 keep it for 40 s
//!   (`tests/dead_peer.rs`). An interval that is derived here is never longer than idle.
//! - Keepalive probes are sent only while nothing is outstanding (RFC 9293 §3.8.4, MUST-26). While data are in
//!   flight or the window is shut, the retransmission timer or the window-probe timer runs instead. They
//!   give up after `tcp_retries2` tries: 15 minutes or more (tcp(7)).
//! - `TCP_USER_TIMEOUT` bounds those two as well (RFC 5482, tcp(7)), at a price. The kernel then
//!   **ignores the count**: an idle peer is gone at the first tick `idle + k × interval`, k ≥ 1, at
//!   which the user timeout has passed and a probe is unanswered (`tcp_keepalive_timer`). A user timeout below
//!   `idle + interval` makes one lost probe fatal, which MUST-29 forbids; one a little above the deadline
//!   keeps an idle peer for a whole interval longer. And a **living** peer that keeps its window shut for that long
//!   is let go, although its kernel answers every probe (against MUST-37).
//! - The clock of a user timeout does not start with the last sign of life, but with the first retransmission or the
//!   first window probe. On a path with a short round trip that is 0.2 s after the data were sent or the window was
//!   shut (the minimum retransmission time-out), or 0.45 s if a loss probe is sent first
//!   ([`Keepalive::predict`]; `tests/dead_peer.rs` measures it).
//! - So the loop keeps the deadline itself where it can: `TCP_INFO` says when the last ACK came, and the
//!   kernel is made to retransmit or probe often enough for a living peer to answer in time (`owing/`).
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
use crate::tcp_info::{COARSEST_TICK, TcpInfo};

// The lab uses one part of this module, and the plan another.
#[cfg(any(feature = "lab", feature = "plan"))]
#[cfg_attr(not(all(feature = "lab", feature = "plan")), allow(dead_code))]
pub(crate) mod odds;
pub(crate) mod owing;
mod prediction;
mod timer_wheel;
mod unfit;

/// The highest probe count that Linux accepts (`MAX_TCP_KEEPCNT` in linux/tcp.h).
const MOST_PROBES: u32 = 127;
/// The minimum retransmission time-out (`TCP_RTO_MIN` in Linux's `net/tcp.h`). The first probe of a shut window waits
/// as long, too.
pub(crate) const RTO_MIN: Duration = Duration::from_millis(200);
/// The maximum retransmission time-out (`TCP_RTO_MAX` in Linux's `net/tcp.h`), and the highest value of `TCP_RTO_MAX_MS`.
pub(crate) const RTO_MAX: Duration = Duration::from_secs(120);
/// The lowest value of `TCP_RTO_MAX_MS`.
const LOWEST_RTO_MAX: Duration = Duration::from_secs(1);
/// The shortest deadline that has room for two probes, in whole seconds.
const SHORTEST_DEADLINE: u64 = 3;
/// How many probes a derived split has, unless the deadline is too short for them.
const PROBES: u32 = 6;
/// Into how many parts a deadline is divided: an interval for each probe, and the idle time.
const PARTS: u64 = PROBES as u64 + 1;

/// What is to keep the deadline while output is outstanding: the loop, or a user timeout (`TCP_USER_TIMEOUT`, tcp(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserTimeout {
    /// No user timeout where the loop can keep the deadline; otherwise the longest one that keeps the deadline
    /// without overriding the count.
    #[default]
    Auto,
    /// The loop keeps the deadline, as on a kernel without `TCP_RTO_MAX_MS`: a peer whose window is shut gets a
    /// user timeout that is raised again and again, so that it never expires.
    Sliding,
    /// No user timeout, and the loop does not check peers either: keepalive alone.
    Off,
    /// A user timeout of this length, in whole milliseconds.
    Fixed(Duration),
}

/// What keeps the deadline while output is outstanding, when no keepalive probes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The loop: it checks `TCP_INFO` of the peers that it has written to for a sign of life.
    Loop {
        /// The longest time between two retransmissions, or two probes of a shut window (`TCP_RTO_MAX_MS`); `None`
        /// where the kernel does not have that option (before Linux 6.15).
        rto_max: Option<Duration>,
    },
    /// The kernel, by this `TCP_USER_TIMEOUT`.
    UserTimeout(Duration),
    /// Nothing: the kernel retransmits for 15 minutes or more.
    Nobody,
}

/// The complete keepalive settings of a listener: what was given is checked, the rest is derived.
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
    /// Uses the three settings as they are, with [`UserTimeout::Auto`].
    ///
    /// # Errors
    /// A value is outside the kernel's range: idle and interval are whole seconds from 1 to 32767, the
    /// count is 1 to 127 (tcp(7); `MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPINTVL`, `MAX_TCP_KEEPCNT`).
    pub fn new(idle: Duration, interval: Duration, count: u32) -> Result<Self, Unfit> {
        whole_seconds("idle", idle)?;
        whole_seconds("interval", interval)?;
        if !(1..=MOST_PROBES).contains(&count) {
            return Err(unfit("count", count.to_string(), format!("the kernel takes 1 to {MOST_PROBES}")));
        }
        let keepalive = Self { idle, interval, count, ..Self::default() };
        keepalive.with_user_timeout(UserTimeout::Auto)
    }

    /// Derives idle, interval and count from the deadline.
    ///
    /// There are six probes, a seventh of the deadline apart; idle gets the seconds that are left over. A deadline
    /// of 35 s results in the default settings. Below 7 s there is room for three probes, at 3 s for two.
    ///
    /// # Errors
    /// The deadline is not in whole seconds; or it is less than 3 s, so that one lost packet would end a living
    /// peer, which RFC 9293 (MUST-29) forbids; or it is longer than the kernel's ranges allow.
    pub fn with_deadline(deadline: Duration) -> Result<Self, Unfit> {
        let given = || InWords(deadline).to_string();
        let seconds = deadline.as_secs();
        if deadline.subsec_nanos() != 0 {
            // The next whole seconds below and above; or only the shortest deadline, if that is above.
            let would_do = |seconds| InWords(Duration::from_secs(seconds)).to_string();
            let below = if seconds < SHORTEST_DEADLINE { String::new() } else { would_do(seconds) + " or " };
            let above = would_do((seconds + 1).max(SHORTEST_DEADLINE));
            let because = format!("the kernel counts in whole seconds; {below}{above} would do");
            return Err(unfit("deadline", given(), because));
        }
        if seconds < SHORTEST_DEADLINE {
            let because = format!(
                "too short for a probe to be lost and another to be answered; {SHORTEST_DEADLINE}s is the least"
            );
            return Err(unfit("deadline", given(), because));
        }
        let count = match seconds {
            ..4 => 2,
            4..7 => 3,
            _ => PROBES,
        };
        let interval = (seconds / PARTS).max(1);
        let idle = seconds - interval * u64::from(count);
        if interval > MOST_SECONDS || idle > MOST_SECONDS {
            let most = InWords(Duration::from_secs(MOST_SECONDS * PARTS));
            let because = format!("longer than the kernel's timers reach; {most} is the most");
            return Err(unfit("deadline", given(), because));
        }
        Self::new(Duration::from_secs(idle), Duration::from_secs(interval), count)
    }

    /// The same settings with this choice of a user timeout.
    ///
    /// # Errors
    /// A fixed user timeout is not a whole number of milliseconds from 1 to 2147483647 (tcp(7)).
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

    /// The same settings on a kernel with this timer wheel, for predictions. The default is a tick of 4 ms.
    pub fn on_wheel(mut self, wheel: TimerWheel) -> Self {
        self.wheel = wheel;
        self
    }

    /// The same settings for a kernel whose `TCP_INFO` reports nothing (gVisor). There the loop cannot check peers,
    /// and a user timeout is used instead: it also ends living peers that read too slowly.
    pub fn without_tcp_info(mut self) -> Self {
        if let Guard::Loop { .. } = self.guard {
            self.guard = Guard::UserTimeout(self.longest_user_timeout());
        }
        self
    }

    /// These settings, and others with the same deadline but a longer idle time, up to twice as long. Peers that
    /// connect in the same instant are given different ones, so that they are not probed in the same instant.
    /// Only these settings are returned if they were chosen by a person instead of derived from a deadline, or if
    /// they have a user timeout, which fits one split only.
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

    /// Another split of a deadline, with the same choice of a user timeout, on the same kernel.
    ///
    /// # Errors
    /// Those of [`Keepalive::new`].
    #[cfg(feature = "plan")]
    pub fn split_into(&self, idle: Duration, interval: Duration, count: u32) -> Result<Self, Unfit> {
        let other = Self::new(idle, interval, count)?.on_wheel(self.wheel);
        Ok(if let Guard::Loop { rto_max: Some(_) } = self.guard { other } else { Self { guard: self.guard, ..other } })
    }

    /// How long an idle peer may be silent: `idle + interval × count`.
    pub fn deadline(&self) -> Duration {
        self.tick(self.count)
    }

    /// How long the peer must be silent before the first probe is sent (`TCP_KEEPIDLE`), in whole seconds.
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// How long after an unanswered probe the next one is sent (`TCP_KEEPINTVL`), in whole seconds.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// How many unanswered probes end the connection (`TCP_KEEPCNT`).
    pub fn count(&self) -> u32 {
        self.count
    }

    /// What keeps the deadline while output is outstanding.
    pub fn guard(&self) -> Guard {
        self.guard
    }

    /// The terms on which the loop checks a peer that owes an ACK; `None` if it does not check peers. A tick is
    /// added to the deadline, because the kernel counts silence in ticks, so that no peer is declared dead early.
    pub fn asking(&self) -> Option<Asking> {
        let Guard::Loop { rto_max } = self.guard else { return None };
        Some(Asking { deadline: self.deadline() + self.wheel.tick, pace: self.pace(), rto_max })
    }

    /// Sets the options on a connection that has others so far. The idle time comes last: once it is set, the kernel counts the
    /// silence up to now against it (`tcp_set_keepalive` in Linux's `net/ipv4/tcp.c`), and goes by the other two.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    #[cfg(feature = "upgrade")]
    pub(crate) fn apply_again(&self, socket: &SockRef<'_>) -> io::Result<()> {
        if let Guard::Loop { rto_max: Some(rto_max) } = self.guard {
            sockopt::set_rto_max(&**socket, rto_max)?;
        }
        socket.set_tcp_user_timeout(self.user_timeout())?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_retries(self.count))?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_interval(self.interval))?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(self.idle))
    }

    fn user_timeout(&self) -> Option<Duration> {
        if let Guard::UserTimeout(timeout) = self.guard { Some(timeout) } else { None }
    }

    /// Sets the options on a socket. Accepted sockets inherit them from their listener (Linux).
    ///
    /// What this kernel cannot do is found out by trying, and `self` is changed to match: an option
    /// counts as set if it can be read back, and the loop checks peers only where `TCP_INFO` reports something. A
    /// sandbox may accept every option without any effect (gVisor). [`Keepalive::shortfall`] says what was changed.
    ///
    /// # Errors
    /// Those of setsockopt(2), for an option that every kernel has.
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

    /// Whether a socket has exactly these settings. The loop asks this of the first socket that it accepts.
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

    /// The longest time that should pass between two tries of the kernel while output is outstanding: an interval,
    /// so that a living peer is asked as often as by keepalive, but at least an eighth of the deadline, so that
    /// the kernel does not give up first. From 1 s to 120 s, in whole milliseconds.
    pub fn pace(&self) -> Duration {
        self.interval.max(whole_milliseconds(self.deadline() / 8)).clamp(LOWEST_RTO_MAX, RTO_MAX)
    }

    /// The listener's `TCP_RTO_MAX_MS`: half of the deadline, because after twice this time the kernel gives up a
    /// peer whose window has shrunk. The option does not reach half of a deadline of more than 4 minutes.
    fn longest_rto_max(&self) -> Duration {
        self.pace().max(whole_milliseconds((self.deadline() + self.wheel.tick) / 2)).clamp(LOWEST_RTO_MAX, RTO_MAX)
    }
}

/// Whether the kernel returns the value that was set. It counts in ticks, and rounds up.
fn has_rto_max(socket: &SockRef<'_>, wanted: Duration) -> bool {
    sockopt::rto_max(&**socket).is_ok_and(|is| (wanted..=wanted + COARSEST_TICK).contains(&is))
}

#[cfg(test)]
mod tests;

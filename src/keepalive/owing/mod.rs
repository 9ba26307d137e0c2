//! A peer that owes an ACK: whether it is alive, when it is checked again, and how the kernel is made to ask it
//! in time.
//!
//! Owns that judgement. It is pure: the kernel's figures and the time go in, a judgement comes out. Knows no socket,
//! no clock and no table of peers; the loop decides when to check.
//!
//! ```text
//!  last proof that it receives us                                   no proof within the deadline: dead
//!  │                                                                                             │
//!  ├───×──×────×────────×────────────────×────────────────×────────────────×─────────────────────┤
//!  │   0.2, 0.6, 1.4 … s: the kernel tries, with growing waits; after the first check at most a pace apart
//!  │     ▲               ▲                ▲                ▲                ▲                ▲    ▲
//!  └── first check, half a second after the write; then once a pace; the last one at the deadline itself
//! ```
//!
//! **What proves that a peer receives what we send.** New data are a proof: a peer that does not get our ACKs sends
//! nothing but retransmissions after its first time-out. So is anything that acknowledges more of our data, and an ACK
//! without data, which answers a probe. A retransmission proves nothing: it ends at the next byte that is expected, so
//! it passes the check of the sequence number (RFC 9293 §3.10.7.4) and resets `tcpi_last_ack_recv`, although the peer
//! may receive nothing from us. While our own data are retransmitted into an open window, nothing that came since the
//! first retransmission counts either: a peer that receives one of them acknowledges it.
//!
//! **A peer that was not asked is not dead.** At least one try of the kernel, which is a retransmission or a window
//! probe, must have stayed unanswered for as long as an answer takes.
//!
//! **How the kernel is made to ask in time** (`net/ipv4/tcp_timer.c`):
//!
//! - `TCP_RTO_MAX_MS` (Linux 6.15) bounds the time between two tries. It cannot simply be short: if the window goes to
//!   zero *under* unacknowledged data, `tcp_rtx_probe0_timed_out` ends the connection after twice that time of
//!   silence. So the listener has half of the deadline, or the option's maximum if that is less. For a peer whose window
//!   is shut, or which has been silent for a pace, a check sets the option to one pace, until that is over.
//! - Without that option, a user timeout slides. Once `TCP_USER_TIMEOUT` is set the kernel never sleeps past it
//!   (`tcp_clamp_probe0_to_user_timeout`, Linux 5.11 and the stable series before it), so one that is always raised
//!   before it expires causes one probe a pace, and never ends the connection. Its clock runs from the first probe of
//!   the shut window (`icsk_probes_tstamp`) and **is not reset if the window opens by less than the segment that
//!   waits** (`tcp_ack_probe`): from then on it may be hours old, and would end a living peer immediately. So it slides
//!   only where the earliest possible start of that clock is known: the figures showed that the window was never
//!   shut before, or the connection was younger than a quarter of the deadline. Otherwise nothing is set, and the peer
//!   is probed at the times of the kernel's own backoff.

use std::time::Duration;

use crate::keepalive::RTO_MIN;
use crate::tcp_info::TcpInfo;

#[cfg(feature = "upgrade")]
mod written;

/// How long after a write a peer is first checked. On nearly every path a living peer has acknowledged by then and is
/// not checked again, so the loop is quiet half a second after the last exchange. If the peer has not acknowledged, the
/// kernel has tried no more than twice yet.
pub(crate) const FIRST_LOOK: Duration = Duration::from_millis(500);
/// How long the answer to a try may take. Once there was a second try, no time need pass: two tries are more than a
/// round trip apart.
pub(super) const ANSWER: Duration = Duration::from_millis(500);
/// Two figures for the same moment differ by less than this many milliseconds, because the kernel counts in ticks of up
/// to 10 ms ([`COARSEST_TICK`](crate::tcp_info::COARSEST_TICK)).
const SAME: u32 = 25;
/// The window was never shut before if the total time for which it has limited us equals the time since data were last
/// sent, with this tolerance.
const NEVER_BEFORE: Duration = Duration::from_millis(100);

/// The terms on which the peers of a listener are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    /// How long a peer may give no proof that it receives what we send.
    pub deadline: Duration,
    /// The longest time that should pass between two tries of the kernel, and from one check to the next.
    pub pace: Duration,
    /// The listener's `TCP_RTO_MAX_MS`, which bounds the time between two tries; `None` where the kernel has no such
    /// option (before Linux 6.15).
    pub rto_max: Option<Duration>,
}

/// An option that a check sets on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `TCP_RTO_MAX_MS`.
    RtoMax(Duration),
    /// `TCP_USER_TIMEOUT`; `None` removes it.
    UserTimeout(Option<Duration>),
}

/// Which option a check has set for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paced {
    /// None: the listener's options apply.
    No,
    RtoMax,
    UserTimeout,
}

/// What is remembered of a peer that owes an ACK from one check to the next. Times are in milliseconds since the
/// connection was established, of which the low 32 bits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owing {
    /// The last moment at which the peer may have received something from us, as far as is known.
    heard: u32,
    looked: u32,
    /// When a check first found a try unanswered, if `is_tried`.
    tried: u32,
    /// The kernel's counters at the last check; `retransmitted` is from the last check that found a new proof. Only a
    /// change of `acknowledged` matters, so the low 32 bits are kept.
    acknowledged: u32,
    pure_acks: u32,
    retransmitted: u32,
    is_tried: bool,
    paced: Paced,
    /// Whether it is known that the clock of a user timeout did not start before `shut`. Once known, it stays true: if
    /// the clock is started anew, then at a later time.
    is_dated: bool,
    shut: u32,
}

/// The result of checking a peer that owes an ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The peer was asked, and gave no proof of life within the deadline.
    Dead,
    /// The peer is to be checked again.
    Again {
        /// What is to be remembered until then.
        owing: Owing,
        /// How long from now.
        after: Duration,
        /// The option that is to be set on its socket now.
        setting: Option<Setting>,
    },
}

/// What TCP is doing for a peer that owes an ACK.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Data are in flight, and the window has room for them: they are retransmitted.
    InFlight,
    /// The window is shut under data in flight: their retransmissions are its probes.
    Shrunk,
    /// The window is shut and data wait: it is probed.
    Shut,
}

impl Doing {
    fn of(info: &TcpInfo) -> Self {
        match info.window {
            Some(0) if info.unacknowledged > 0 => Self::Shrunk,
            _ if info.unacknowledged > 0 => Self::InFlight,
            _ => Self::Shut,
        }
    }
}

impl Asking {
    /// Judges a peer that owes an ACK. `before` is what was remembered from the last check, and `now` is the time since
    /// the connection was established.
    pub fn judge(&self, before: Option<Owing>, now: Duration, info: &TcpInfo) -> Judgement {
        let doing = Doing::of(info);
        let is_young = now <= self.deadline / 4;
        let now = now.as_millis() as u32;
        let mut owing = before.unwrap_or(Owing {
            heard: now.wrapping_sub(millis(info.received.min(answered(doing, info)))),
            looked: now,
            tried: 0,
            acknowledged: info.bytes_acknowledged as u32,
            pure_acks: info.pure_acks,
            retransmitted: info.retransmitted,
            is_tried: false,
            paced: Paced::No,
            // On a connection this young it does not matter when the window was first shut: no clock is older than the
            // connection.
            is_dated: is_young,
            shut: 0,
        });
        owing.listen(doing, now, info);
        let unheard = now.wrapping_sub(owing.heard);
        let tries = owing.tries(doing, info);
        let waited = now.wrapping_sub(owing.tried);
        let was_asked = tries > 1 || owing.is_tried && waited >= millis(ANSWER);
        let left = millis(self.deadline).saturating_sub(unheard);
        if left == 0 && was_asked {
            return Judgement::Dead;
        }
        let after = match (left, owing.is_tried) {
            (0, true) => ANSWER - Duration::from_millis(waited.into()),
            (0, false) => self.pace,
            (left, _) => self.pace.min(Duration::from_millis(left.into())),
        };
        let setting = self.set_pace(&mut owing, doing, unheard, info);
        Judgement::Again { owing, after, setting }
    }

    /// How to take back the option that a check has set, once the peer has acknowledged everything.
    pub fn release(&self, owing: Owing) -> Option<Setting> {
        match owing.paced {
            Paced::No => None,
            Paced::RtoMax => self.rto_max.map(Setting::RtoMax),
            Paced::UserTimeout => Some(Setting::UserTimeout(None)),
        }
    }

    fn set_pace(&self, owing: &mut Owing, doing: Doing, unheard: u32, info: &TcpInfo) -> Option<Setting> {
        let before = owing.paced;
        let is_due = doing == Doing::Shut || doing == Doing::InFlight && unheard >= millis(self.pace);
        let sliding = (self.rto_max.is_none() && doing == Doing::Shut).then(|| self.slide(owing, info)).flatten();
        owing.paced = match (self.rto_max, sliding) {
            (Some(rto_max), _) if is_due && rto_max > self.pace => Paced::RtoMax,
            (None, Some(_)) => Paced::UserTimeout,
            _ => Paced::No,
        };
        match owing.paced {
            Paced::UserTimeout => Some(Setting::UserTimeout(sliding)),
            now if now == before => None,
            Paced::RtoMax => Some(Setting::RtoMax(self.pace)),
            Paced::No => self.release(Owing { paced: before, ..*owing }),
        }
    }

    /// The user timeout until the next check: the time since the window was shut, plus a pace, plus a quarter of the
    /// deadline in case the loop is late. A loop that is later than that loses a living peer. `None` where an earlier
    /// shut window may have started the clock of the timeout.
    ///
    /// Once the timeout slides, its start is not moved, even if data have been sent since: into a window that is smaller
    /// than a segment a probe sends what fits, and the clock runs on.
    fn slide(&self, owing: &mut Owing, info: &TcpInfo) -> Option<Duration> {
        let limited = info.window_limited;
        // The first probe of a shut window is not sent sooner. If the window has limited us for less, something else
        // holds the data back, such as a full queue of our own: then data that were refused count as sent.
        if limited < RTO_MIN {
            return None;
        }
        if !owing.is_dated && limited.abs_diff(info.sent) <= NEVER_BEFORE {
            (owing.is_dated, owing.shut) = (true, owing.looked.wrapping_sub(millis(info.sent)));
        }
        if !owing.is_dated {
            return None;
        }
        let shut_for = Duration::from_millis(owing.looked.wrapping_sub(owing.shut).into());
        let timeout = shut_for + self.pace + self.deadline / 4;
        // After 24 days this is more than the option accepts. What is known must be forgotten then: after 49 days `looked`
        // wraps round, and the kernel's clock does not.
        owing.is_dated = timeout.as_millis() <= i32::MAX as u128;
        owing.is_dated.then_some(timeout)
    }
}

impl Owing {
    /// Records what the peer's packets prove.
    fn listen(&mut self, doing: Doing, now: u32, info: &TcpInfo) {
        let since_look = now.wrapping_sub(self.looked);
        let counted = (info.bytes_acknowledged as u32, info.pure_acks) != (self.acknowledged, self.pure_acks);
        // A probe sent by the peer is counted, too, but lies outside the window: the kernel takes no ACK from it.
        let is_answered = counted && millis(info.silent) <= since_look.saturating_add(SAME);
        let ago = if is_answered { info.received.min(answered(doing, info)) } else { info.received };
        let ago = millis(ago);
        if ago.saturating_add(SAME) < now.wrapping_sub(self.heard) {
            self.heard = now.wrapping_sub(ago);
            (self.retransmitted, self.is_tried) = (info.retransmitted, false);
        }
        (self.looked, self.acknowledged, self.pure_acks) = (now, info.bytes_acknowledged as u32, info.pure_acks);
    }

    /// How many tries have gone unanswered since the last proof, at least.
    fn tries(&mut self, doing: Doing, info: &TcpInfo) -> u32 {
        let retransmitted = match doing {
            Doing::InFlight => info.retransmits.into(),
            // An ACK that acknowledges nothing new leaves `tcpi_retransmits` as it is.
            Doing::Shrunk => info.retransmitted.wrapping_sub(self.retransmitted),
            Doing::Shut => 0,
        };
        let tries = retransmitted.max(info.probes.into());
        if tries > 0 && !self.is_tried {
            (self.tried, self.is_tried) = (self.looked, true);
        }
        tries
    }
}

/// The least possible time since an ACK came, if one came. The documentation of this module says which ACKs do not count.
fn answered(doing: Doing, info: &TcpInfo) -> Duration {
    if doing != Doing::InFlight || info.retransmits == 0 {
        return info.silent;
    }
    // Each wait was twice the one before. If it was capped, this sum is too short, and no peer is declared dead early.
    let waits: Duration = (1..=u32::from(info.retransmits).min(31)).map(|nth| info.rto / (1 << nth)).sum();
    info.silent.max(info.sent + waits)
}

/// A duration in milliseconds, in 32 bits like the kernel's own figures.
fn millis(duration: Duration) -> u32 {
    duration.as_millis().min(u32::MAX.into()) as u32
}

#[cfg(test)]
mod tests;

//! Values that the kernel refuses or that cannot keep the deadline, and which values would be right.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::keepalive::prediction::{MARGIN, first_probe};
use crate::keepalive::{Guard, Keepalive};
use crate::seconds::{InWords, Seconds};

/// The longest idle time and interval that Linux accepts, in seconds (`MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPINTVL`).
pub(super) const MOST_SECONDS: u64 = 32767;

/// A value that is refused or warned about: the kernel would not accept it, or it could not do what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The setting, by the name of its option on the command line: `idle`, `deadline`, `backlog`.
    pub setting: &'static str,
    /// The value as a person would write it.
    pub given: String,
    /// What is wrong with the value, and what would be right.
    pub because: String,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.setting, self.given, self.because)
    }
}

impl std::error::Error for Unfit {}

impl From<Unfit> for io::Error {
    fn from(unfit: Unfit) -> Self {
        Self::new(io::ErrorKind::InvalidInput, unfit)
    }
}

impl Keepalive {
    /// Settings that the kernel accepts but a person should be warned about, each with what would be right.
    pub fn warnings(&self) -> Vec<Unfit> {
        let mut warnings = Vec::new();
        if self.count == 1 {
            let because = "one lost packet ends a living peer (RFC 9293 MUST-29); 2 or more would not";
            warnings.push(unfit("count", "1".to_string(), because.to_string()));
        }
        if self.interval > self.idle {
            let because = format!(
                "longer than idle ({}): a peer that has answered a probe is probed again an interval later, and so may \
                 be kept for {} s and not {}; an interval of no more than idle keeps the deadline",
                InWords(self.idle),
                Seconds(self.interval * (self.count + 1)),
                Seconds(self.deadline())
            );
            warnings.push(unfit("interval", InWords(self.interval).to_string(), because));
        }
        match self.guard {
            Guard::Nobody => {
                let because = "the deadline holds for idle peers only: with data unacknowledged or the window shut \
                               a dead peer is kept for 15 minutes or more; \"auto\" would let it go in time";
                warnings.push(unfit("user-timeout", "off".to_string(), because.to_string()));
            }
            Guard::UserTimeout(timeout) => warnings.extend(self.warning_of(timeout)),
            Guard::Loop { .. } => {}
        }
        warnings
    }

    /// What was `wanted` but this kernel cannot do, as found out by [`Keepalive::apply`]: a sentence for the log. `None`
    /// if nothing is missing.
    pub fn shortfall(&self, wanted: &Self) -> Option<&'static str> {
        match (wanted.guard, self.guard) {
            (Guard::Loop { rto_max: Some(_) }, Guard::Loop { rto_max: None }) => Some(
                "this kernel has no TCP_RTO_MAX_MS (Linux 6.15 has): a dead peer whose window had been shut before, or \
                 shrank, may be detected up to two minutes late",
            ),
            (Guard::Loop { .. }, Guard::UserTimeout(_)) => Some(
                "TCP_INFO reports nothing here, as in some sandboxes: a user timeout is used instead, and a living peer \
                 that reads too slowly, or not at all, is let go, too",
            ),
            (Guard::Loop { .. } | Guard::UserTimeout(_), Guard::Nobody) => Some(
                "a user timeout cannot be set here, as in some sandboxes: the deadline holds for idle peers only; with \
                 data unacknowledged or the window shut a dead peer is kept until the kernel gives up by itself",
            ),
            _ => None,
        }
    }

    fn warning_of(&self, timeout: Duration) -> Option<Unfit> {
        let probes = first_probe(|k| self.late_tick(k) >= timeout);
        let right = format!("{} would do, or \"auto\"", InWords(self.longest_user_timeout()));
        let because = if probes < self.count {
            let fatal = if probes == 1 {
                "one lost packet ends a living peer".to_string()
            } else {
                format!("{probes} lost packets end a living peer")
            };
            format!("overrides the count of {}: {fatal}, after {} s; {right}", self.count, Seconds(self.tick(probes)))
        } else if self.tick(self.count) < timeout && self.late_tick(self.count - 1) + MARGIN < self.deadline() {
            let late = self.tick(first_probe(|k| self.tick(k) >= timeout));
            format!(
                "longer than the deadline of {} s: an idle peer is kept for {} s; {right}",
                Seconds(self.deadline()),
                Seconds(late)
            )
        } else {
            return None;
        };
        Some(unfit("user-timeout", InWords(timeout).to_string(), because))
    }
}

pub(super) fn whole_seconds(setting: &'static str, value: Duration) -> Result<(), Unfit> {
    if value.subsec_nanos() == 0 && (1..=MOST_SECONDS).contains(&value.as_secs()) {
        return Ok(());
    }
    let given = InWords(value).to_string();
    let most = InWords(Duration::from_secs(MOST_SECONDS));
    Err(unfit(setting, given, format!("the kernel takes whole seconds, 1s to {MOST_SECONDS}s ({most})")))
}

pub(crate) fn unfit(setting: &'static str, given: String, because: String) -> Unfit {
    Unfit { setting, given, because }
}

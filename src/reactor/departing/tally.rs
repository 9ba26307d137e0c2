//! What a port counts: arrivals, and departures by reason.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use crate::reactor::departing::departure::Departure;
use crate::reactor::time::moment::Moment;

/// A summary of departures is logged at most this often.
const PACE: Duration = Duration::from_secs(1);

/// Departures by reason. As a sentence: "3 departed: 2 closed by the peer; 1 reset by the peer".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Departures([u64; Departure::REASONS]);

impl Departures {
    /// One more for this reason.
    pub fn count(&mut self, departure: Departure) {
        self.0[departure.index()] += 1;
    }

    /// How many departed for this reason. All reasons of a service count as one.
    pub fn of(&self, departure: Departure) -> u64 {
        self.0[departure.index()]
    }

    /// How many departed for each reason, in the order of [`Departure::WORDS`].
    pub fn counts(&self) -> &[u64; Departure::REASONS] {
        &self.0
    }

    /// How many departed in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

#[cfg(feature = "upgrade")]
impl From<[u64; Departure::REASONS]> for Departures {
    fn from(counts: [u64; Departure::REASONS]) -> Self {
        Self(counts)
    }
}

impl fmt::Display for Departures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} departed", self.total())?;
        let reasons = self.0.iter().zip(Departure::LABELS).filter(|(count, _)| **count > 0);
        for (nth, (count, label)) in reasons.enumerate() {
            write!(f, "{} {count} {label}", if nth == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

/// The figures of a port, or of several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// How many peers are connected now.
    pub connected: usize,
    /// How many have arrived, those that we connected to and those that were refused included.
    pub accepted: u64,
    /// Peers that were lost while they waited to be accepted.
    pub lost: u64,
    /// How many have departed, by reason.
    pub departures: Departures,
    /// How many bytes were read from peers.
    pub received: u64,
    /// How many bytes the kernel has taken for peers.
    pub sent: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.connected += other.connected;
        self.accepted += other.accepted;
        self.lost += other.lost;
        self.received += other.received;
        self.sent += other.sent;
        for (sum, count) in self.departures.0.iter_mut().zip(other.departures.0) {
            *sum += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connected, {} accepted, ", self.connected, self.accepted)?;
        if self.lost > 0 {
            write!(f, "{} lost before accept, ", self.lost)?;
        }
        self.departures.fmt(f)
    }
}

/// Departures that were not logged yet. When thousands go in one instant, or peers come and go without
/// end, they are logged in one line a second; a single one is logged at once.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    untold: Departures,
    /// There are some.
    any: bool,
    not_before: Moment,
}

impl Summary {
    pub(crate) fn count(&mut self, departure: Departure) {
        self.untold.count(departure);
        self.any = true;
    }

    /// What is to be logged now, if anything is. If `more` departures are waiting to be reaped, it is put
    /// off for a while, so that what happens in one instant is logged in one line.
    pub(crate) fn due(&mut self, now: Moment, more: bool) -> Option<Departures> {
        if !self.any || now < self.not_before + if more { PACE } else { Duration::ZERO } {
            return None;
        }
        self.not_before = now + PACE;
        self.any = false;
        Some(std::mem::take(&mut self.untold))
    }

    pub(crate) fn deadline(&self) -> Moment {
        if self.any { self.not_before } else { Moment::NEVER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_reads_as_a_sentence() {
        let mut tally = Tally { connected: 2, accepted: 5, ..Tally::default() };
        assert_eq!(tally.to_string(), "2 connected, 5 accepted, 0 departed");
        tally.lost = 1;
        assert_eq!(tally.to_string(), "2 connected, 5 accepted, 1 lost before accept, 0 departed");
        for departure in [Departure::Closed, Departure::ProbesUnanswered, Departure::Closed] {
            tally.departures.count(departure);
        }
        assert_eq!(tally.departures.to_string(), "3 departed: 2 closed by the peer; 1 timed out, probes unanswered");
        tally += tally;
        assert_eq!((tally.connected, tally.departures.of(Departure::Closed), tally.departures.total()), (4, 4, 6));
    }

    #[test]
    fn a_crowd_is_told_of_in_one_line_a_second() {
        let at = |milliseconds| Moment::after(Duration::from_millis(milliseconds));
        let mut summary = Summary::default();
        assert_eq!((summary.due(at(5000), false), summary.deadline()), (None, Moment::NEVER));
        summary.count(Departure::Closed);
        assert_eq!(summary.due(at(5000), false).map(|told| told.total()), Some(1));
        summary.count(Departure::of(&std::io::ErrorKind::ConnectionReset.into(), || None));
        summary.count(Departure::Closed);
        assert_eq!((summary.due(at(5999), false), summary.deadline()), (None, at(6000)));
        assert_eq!(summary.due(at(6000), true), None);
        assert_eq!(summary.due(at(7000), true).map(|told| told.total()), Some(2));
        assert_eq!(summary.deadline(), Moment::NEVER);
    }
}

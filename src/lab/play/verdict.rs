//! Compares what was expected with what was measured: the verdict.
//!
//! Owns the comparison, and how an errno is read from our server's log. Pure: knows no clock.

use std::net::SocketAddr;
use std::time::Duration;

use crate::lab::play::expectation::{Expectation, Since};
use crate::lab::timeline::Verdict;

/// How late a busy machine may be, and how early a departure may seem when it is measured from outside.
const LATE: Duration = Duration::from_secs(1);
const EARLY: Duration = Duration::from_millis(100);

/// The moments from which an interval may be counted, as distances before the fault if not stated otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    pub heard: Duration,
    pub shut: Duration,
    /// The data were sent this long *after* the fault.
    pub sent_after: Duration,
    /// The last packet that was no retransmission came this long after the fault; zero if it came before.
    pub proved_after: Duration,
    /// The server's transmit queue accepted packets again this long after the fault.
    pub queue_moved_after: Duration,
    /// The client's last packet before the server's FIN came this long after the fault.
    pub served_after: Duration,
}

/// The observed result for a peer, or for several.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub measured: Option<Duration>,
    pub watched: Duration,
    pub errno: String,
    pub said_by: String,
    /// The program sent the first FIN.
    pub own_time_out: bool,
    /// For a crowd on a lossy path: how many were dropped, of how many, and the odds for each.
    pub crowd: Option<(usize, usize, f64)>,
    /// For a crowd or a single peer on a lossy path: how many were dropped, of how many.
    pub living: Option<(usize, usize)>,
    /// Its descriptor is closed, and the kernel has not finished with the socket.
    pub orphan: bool,
}

/// The interval, counted from the fault.
pub fn interval(expectation: Expectation, moments: Moments) -> Option<(Duration, Duration)> {
    let Expectation::Gone { since, from, to } = expectation else { return None };
    Some(match since {
        Since::Fault => (from, to),
        Since::LastHeard => (from.saturating_sub(moments.heard), to.saturating_sub(moments.heard)),
        Since::Proved => (from + moments.proved_after, to + moments.proved_after),
        Since::Served => (from, to + moments.served_after),
        Since::QueueMoved => (from + moments.queue_moved_after, to + moments.queue_moved_after),
        Since::Sent => (from + moments.sent_after, to + moments.sent_after),
        Since::Shut => (from.saturating_sub(moments.shut), to),
    })
}

/// Judges a scene. Our own server is held to the whole interval. Another server is held only to the end of the interval, and
/// must not drop living peers.
pub fn judge(scene: String, expectation: Expectation, moments: Moments, seen: Observed, is_ours: bool) -> Verdict {
    let predicted = interval(expectation, moments);
    let kept_its_promise = match (expectation, predicted, seen.measured) {
        (Expectation::Gone { .. }, Some((from, to)), Some(measured)) => {
            measured <= to + LATE && (!is_ours || measured + EARLY >= from)
        }
        (Expectation::Gone { .. }, ..) => false,
        (Expectation::Kept, _, measured) => measured.is_none(),
        // The odds are those of our own keepalive; for another server the result is reported, not judged.
        (Expectation::Either, ..) => !is_ours || seen.crowd.is_none_or(is_likely),
        (Expectation::NoDeadline | Expectation::CannotBe(_), ..) => true,
    };
    Verdict {
        scene,
        predicted,
        measured: seen.measured,
        watched: seen.watched,
        errno: seen.errno,
        said_by: seen.said_by,
        own_time_out: seen.own_time_out,
        orphan: seen.orphan,
        dropped: seen.living.filter(|(dropped, _)| *dropped > 0),
        kept_its_promise,
    }
}

/// Whether the result is within four standard deviations of what the odds predict.
fn is_likely((dropped, of, odds): (usize, usize, f64)) -> bool {
    let expected = odds * of as f64;
    let deviation = (expected * (1.0 - odds)).sqrt();
    (dropped as f64 - expected).abs() <= 4.0 * deviation + 1.0
}

/// The reason in a line of our server's log that reports a departure.
pub fn reason(line: &str) -> Option<&str> {
    let (before, after) = line.split_once(" departed: ")?;
    before.rsplit(' ').next()?.parse::<SocketAddr>().ok()?; // otherwise it is a summary of many departures
    Some(after.split(';').next()?.trim())
}

/// The errno in a reason; empty if there is none.
pub fn errno(reason: &str) -> String {
    let number = reason.split_once("(os error ").and_then(|(_, rest)| rest.trim_end_matches(')').parse().ok());
    match number {
        Some(libc::EHOSTUNREACH) => "EHOSTUNREACH".to_string(),
        Some(libc::ENETUNREACH) => "ENETUNREACH".to_string(),
        Some(libc::ECONNREFUSED) => "ECONNREFUSED".to_string(),
        Some(libc::EHOSTDOWN) => "EHOSTDOWN".to_string(),
        Some(libc::ENETDOWN) => "ENETDOWN".to_string(),
        Some(libc::EACCES) => "EACCES".to_string(),
        Some(number) => format!("errno {number}"),
        None if reason.starts_with("timed out") => "ETIMEDOUT".to_string(),
        None if reason.starts_with("reset") => "ECONNRESET".to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn is_kept(expectation: Expectation, measured: Option<u64>, is_ours: bool) -> bool {
        let moments = Moments { heard: ms(400), shut: ms(300), sent_after: ms(50), ..Moments::default() };
        let seen = Observed { measured: measured.map(ms), watched: ms(60_000), ..Observed::default() };
        judge("x".to_string(), expectation, moments, seen, is_ours).kept_its_promise
    }

    #[test]
    fn a_dead_peer_is_neither_late_nor_early() {
        let five = Expectation::Gone { since: Since::LastHeard, from: ms(5000), to: ms(5100) };
        assert!(is_kept(five, Some(4620), true) && is_kept(five, Some(5690), true));
        assert!(!is_kept(five, Some(4400), true) && is_kept(five, Some(4400), false));
        assert!(!is_kept(five, Some(5800), true) && !is_kept(five, None, false));
        let moments = Moments { heard: ms(400), shut: ms(300), sent_after: ms(50), ..Moments::default() };
        let shut = Expectation::Gone { since: Since::Shut, from: ms(4700), to: ms(5200) };
        assert_eq!(interval(shut, moments), Some((ms(4400), ms(5200))));
        let sent = Expectation::Gone { since: Since::Sent, from: ms(4700), to: ms(5200) };
        assert_eq!(interval(sent, moments), Some((ms(4750), ms(5250))));
        // It is counted from when the queue accepted packets again, however late a slow machine was with that.
        let stuck = Expectation::Gone { since: Since::QueueMoved, from: ms(3000), to: ms(3900) };
        let moments = Moments { queue_moved_after: ms(9500), ..moments };
        assert_eq!(interval(stuck, moments), Some((ms(12_500), ms(13_400))));
        // And from when all output was delivered, however long that took.
        let closed = Expectation::Gone { since: Since::Served, from: ms(0), to: ms(300) };
        assert_eq!(interval(closed, Moments { served_after: ms(2000), ..moments }), Some((ms(0), ms(2300))));
    }

    #[test]
    fn a_living_peer_is_kept() {
        assert!(is_kept(Expectation::Kept, None, true) && !is_kept(Expectation::Kept, Some(4800), false));
        assert!(is_kept(Expectation::NoDeadline, None, false) && is_kept(Expectation::Either, Some(5), true));
        assert!(is_likely((7, 50, 0.13)) && !is_likely((40, 50, 0.13)) && is_likely((0, 50, 0.0)));
    }

    #[test]
    fn an_errno_is_read_from_the_log() {
        let line =
            "now DEBUG 198.51.100.2:4000 departed: unreachable: No route to host (os error 113); connected 5.0 s";
        assert_eq!(errno(reason(line).unwrap()), "EHOSTUNREACH");
        assert_eq!(errno("timed out, probes unanswered"), "ETIMEDOUT");
        assert_eq!(errno("closed by the peer"), "");
        assert_eq!(reason("now INFO stopped"), None);
        assert_eq!(reason("now INFO 1 departed: 1 closed by the peer; 0 connected"), None);
    }
}

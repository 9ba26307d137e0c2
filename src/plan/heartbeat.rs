//! The alternative to keepalive: the program asks over TCP, and the peer's program answers.
//!
//! Owns the rounds of heartbeats, with the retransmissions that TCP makes under them. Knows no
//! server: the arithmetic is that of any ping and pong over TCP.

use std::time::Duration;

use crate::keepalive::RTO_MIN;
use crate::keepalive::odds::{End, Path, Round, Way};

/// A ping after this much silence; without a pong for this long, the peer is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatPlan {
    pub silence: Duration,
    pub timeout: Duration,
}

impl HeartbeatPlan {
    /// How long after its last sign of life a silent peer is dropped.
    pub fn deadline(&self) -> Duration {
        self.silence + self.timeout
    }

    /// The rounds of an idle peer. `rto_max` is the most between two tries.
    ///
    /// A ping that is lost is sent again by TCP, and so is a pong. The peer is dropped if the tries of
    /// both together take longer than the timeout.
    pub(crate) fn round(&self, path: &Path, round_trip: Duration, rto_max: Duration) -> Round {
        let mut round = Round { answered: Vec::new(), dropped: Vec::new() };
        let end = self.deadline();
        let left = |at: Duration| end.saturating_sub(at).as_secs_f64();
        let pings = tries(round_trip, rto_max, self.timeout);
        let mut waiting = path.after(self.silence.as_secs_f64());
        for (n, &ping) in pings.iter().enumerate() {
            // The ping passes, and a round trip later the pong does, or one of its tries.
            let arrived = self.silence + ping + round_trip;
            let passes = waiting.then(path.passed(Way::There));
            if arrived <= end {
                let mut owing = passes.then(path.after(round_trip.as_secs_f64()));
                let pongs = tries(round_trip, rto_max, end - arrived);
                for (m, &pong) in pongs.iter().enumerate() {
                    let after = arrived + pong;
                    round.answered.push(End { after, odds: owing.then(path.passed(Way::Back)), asked: 1 });
                    let next = pongs.get(m + 1).map_or(left(after), |next| (*next - pong).as_secs_f64());
                    owing = owing.then(path.lost(Way::Back)).then(path.after(next));
                }
                round.dropped.push(End { after: end, odds: owing, asked: 1 });
            } else {
                let rest = path.after(left(self.silence + ping));
                round.dropped.push(End { after: end, odds: passes.then(rest), asked: 1 });
            }
            let next = pings.get(n + 1).map_or(left(self.silence + ping), |next| (*next - ping).as_secs_f64());
            waiting = waiting.then(path.lost(Way::There)).then(path.after(next));
        }
        round.dropped.push(End { after: end, odds: waiting, asked: 1 });
        round
    }
}

/// The most times that TCP sends the same segment: once, once as a loss probe, and `tcp_retries2` times.
const MOST_TRIES: usize = 17;

/// When TCP sends a segment that is not acknowledged, counted from the first time, up to `within`: a loss probe after the
/// retransmission time-out, then retransmissions, each after twice the wait of the one before, and none later than
/// `rto_max`; until it gives up.
pub(super) fn tries(round_trip: Duration, rto_max: Duration, within: Duration) -> Vec<Duration> {
    let mut wait = (round_trip + RTO_MIN).min(rto_max);
    let mut tries = vec![Duration::ZERO];
    let mut at = wait; // the loss probe, which does not back off
    while at <= within && tries.len() < MOST_TRIES {
        tries.push(at);
        at += wait;
        wait = (wait * 2).min(rto_max);
    }
    tries
}

/// How often a packet is sent on average until it arrives, with this share of losses.
pub(super) fn sendings(loss: f64) -> f64 {
    1.0 / (1.0 - loss)
}

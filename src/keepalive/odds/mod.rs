//! The odds that a living peer is declared dead, because a lossy path dropped the packets that would
//! have proved that it is alive.
//!
//! Owns the computation of rounds: from one sign of life to the next, or to the drop. The path is
//! [`Path`]. Knows no socket and no caller: the plan forecasts with it, and the lab compares with it what it
//! measures. The formulas are derived in `docs/plan.md`.
#![allow(clippy::needless_range_loop)] // the loops are over the few states, by number

use std::time::Duration;

use self::path::STATES;
pub(crate) use self::path::{OddsMatrix, Path, Way};
use crate::keepalive::prediction::first_probe;
use crate::keepalive::{Guard, Keepalive};

mod path;

/// The time step of [`Round::within`].
const STEP: Duration = Duration::from_millis(4);

/// One way in which a round ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// The time since the last sign of life.
    pub after: Duration,
    pub odds: OddsMatrix,
    /// How many probes or pings were sent until then.
    pub asked: u32,
}

/// All ways in which a round can end: with one of the answers, or with the drop.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub answered: Vec<End>,
    pub dropped: Vec<End>,
}

/// The long run of rounds, if a peer that is dropped connects again immediately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outlook {
    /// The odds that a round ends with the drop.
    pub dropped_in_a_round: f64,
    /// The mean length of a round, in seconds.
    pub round: f64,
    /// How many probes or pings are sent in a round, on average.
    pub asked_in_a_round: f64,
}

impl Outlook {
    /// Drops of one peer per second.
    pub(crate) fn rate(&self) -> f64 {
        self.dropped_in_a_round / self.round
    }

    /// The chance that a peer is dropped at least once within this many seconds.
    pub(crate) fn chance(&self, seconds: f64) -> f64 {
        -(-self.rate() * seconds).exp_m1()
    }
}

impl Keepalive {
    /// How many probes lost in a row lead to a drop: the count, or under a user timeout
    /// the number of the first tick at which it has passed.
    pub fn fatal_probes(&self) -> u32 {
        match self.guard {
            Guard::UserTimeout(timeout) => first_probe(|k| self.late_tick(k) >= timeout),
            _ => self.count,
        }
    }
}

impl Round {
    /// The rounds of an idle peer with keepalive, on a path with this round trip.
    pub(crate) fn of_probes(keepalive: &Keepalive, path: &Path, round_trip: Duration) -> Self {
        Self::of_first_probes(keepalive, path, round_trip, u32::MAX)
    }

    /// The same, if only the first `first_probes` can be answered, because something on the path forgets
    /// the connection when they are lost; the others are sent in vain. Each timer is assumed to be half a grain late.
    /// A probe and its answer meet the loss a round trip apart: at the server's end of the path, which is the
    /// worst place for both to pass.
    pub(crate) fn of_first_probes(keepalive: &Keepalive, path: &Path, round_trip: Duration, first_probes: u32) -> Self {
        let late = |time: Duration| time + keepalive.wheel.grain(time) / 2;
        // A round begins with the answer to a probe, and the next probe is sent at least an interval after that probe.
        let first = keepalive.idle.max(keepalive.interval.saturating_sub(round_trip));
        let (idle, interval) = (late(first), late(keepalive.interval));
        let count = keepalive.fatal_probes();
        let apart = round_trip.min(interval);
        let gap = path.after(interval.as_secs_f64());
        let arrived = path.passed(Way::There).then(path.after(apart.as_secs_f64()));
        let answered = arrived.then(path.passed(Way::Back));
        let lost_on_the_way_back =
            arrived.then(path.lost(Way::Back)).then(path.after((interval - apart).as_secs_f64()));
        let unanswered = path.lost(Way::There).then(gap).or(lost_on_the_way_back);
        let mut so_far = path.after(idle.as_secs_f64());
        let mut round = Self { answered: Vec::new(), dropped: Vec::new() };
        let end = idle + interval * count;
        for probe in 0..count {
            let heard = idle + interval * probe + round_trip;
            if heard >= end || probe >= first_probes {
                // Its answer comes too late, or never, and so do the answers to all later probes.
                so_far = so_far.then(gap);
                continue;
            }
            round.answered.push(End { after: heard, odds: so_far.then(answered), asked: probe + 1 });
            so_far = so_far.then(unanswered);
        }
        round.dropped.push(End { after: end, odds: so_far, asked: count });
        round
    }

    fn ends(&self) -> impl Iterator<Item = &End> {
        self.answered.iter().chain(&self.dropped)
    }

    /// The long run. No nearly equal numbers are subtracted, so odds of 1 to 10^30 are as accurate as odds of 1 to 2.
    pub(crate) fn outlook(&self) -> Outlook {
        let next = self.ends().fold(OddsMatrix::default(), |sum, end| sum.or(end.odds));
        let start = next.in_the_long_run();
        let mean = |of: fn(&End) -> f64| self.ends().map(|end| end.odds.from(start) * of(end)).sum::<f64>();
        Outlook {
            dropped_in_a_round: self.dropped.iter().map(|end| end.odds.from(start)).sum(),
            round: mean(|end| end.after.as_secs_f64()),
            asked_in_a_round: mean(|end| f64::from(end.asked)),
        }
    }

    /// The odds that a peer that has just given a sign of life is dropped within `watched`. Exact, but slow: meant for
    /// minutes, not for years.
    pub(crate) fn within(&self, path: &Path, watched: Duration) -> f64 {
        let steps = |time: Duration| (time.as_micros() / STEP.as_micros()) as usize;
        // `dropped[t]`: the odds, by state of the path, for a peer whose sign of life comes when t steps are left.
        let mut dropped: Vec<[f64; STATES]> = Vec::new();
        for left in 0..=steps(watched) {
            let mut odds = [0.0; STATES];
            for state in 0..STATES {
                for end in &self.answered {
                    if let Some(rest) = left.checked_sub(steps(end.after)).filter(|rest| *rest < left) {
                        odds[state] += (0..STATES).map(|to| end.odds.0[state][to] * dropped[rest][to]).sum::<f64>();
                    }
                }
                for end in self.dropped.iter().filter(|end| left >= steps(end.after)) {
                    odds[state] += end.odds.0[state].iter().sum::<f64>();
                }
            }
            dropped.push(odds);
        }
        let odds = dropped.last().copied().unwrap_or_default();
        (0..STATES).map(|state| path.settled()[state] * odds[state]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn five(loss: f64, seconds: f64) -> f64 {
        let five = Keepalive::with_deadline(Duration::from_secs(5)).unwrap();
        let path = Path::independent(loss);
        Round::of_probes(&five, &path, Duration::ZERO).within(&path, Duration::from_secs_f64(seconds))
    }

    #[test]
    fn the_odds_are_those_of_losing_every_probe_in_a_row() {
        let round = 0.51f64.powi(3);
        assert!((five(0.3, 5.1) - round).abs() < 1e-9);
        assert_eq!((five(0.3, 4.9), five(0.0, 500.0)), (0.0, 0.0));
        assert!((five(1.0, 5.1) - 1.0).abs() < 1e-9);
        // A round that ends with the answer to its first probe is followed by a round that ends at 7 s.
        assert!((five(0.3, 7.1) - (round + 0.49 * round)).abs() < 1e-9);
    }

    /// Two computations of the same rounds: over a hundred deadlines, and in the long run.
    #[test]
    fn the_long_run_agrees_with_the_exact_computation() {
        let two = Duration::from_secs(2);
        let each_way = Path::bursts_each_way(0.1, two, 0.9);
        for path in [Path::independent(0.1), Path::bursts(0.1, two, 0.9), each_way] {
            let five = Keepalive::with_deadline(Duration::from_secs(5)).unwrap();
            let round = Round::of_probes(&five, &path, Duration::from_millis(100));
            let kept = |seconds| 1.0 - round.within(&path, Duration::from_secs(seconds));
            let hazard = (kept(100) / kept(500)).ln() / 400.0;
            let rate = round.outlook().rate();
            assert!((hazard / rate - 1.0).abs() < 0.05, "{path:?}: {hazard} and {rate} a second");
        }
    }
}

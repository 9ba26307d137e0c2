//! The odds that a living peer is taken for dead, because a lossy path ate what should have proved
//! that it lives.
//!
//! Owns the model of a path that loses packets, and the reckoning of rounds: from one sign of life to
//! the next, or to the drop. Knows no socket, and not who asks: the plan for its forecast, the lab for
//! what it must see. The formulas are derived in `docs/plan.md`.
#![allow(clippy::needless_range_loop)] // two states: their number is the sense of the loop

use std::time::Duration;

use crate::keepalive::prediction::first_probe;
use crate::keepalive::{Guard, Keepalive};

/// How finely [`Round::within`] reckons.
const STEP: Duration = Duration::from_millis(4);

/// A path that loses packets, each way alike, after Gilbert and Elliott: it is in its good or its bad
/// state, changes between them at random moments, and loses a share of the packets in each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Path {
    /// The share that is lost in the good and in the bad state.
    lost: [f64; 2],
    /// The share of time in the bad state.
    bad: f64,
    /// How long a bad spell lasts on average, in seconds.
    spell: f64,
}

impl Path {
    /// Each packet is lost by itself.
    pub fn independent(loss: f64) -> Self {
        Self { lost: [loss; 2], bad: 0.0, spell: 1.0 }
    }

    /// Losses come in spells that last `spell` on average, in which a share `lost` of the packets is;
    /// between them none is. The spells are as frequent as makes `loss` of all packets lost, which must
    /// be less than `lost`.
    pub fn bursts(loss: f64, spell: Duration, lost: f64) -> Self {
        Self { lost: [0.0, lost], bad: loss / lost, spell: spell.as_secs_f64() }
    }

    /// How likely each state is when nothing is known.
    pub fn settled(&self) -> [f64; 2] {
        [1.0 - self.bad, self.bad]
    }

    /// From each state to each, `seconds` later.
    pub fn after(&self, seconds: f64) -> Matrix {
        let mixed = -(-seconds / (self.spell * (1.0 - self.bad))).exp_m1();
        let [to_bad, to_good] = [self.bad * mixed, (1.0 - self.bad) * mixed];
        Matrix([[1.0 - to_bad, to_bad], [to_good, 1.0 - to_good]])
    }

    /// A packet is lost, by state.
    pub fn lost(&self) -> Matrix {
        Matrix([[self.lost[0], 0.0], [0.0, self.lost[1]]])
    }

    /// A packet passes, by state.
    pub fn passed(&self) -> Matrix {
        Matrix([[1.0 - self.lost[0], 0.0], [0.0, 1.0 - self.lost[1]]])
    }
}

/// Odds from each state of the path (row) to each (column).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Matrix(pub [[f64; 2]; 2]);

impl Matrix {
    /// First this, then that.
    #[must_use]
    pub fn then(self, that: Self) -> Self {
        let mut product = Self::default();
        for from in 0..2 {
            for to in 0..2 {
                product.0[from][to] = self.0[from][0] * that.0[0][to] + self.0[from][1] * that.0[1][to];
            }
        }
        product
    }

    /// Either this or that.
    #[must_use]
    pub fn or(self, that: Self) -> Self {
        let mut sum = self;
        for from in 0..2 {
            for to in 0..2 {
                sum.0[from][to] += that.0[from][to];
            }
        }
        sum
    }

    /// The odds that it happens at all, from these states.
    pub fn from(&self, states: [f64; 2]) -> f64 {
        (0..2).map(|state| states[state] * (self.0[state][0] + self.0[state][1])).sum()
    }
}

/// One way in which a round ends.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Counted from the last sign of life.
    pub after: Duration,
    pub odds: Matrix,
    /// How often something was asked until then.
    pub asked: u32,
}

/// All ways in which a round ends: with one of the answers, or with the drop.
#[derive(Clone, Debug)]
pub struct Round {
    pub answered: Vec<End>,
    pub dropped: Vec<End>,
}

/// What rounds come to in the long run, if a peer that is dropped comes straight back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// The odds that a round ends with the drop.
    pub dropped_in_a_round: f64,
    /// The mean length of a round, in seconds.
    pub round: f64,
    /// How often something is asked in a round, on average.
    pub asked_in_a_round: f64,
}

impl Outlook {
    /// Drops a second of one peer.
    pub fn rate(&self) -> f64 {
        self.dropped_in_a_round / self.round
    }

    /// The chance that a peer is dropped once or more within so many seconds.
    pub fn chance(&self, seconds: f64) -> f64 {
        -(-self.rate() * seconds).exp_m1()
    }
}

impl Keepalive {
    /// How many probes in a row must be lost for a drop, at the earliest: the count, which a user
    /// timeout replaces by the first probe that is sent when it is over.
    pub fn fatal_probes(&self) -> u32 {
        match self.guard {
            Guard::UserTimeout(timeout) => first_probe(|k| self.late_tick(k) >= timeout),
            _ => self.count,
        }
    }
}

impl Round {
    /// The rounds of an idle peer under keepalive, on a path with this round trip. Each timer is
    /// reckoned half a grain late. The packet and its answer meet the loss a round trip apart: at the
    /// server's end of the path, which is the worst place for both to pass.
    pub fn of_probes(keepalive: &Keepalive, path: &Path, round_trip: Duration) -> Self {
        let late = |time: Duration| time + keepalive.wheel.grain(time) / 2;
        // Rounds begin with the answer to a probe, and the next one is an interval away at least.
        let first = keepalive.idle.max(keepalive.interval.saturating_sub(round_trip));
        let (idle, interval) = (late(first), late(keepalive.interval));
        let count = keepalive.fatal_probes();
        let apart = round_trip.min(interval);
        let gap = path.after(interval.as_secs_f64());
        let there_and_back = path.passed().then(path.after(apart.as_secs_f64()));
        let answered = there_and_back.then(path.passed());
        let lost_on_the_way_back = there_and_back.then(path.lost()).then(path.after((interval - apart).as_secs_f64()));
        let unanswered = path.lost().then(gap).or(lost_on_the_way_back);
        let mut so_far = path.after(idle.as_secs_f64());
        let mut round = Self { answered: Vec::new(), dropped: Vec::new() };
        let end = idle + interval * count;
        for probe in 0..count {
            let heard = idle + interval * probe + round_trip;
            if heard >= end {
                // Its answer comes too late, and so do those of all that follow.
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

    /// The long run. No difference of nearly equal numbers is taken, so that odds of 1 to 10^30 come
    /// out as right as those of 1 to 2.
    pub fn outlook(&self) -> Outlook {
        let next = self.ends().fold(Matrix::default(), |sum, end| sum.or(end.odds)).0;
        let (to_bad, to_good) = (next[0][1], next[1][0]);
        let bad = if to_bad > 0.0 { to_bad / (to_bad + to_good) } else { 0.0 };
        let start = [1.0 - bad, bad];
        let mean = |of: fn(&End) -> f64| self.ends().map(|end| end.odds.from(start) * of(end)).sum::<f64>();
        Outlook {
            dropped_in_a_round: self.dropped.iter().map(|end| end.odds.from(start)).sum(),
            round: mean(|end| end.after.as_secs_f64()),
            asked_in_a_round: mean(|end| f64::from(end.asked)),
        }
    }

    /// The odds that a peer that was just heard from is dropped within `watched`. Exact, and slow: for
    /// minutes, not for years.
    pub fn within(&self, path: &Path, watched: Duration) -> f64 {
        let steps = |time: Duration| (time.as_micros() / STEP.as_micros()) as usize;
        // `dropped[t]`: the odds, by the path's state, for a peer that is heard from when t steps are left.
        let mut dropped: Vec<[f64; 2]> = Vec::new();
        for left in 0..=steps(watched) {
            let mut odds = [0.0; 2];
            for state in 0..2 {
                for end in &self.answered {
                    if let Some(rest) = left.checked_sub(steps(end.after)).filter(|rest| *rest < left) {
                        odds[state] += (0..2).map(|to| end.odds.0[state][to] * dropped[rest][to]).sum::<f64>();
                    }
                }
                for end in self.dropped.iter().filter(|end| left >= steps(end.after)) {
                    odds[state] += end.odds.0[state][0] + end.odds.0[state][1];
                }
            }
            dropped.push(odds);
        }
        let [good, bad] = dropped.last().copied().unwrap_or_default();
        let settled = path.settled();
        settled[0] * good + settled[1] * bad
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
        // A round that ends with an answer to its first probe is followed by one that ends at 7 s.
        assert!((five(0.3, 7.1) - (round + 0.49 * round)).abs() < 1e-9);
    }

    /// The two readings of the same rounds: a hundred deadlines, and for ever.
    #[test]
    fn the_long_run_is_what_the_short_one_comes_to() {
        for path in [Path::independent(0.1), Path::bursts(0.1, Duration::from_secs(2), 0.9)] {
            let five = Keepalive::with_deadline(Duration::from_secs(5)).unwrap();
            let round = Round::of_probes(&five, &path, Duration::from_millis(100));
            let kept = |seconds| 1.0 - round.within(&path, Duration::from_secs(seconds));
            let hazard = (kept(100) / kept(500)).ln() / 400.0;
            let rate = round.outlook().rate();
            assert!((hazard / rate - 1.0).abs() < 0.05, "{path:?}: {hazard} and {rate} a second");
        }
    }

    #[test]
    fn a_spell_of_loss_is_as_long_and_as_frequent_as_was_said() {
        let path = Path::bursts(0.02, Duration::from_secs(3), 0.5);
        assert_eq!(path.settled(), [0.96, 0.04]);
        let short = path.after(1e-6).0;
        assert!((short[1][0] * 1e6 - 1.0 / 3.0).abs() < 1e-3, "leaves the bad state every 3 s: {short:?}");
        let long = path.after(1e6).0;
        assert!((long[0][1] - 0.04).abs() < 1e-12 && (long[1][1] - 0.04).abs() < 1e-12, "{long:?}");
    }
}

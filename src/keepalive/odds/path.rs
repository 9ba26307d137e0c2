//! A path that loses packets: good and bad spells in each direction.
//!
//! Owns the states of the path and the odds of a change from each to each. Knows no probe.
#![allow(clippy::needless_range_loop)] // the loops are over the few states, by number

use std::time::Duration;

/// Good or bad in either direction: [`Way`] says how the number of a state is composed.
pub(super) const STATES: usize = 4;
/// The states in which both directions are good, and in which both are bad.
const BOTH_GOOD: usize = 0;
const BOTH_BAD: usize = STATES - 1;

/// The direction of a packet: there with a probe, back with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    There,
    Back,
}

impl Way {
    /// Whether this direction is bad (1) or good (0) in that state.
    fn weather(self, state: usize) -> usize {
        match self {
            Self::There => state / 2,
            Self::Back => state % 2,
        }
    }
}

/// A path that loses packets, after Gilbert and Elliott: each direction is in a good or a bad state,
/// changes between them at random moments, and loses a share of the packets in each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Path {
    /// The share of packets that are lost in the good and in the bad state.
    lost: [f64; 2],
    /// The share of time spent in the bad state.
    bad: f64,
    /// How long a bad spell lasts on average, in seconds.
    spell: f64,
    /// Whether the directions have spells independent of each other; otherwise both are good and bad together.
    apart: bool,
}

impl Path {
    /// Each packet is lost independently.
    pub(crate) fn independent(loss: f64) -> Self {
        Self { lost: [loss; 2], bad: 0.0, spell: 1.0, apart: false }
    }

    /// Losses come in spells that last `spell` on average and hit both directions at once. A share `lost` of the
    /// packets is lost in a spell, and none between spells. The spells are so frequent that a share `loss`
    /// of all packets is lost; `loss` must be less than `lost`.
    pub(crate) fn bursts(loss: f64, spell: Duration, lost: f64) -> Self {
        Self { lost: [0.0, lost], bad: loss / lost, spell: spell.as_secs_f64(), apart: false }
    }

    /// The same, but each direction has spells of its own, independent of the other: a queue that is full is
    /// full in one direction.
    pub(crate) fn bursts_each_way(loss: f64, spell: Duration, lost: f64) -> Self {
        Self { apart: true, ..Self::bursts(loss, spell, lost) }
    }

    /// How likely each state is if nothing is known.
    pub(crate) fn settled(&self) -> [f64; STATES] {
        let one = [1.0 - self.bad, self.bad];
        if self.apart {
            return std::array::from_fn(|state| one[Way::There.weather(state)] * one[Way::Back.weather(state)]);
        }
        let mut states = [0.0; STATES];
        [states[BOTH_GOOD], states[BOTH_BAD]] = one;
        states
    }

    /// The odds of a change from each state to each, `seconds` later.
    pub(crate) fn after(&self, seconds: f64) -> OddsMatrix {
        let mixed = -(-seconds / (self.spell * (1.0 - self.bad))).exp_m1();
        let [to_bad, to_good] = [self.bad * mixed, (1.0 - self.bad) * mixed];
        let one = [[1.0 - to_bad, to_bad], [to_good, 1.0 - to_good]];
        let mut after = OddsMatrix::default();
        for from in 0..STATES {
            for to in 0..STATES {
                let way = |way: Way| one[way.weather(from)][way.weather(to)];
                let corner = |state| state == BOTH_GOOD || state == BOTH_BAD;
                after.0[from][to] = match self.apart {
                    true => way(Way::There) * way(Way::Back),
                    false if corner(from) && corner(to) => way(Way::There),
                    // One direction good and the other bad never happens in this model.
                    false => f64::from(u8::from(from == to)),
                };
            }
        }
        after
    }

    /// The odds that a packet is lost in this direction, by state.
    pub(crate) fn lost(&self, way: Way) -> OddsMatrix {
        OddsMatrix::each(|state| self.lost[way.weather(state)])
    }

    /// The odds that a packet passes in this direction, by state.
    pub(crate) fn passed(&self, way: Way) -> OddsMatrix {
        OddsMatrix::each(|state| 1.0 - self.lost[way.weather(state)])
    }
}

/// Odds from each state of the path (row) to each (column).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct OddsMatrix(pub [[f64; STATES]; STATES]);

impl OddsMatrix {
    /// Something happens with these odds, and the state does not change.
    fn each(odds: impl Fn(usize) -> f64) -> Self {
        let mut each = Self::default();
        for state in 0..STATES {
            each.0[state][state] = odds(state);
        }
        each
    }

    /// First this, then that.
    #[must_use]
    pub(crate) fn then(self, that: Self) -> Self {
        let mut product = Self::default();
        for from in 0..STATES {
            for by in 0..STATES {
                for to in 0..STATES {
                    product.0[from][to] += self.0[from][by] * that.0[by][to];
                }
            }
        }
        product
    }

    /// Either this or that.
    #[must_use]
    pub(crate) fn or(self, that: Self) -> Self {
        let mut sum = self;
        for from in 0..STATES {
            for to in 0..STATES {
                sum.0[from][to] += that.0[from][to];
            }
        }
        sum
    }

    /// The odds that it happens at all, starting from these states.
    pub(crate) fn from(&self, states: [f64; STATES]) -> f64 {
        (0..STATES).map(|state| states[state] * self.0[state].iter().sum::<f64>()).sum()
    }

    /// How likely each state is in the long run, if this happens again and again. After Grassmann, Taksar
    /// and Heyman: the states are eliminated one by one, and nothing is subtracted, so that the figure of the rarest
    /// state is as accurate as that of the most frequent.
    pub(super) fn in_the_long_run(&self) -> [f64; STATES] {
        let mut odds = self.0;
        for last in (1..STATES).rev() {
            let leaves: f64 = odds[last][..last].iter().sum();
            for from in 0..last {
                // A state that is never left never occurs here: see [`Path::after`].
                odds[from][last] = if leaves > 0.0 { odds[from][last] / leaves } else { 0.0 };
                for to in 0..last {
                    odds[from][to] += odds[from][last] * odds[last][to];
                }
            }
        }
        let mut states = [0.0; STATES];
        states[0] = 1.0;
        for state in 1..STATES {
            states[state] = (0..state).map(|from| states[from] * odds[from][state]).sum();
        }
        let sum: f64 = states.iter().sum();
        states.map(|state| state / sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spell_of_loss_is_as_long_and_as_frequent_as_given() {
        let spell = Duration::from_secs(3);
        let path = Path::bursts(0.02, spell, 0.5);
        assert_eq!(path.settled(), [0.96, 0.0, 0.0, 0.04]);
        let short = path.after(1e-6).0;
        assert!((short[3][0] * 1e6 - 1.0 / 3.0).abs() < 1e-3, "leaves the bad state every 3 s: {short:?}");
        let long = path.after(1e6).0;
        assert!((long[0][3] - 0.04).abs() < 1e-12 && (long[3][3] - 0.04).abs() < 1e-12, "{long:?}");
        // Each direction by itself: either leaves its bad state as often, and both are bad only by chance.
        let path = Path::bursts_each_way(0.02, spell, 0.5);
        let settled = [0.96 * 0.96, 0.96 * 0.04, 0.04 * 0.96, 0.04 * 0.04];
        assert!(path.settled().iter().zip(settled).all(|(a, b)| (a - b).abs() < 1e-12), "{:?}", path.settled());
        let short = path.after(1e-6).0;
        for way in [1, 2] {
            assert!((short[way][0] * 1e6 - 1.0 / 3.0).abs() < 1e-3 && short[way][3 - way] < 1e-12, "{short:?}");
            assert_eq!(path.lost(Way::There).0[way][way] + path.lost(Way::Back).0[way][way], 0.5);
        }
        for row in path.after(1e6).0 {
            assert!(row.iter().zip(settled).all(|(a, b)| (a - b).abs() < 1e-12), "{row:?}");
        }
    }

    /// Worked out by hand, with odds so small that a subtraction would lose them.
    #[test]
    fn the_long_run_does_not_change_with_a_step() {
        let step = OddsMatrix([
            [1.0 - 3e-20, 1e-20, 1e-20, 1e-20],
            [0.5, 0.25, 0.25, 0.0],
            [0.25, 0.25, 0.25, 0.25],
            [0.1, 0.2, 0.3, 0.4],
        ]);
        let states = step.in_the_long_run();
        for to in 1..STATES {
            let next: f64 = (0..STATES).map(|from| states[from] * step.0[from][to]).sum();
            assert!((next / states[to] - 1.0).abs() < 1e-12, "{states:?}");
        }
        let both = Path::bursts(0.02, Duration::from_secs(3), 0.5).after(1.0).in_the_long_run();
        assert!((both[3] - 0.04).abs() < 1e-12 && both[1] == 0.0 && both[2] == 0.0, "{both:?}");
    }
}

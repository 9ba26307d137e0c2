//! The formulas, played out packet by packet: a path whose weather changes, a kernel that probes, a
//! program that pings. It shares nothing with the formulas but the settings.
//!
//! Seeded, so that it says the same each time.

use std::time::Duration;

use super::{near, s};
use crate::keepalive::Keepalive;
use crate::keepalive::odds::{Outlook, Path, Round};
use crate::plan::Heartbeat;

/// Rounds of each trial; there are eight.
const ROUNDS: u32 = 1_000_000;

/// xorshift64*, enough for this.
struct Chance(u64);

impl Chance {
    /// From 0 to below 1.
    fn draw(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A path, as it is at a moment. The moment never goes back.
struct Weather {
    chance: Chance,
    /// What is lost in the good and in the bad state, and how long each lasts on average.
    lost: [f64; 2],
    spells: [f64; 2],
    bad: bool,
    until: f64,
}

impl Weather {
    fn independent(loss: f64) -> Self {
        Self { chance: Chance(17), lost: [loss; 2], spells: [f64::INFINITY; 2], bad: false, until: f64::INFINITY }
    }

    fn bursts(loss: f64, spell: f64, lost: f64) -> Self {
        // As long good that the bad spells lose `loss` of all.
        let good = spell * (lost / loss - 1.0);
        Self { chance: Chance(23), lost: [0.0, lost], spells: [good, spell], bad: false, until: good }
    }

    fn passes(&mut self, at: f64) -> bool {
        while self.until < at {
            self.bad = !self.bad;
            self.until -= self.spells[usize::from(self.bad)] * (1.0 - self.chance.draw()).ln();
        }
        self.chance.draw() >= self.lost[usize::from(self.bad)]
    }
}

/// Drops a round, and the mean length of one.
fn rounds(mut round: impl FnMut(f64) -> (f64, bool)) -> (f64, f64) {
    let (mut now, mut drops) = (0.0, 0);
    for _ in 0..ROUNDS {
        let (end, dropped) = round(now);
        now = end;
        drops += u32::from(dropped);
    }
    (f64::from(drops) / f64::from(ROUNDS), now / f64::from(ROUNDS))
}

fn agree(name: &str, (drops, length): (f64, f64), outlook: Outlook) {
    let formula = outlook.dropped_in_a_round;
    println!("{name}: dropped {drops:.5}, by the formula {formula:.5}; a round {length:.3} s, {:.3} s", outlook.round);
    assert!(formula > 0.002, "{name}: too rare to be seen");
    assert!(near(drops, formula, 0.04), "{name}: {drops} dropped in a round, by the formula {formula}");
    assert!(near(length, outlook.round, 0.01), "{name}: a round of {length} s, by the formula {}", outlook.round);
}

fn probes(mut weather: Weather, idle: f64, interval: f64, count: u32, round_trip: f64) -> (f64, f64) {
    rounds(|start| {
        for probe in 0..count {
            let sent = start + idle + interval * f64::from(probe);
            if weather.passes(sent) && weather.passes(sent + round_trip) {
                return (sent + round_trip, false);
            }
        }
        (start + idle + interval * f64::from(count), true)
    })
}

#[test]
fn probes_are_lost_as_often_as_the_formula_says() {
    // Timers of 1 s and 2 s fire 16 ms late on average, those of 6 s and 8 s 128 ms.
    for (loss, (idle, interval, count), late) in [(0.2, (8, 6, 3), 0.128), (0.1, (2, 1, 2), 0.016)] {
        let keepalive = Keepalive::new(s(idle), s(interval), count).unwrap();
        let round_trip = Duration::from_millis(200);
        let play = |weather| probes(weather, idle as f64 + late, interval as f64 + late, count, 0.2);
        let outlook = |path| Round::of_probes(&keepalive, &path, round_trip).outlook();
        let name = format!("probes, {loss} lost");
        agree(&name, play(Weather::independent(loss)), outlook(Path::independent(loss)));
        let (spell, lost) = (5.0, 0.8);
        agree(
            &format!("{name} in bursts"),
            play(Weather::bursts(loss, spell, lost)),
            outlook(Path::bursts(loss, s(5), lost)),
        );
    }
}

/// The tries are written out: what Linux does with a round trip of 0.1 s.
const TRIES: [f64; 6] = [0.0, 0.3, 0.6, 1.2, 2.4, 4.8];

fn beats(mut weather: Weather, silence: f64, timeout: f64) -> (f64, f64) {
    let round_trip = 0.1;
    rounds(|start| {
        let end = start + silence + timeout;
        for ping in TRIES.map(|wait| start + silence + wait) {
            if ping > end || !weather.passes(ping) {
                continue;
            }
            let pongs = TRIES.map(|wait| ping + round_trip + wait);
            let heard = pongs.into_iter().take_while(|pong| *pong <= end).find(|pong| weather.passes(*pong));
            return heard.map_or((end, true), |heard| (heard, false));
        }
        (end, true)
    })
}

#[test]
fn heartbeats_are_lost_as_often_as_the_formula_says() {
    for (loss, timeout) in [(0.3, 2000), (0.15, 1050)] {
        let beat = Heartbeat { silence: s(4), timeout: Duration::from_millis(timeout) };
        let outlook = |path| beat.round(&path, Duration::from_millis(100), s(120)).outlook();
        let play = |weather| beats(weather, 4.0, timeout as f64 / 1000.0);
        let name = format!("heartbeats, {loss} lost, {timeout} ms");
        agree(&name, play(Weather::independent(loss)), outlook(Path::independent(loss)));
        agree(
            &format!("{name} in bursts"),
            play(Weather::bursts(loss, 2.0, 0.9)),
            outlook(Path::bursts(loss, s(2), 0.9)),
        );
    }
}

/// A thousand short lives of a peer, watched as the lab's lossy scenes are.
#[test]
fn the_odds_of_the_lab_are_those_of_the_play() {
    let five = Keepalive::with_deadline(s(5)).unwrap();
    let path = Path::independent(0.3);
    let odds = Round::of_probes(&five, &path, Duration::ZERO).within(&path, s(20));
    let mut weather = Weather::independent(0.3);
    let lives = 20_000;
    let dropped = (0..lives).filter(|_| {
        let mut heard = 0.0;
        loop {
            let sent = |probe: u32| heard + 2.016 + 1.016 * f64::from(probe);
            let answered = (0..3).map(sent).find(|at| weather.passes(*at) && weather.passes(*at));
            match answered {
                None => return sent(3) <= 20.0,
                Some(at) if at > 20.0 => return false,
                Some(at) => heard = at,
            }
        }
    });
    let share = dropped.count() as f64 / f64::from(lives);
    assert!(near(share, odds, 0.03), "{share} dropped within 20 s, by the formula {odds}");
}

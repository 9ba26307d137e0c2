//! The formulas against a simulation, packet by packet: a path whose state changes, a kernel that probes, a program that
//! pings. It shares only the settings with the formulas.
//!
//! Its seeds are fixed, so each run has the same result.

use std::time::Duration;

use super::{near, s};
use crate::keepalive::Keepalive;
use crate::keepalive::odds::{Outlook, Path, Round};
use crate::plan::HeartbeatPlan;

/// A trial is simulated in parts, whose spread gives the standard error of their mean.
const PARTS: u32 = 100;
/// Rounds of each part; and of each part whose rounds are continued many times (splitting).
const ROUNDS: u32 = 10_000;
const SPLIT_ROUNDS: u32 = 5_000;

/// xorshift64*, enough for this.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to below 1.
    fn draw(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A path, or one way of it, as it is at a moment. The moment never goes back.
#[derive(Clone)]
struct Weather {
    chance: Chance,
    /// What is lost in the good and in the bad state, and how long each lasts on average.
    lost: [f64; 2],
    spells: [f64; 2],
    bad: bool,
    until: f64,
    asked: f64,
}

impl Weather {
    fn independent(loss: f64) -> Self {
        let until = f64::INFINITY;
        Self { chance: Chance(17), lost: [loss; 2], spells: [until; 2], bad: false, until, asked: 0.0 }
    }

    fn bursts(loss: f64, spell: f64, lost: f64, seed: u64) -> Self {
        // The good state lasts so long that the bursts lose `loss` of all packets.
        let good = spell * (lost / loss - 1.0);
        let spells = [good, spell];
        Self { chance: Chance(seed), lost: [0.0, lost], spells, bad: false, until: good, asked: 0.0 }
    }

    fn lasts(&mut self) -> f64 {
        -self.spells[usize::from(self.bad)] * (1.0 - self.chance.draw()).ln()
    }

    fn passes(&mut self, at: f64) -> bool {
        self.asked = at;
        while self.until < at {
            self.bad = !self.bad;
            self.until += self.lasts();
        }
        self.chance.draw() >= self.lost[usize::from(self.bad)]
    }

    /// Another continuation from this moment. The lengths are exponential, so what has passed does not matter.
    fn another(&mut self) -> Self {
        let chance = Chance(self.chance.bits() | 1);
        let mut another = Self { chance, ..self.clone() };
        another.until = another.asked + another.lasts();
        another
    }
}

/// Both directions of a path: one state for both, or one for each.
#[derive(Clone)]
struct Ways(Vec<Weather>);

impl Ways {
    fn independent(loss: f64) -> Self {
        Self(vec![Weather::independent(loss)])
    }

    fn together(loss: f64, spell: f64, lost: f64) -> Self {
        Self(vec![Weather::bursts(loss, spell, lost, 23)])
    }

    fn each(loss: f64, spell: f64, lost: f64) -> Self {
        Self(vec![Weather::bursts(loss, spell, lost, 29), Weather::bursts(loss, spell, lost, 31)])
    }

    fn there(&mut self, at: f64) -> bool {
        self.0[0].passes(at)
    }

    fn back(&mut self, at: f64) -> bool {
        self.0.last_mut().unwrap().passes(at)
    }

    fn another(&mut self) -> Self {
        Self(self.0.iter_mut().map(Weather::another).collect())
    }
}

/// The result of a trial: drops per round, with its standard error, and the mean length of a round.
struct Seen {
    drops: f64,
    error: f64,
    length: f64,
}

/// Simulates the rounds of a trial, each from the end of the one before. A round returns when it ends, and how
/// likely it drops a living peer, which may be the mean of many continuations.
fn rounds(each: u32, mut round: impl FnMut(f64) -> (f64, f64)) -> Seen {
    let mut now = 0.0;
    let parts: Vec<f64> = (0..PARTS)
        .map(|_| {
            let mut drops = 0.0;
            for _ in 0..each {
                let (end, dropped) = round(now);
                now = end;
                drops += dropped;
            }
            drops / f64::from(each)
        })
        .collect();
    let parts_of = f64::from(PARTS);
    let drops = parts.iter().sum::<f64>() / parts_of;
    let spread = parts.iter().map(|part| (part - drops).powi(2)).sum::<f64>() / (parts_of - 1.0);
    Seen { drops, error: (spread / parts_of).sqrt(), length: now / (parts_of * f64::from(each)) }
}

/// The simulation may differ from the formula by four standard errors, which chance exceeds once in 16 000 trials; and the
/// standard error must be small.
fn agree(name: &str, seen: &Seen, outlook: Outlook) {
    let (formula, off) = (outlook.dropped_in_a_round, (seen.drops - outlook.dropped_in_a_round) / seen.error);
    println!(
        "{name}: dropped {:.3e} ± {:.1} %, by the formula {formula:.3e}, {off:.1} errors off; a round {:.3} s, {:.3} s",
        seen.drops,
        seen.error / seen.drops * 100.0,
        seen.length,
        outlook.round
    );
    assert!(seen.error < 0.03 * seen.drops, "{name}: too rare to be seen");
    assert!(off.abs() < 4.0, "{name}: {} dropped in a round, by the formula {formula}", seen.drops);
    assert!(near(seen.drops, formula, 0.04), "{name}: {} dropped in a round, by the formula {formula}", seen.drops);
    let length = seen.length;
    assert!(near(length, outlook.round, 0.01), "{name}: a round of {length} s, by the formula {}", outlook.round);
}

/// Each of the three models of loss, and the formulas for it.
fn weathers(loss: f64, spell: u64, lost: f64) -> [(&'static str, Ways, Path); 3] {
    let seconds = spell as f64;
    [
        ("", Ways::independent(loss), Path::independent(loss)),
        (" in bursts", Ways::together(loss, seconds, lost), Path::bursts(loss, s(spell), lost)),
        (" in bursts each way", Ways::each(loss, seconds, lost), Path::bursts_each_way(loss, s(spell), lost)),
    ]
}

/// The settings, with the timers as late as they are on average.
#[derive(Clone, Copy)]
struct Probes {
    idle: f64,
    interval: f64,
    count: u32,
    round_trip: f64,
}

impl Probes {
    fn answered(&self, ways: &mut Ways, start: f64, probe: u32) -> Option<f64> {
        let sent = start + self.idle + self.interval * f64::from(probe);
        let heard = sent + self.round_trip;
        (ways.there(sent) && ways.back(heard)).then_some(heard)
    }

    fn play(self, mut ways: Ways) -> Seen {
        rounds(ROUNDS, |start| {
            let heard = (0..self.count).find_map(|probe| self.answered(&mut ways, start, probe));
            heard.map_or((start + self.idle + self.interval * f64::from(self.count), 1.0), |heard| (heard, 0.0))
        })
    }

    /// The same where drops are too rare to be simulated directly: each time a probe is not answered, the round
    /// is continued many times, and each continuation counts for its share (*splitting*, after Kahn and Harris).
    fn play_split(self, mut ways: Ways, futures: u32) -> Seen {
        rounds(SPLIT_ROUNDS, |start| {
            let mut dropped = 0.0;
            for probe in 0..self.count {
                if let Some(heard) = self.answered(&mut ways, start, probe) {
                    return (heard, dropped);
                }
                if probe == 0 {
                    dropped = self.dropped(&mut ways, start, 1, futures);
                }
            }
            (start + self.idle + self.interval * f64::from(self.count), dropped)
        })
    }

    /// How likely the round that stands before this probe ends with the drop.
    fn dropped(&self, ways: &mut Ways, start: f64, probe: u32, futures: u32) -> f64 {
        if probe == self.count {
            return 1.0;
        }
        let one = |mut ways: Ways| match self.answered(&mut ways, start, probe) {
            Some(_) => 0.0,
            None => self.dropped(&mut ways, start, probe + 1, futures),
        };
        (0..futures).map(|_| one(ways.another())).sum::<f64>() / f64::from(futures)
    }
}

#[test]
fn probes_are_lost_as_often_as_the_formula_says() {
    // Timers of 1 s and 2 s fire 16 ms late on average, those of 6 s and 8 s 128 ms.
    for (loss, (idle, interval, count), late) in [(0.2, (8, 6, 3), 0.128), (0.1, (2, 1, 2), 0.016)] {
        let keepalive = Keepalive::new(s(idle), s(interval), count).unwrap();
        let round_trip = 0.2;
        let probes = Probes { idle: idle as f64 + late, interval: interval as f64 + late, count, round_trip };
        for (name, ways, path) in weathers(loss, 5, 0.8) {
            let outlook = Round::of_probes(&keepalive, &path, Duration::from_millis(200)).outlook();
            agree(&format!("probes, {loss} lost{name}"), &probes.play(ways), outlook);
        }
    }
}

/// The figures that the README states for 100 000 peers, and those of the default settings.
#[test]
fn the_published_figures_are_those_of_the_play() {
    for (deadline, loss, round_trip, (idle, interval, count), futures, published) in [
        (30, 0.02, 0.2, (6.128, 4.128, 6), [22, 40, 22], [5.13, 2.65, 23.5]),
        (35, 0.01, 0.1, (5.128, 5.128, 6), [44, 80, 44], [0.101, 0.0222, 0.339]),
    ] {
        let keepalive = Keepalive::with_deadline(s(deadline)).unwrap();
        let probes = Probes { idle, interval, count, round_trip };
        for (((name, ways, path), published), futures) in weathers(loss, 1, 1.0).into_iter().zip(published).zip(futures)
        {
            let seen = probes.play_split(ways, futures);
            let outlook = Round::of_probes(&keepalive, &path, Duration::from_secs_f64(round_trip)).outlook();
            agree(&format!("{deadline} s, {loss} lost{name}"), &seen, outlook);
            let a_day = |in_a_round: f64| in_a_round / outlook.round * 86400.0 * 1e5;
            let (a_day, error) = (a_day(seen.drops), a_day(seen.error));
            println!("  {a_day:.3} ± {error:.3} a day, published {published}");
            assert!((a_day - published).abs() < 4.0 * error, "{deadline} s{name}: {a_day} a day, not {published}");
            assert!(near(outlook.rate() * 86400.0 * 1e5, published, 0.005), "{deadline} s{name}");
        }
    }
}

/// The tries are written out: what Linux does with a round trip of 0.1 s.
const TRIES: [f64; 6] = [0.0, 0.3, 0.6, 1.2, 2.4, 4.8];

fn beats(mut ways: Ways, silence: f64, timeout: f64) -> Seen {
    let round_trip = 0.1;
    rounds(ROUNDS, |start| {
        let end = start + silence + timeout;
        for ping in TRIES.map(|wait| start + silence + wait) {
            if ping > end || !ways.there(ping) {
                continue;
            }
            let pongs = TRIES.map(|wait| ping + round_trip + wait);
            let heard = pongs.into_iter().take_while(|pong| *pong <= end).find(|pong| ways.back(*pong));
            return heard.map_or((end, 1.0), |heard| (heard, 0.0));
        }
        (end, 1.0)
    })
}

#[test]
fn heartbeats_are_lost_as_often_as_the_formula_says() {
    for (loss, timeout) in [(0.3, 2000), (0.15, 1050)] {
        let beat = HeartbeatPlan { silence: s(4), timeout: Duration::from_millis(timeout) };
        for (name, ways, path) in weathers(loss, 2, 0.9) {
            let outlook = beat.round(&path, Duration::from_millis(100), s(120)).outlook();
            let name = format!("heartbeats, {loss} lost, {timeout} ms{name}");
            agree(&name, &beats(ways, 4.0, timeout as f64 / 1000.0), outlook);
        }
    }
}

/// Many short connections, each watched for as long as the lab's lossy scenes.
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

//! Deadline against false drops and traffic: the points of both plots, and the plot for a terminal.
//!
//! Owns the range, the scale and the characters. Both axes are logarithmic.

use std::fmt::Write;
use std::time::Duration;

use crate::keepalive::Keepalive;
use crate::plan::words;
use crate::plan::{DAY, Plan, Price, YEAR};

/// One deadline, in seconds, and its cost: the false drops per year of all peers, their packets and bytes per second, and the
/// wake-ups per day of each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CurvePoint {
    pub deadline: f64,
    pub independent: f64,
    pub bursts: f64,
    pub bursts_each_way: f64,
    pub packets: f64,
    pub bytes: f64,
    pub wake_ups: f64,
    /// False drops a second of all peers, by the model that is worst.
    pub at_worst: f64,
}

impl CurvePoint {
    fn of(plan: &Plan, keepalive: &Keepalive, price: &Price) -> Self {
        let a_year = |rate: f64| plan.of_all(rate) * YEAR;
        Self {
            deadline: keepalive.deadline().as_secs_f64(),
            independent: a_year(price.independent.rate()),
            bursts: a_year(price.bursts.rate()),
            bursts_each_way: a_year(price.bursts_each_way.rate()),
            packets: plan.of_all(price.packets),
            bytes: plan.of_all(price.bytes),
            wake_ups: price.wake_ups * DAY,
            at_worst: plan.of_all(price.false_drops()),
        }
    }

    /// Under the three models.
    fn drops(&self) -> [f64; 3] {
        [self.independent, self.bursts, self.bursts_each_way]
    }
}

/// Both axes, from the least to the most that is shown.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub points: Vec<CurvePoint>,
    pub deadlines: (f64, f64),
    /// Powers of ten.
    pub drops: (i32, i32),
    /// The same for the packets a second.
    pub traffic: (i32, i32),
    /// The settings of the plan.
    pub own: CurvePoint,
}

/// Columns and rows of the terminal's plot.
const COLUMNS: usize = 64;
const ROWS: usize = 13;
/// The most powers of ten on the axis.
const DECADES: i32 = 24;
/// The shortest deadline that is shown, in seconds.
const SHORTEST: f64 = 3.0;

impl Curve {
    pub(super) fn of(plan: &Plan) -> Self {
        let own = Self::own(plan);
        let longest = (own.deadline * 4.0).max(60.0).round();
        let mut seconds: Vec<u64> = (0..COLUMNS)
            .map(|n| (SHORTEST * (longest / SHORTEST).powf(n as f64 / (COLUMNS - 1) as f64)).round() as u64)
            .collect();
        seconds.dedup();
        let points: Vec<CurvePoint> =
            seconds.into_iter().filter_map(|seconds| Self::at(plan, Duration::from_secs(seconds))).collect();
        let values = || points.iter().chain([&own]).flat_map(CurvePoint::drops);
        let decades = values().filter(|drops| *drops > 0.0).map(f64::log10);
        let (least, most) = decades.fold((f64::MAX, f64::MIN), |(least, most), one| (least.min(one), most.max(one)));
        let drops = if least > most { (-1, 1) } else { (least.floor() as i32, most.ceil() as i32) };
        let drops = (drops.0.max(drops.1 - DECADES), drops.1.max(drops.0 + 1));
        let mut packets: Vec<f64> = points.iter().chain([&own]).map(|point| point.packets.log10()).collect();
        packets.sort_by(f64::total_cmp);
        let traffic = (packets[0].floor() as i32, packets[packets.len() - 1].ceil() as i32);
        let traffic = (traffic.0, traffic.1.max(traffic.0 + 1));
        Self { points, deadlines: (SHORTEST, longest), drops, traffic, own }
    }

    /// The settings of the plan.
    fn own(plan: &Plan) -> CurvePoint {
        CurvePoint::of(plan, &plan.keepalive, &plan.probes)
    }

    /// The cost of another deadline; `None` if no settings are possible for it.
    fn at(plan: &Plan, deadline: Duration) -> Option<CurvePoint> {
        let keepalive = plan.question.settings_for(deadline)?;
        Some(CurvePoint::of(plan, &keepalive, &plan.question.price_of_probes(&keepalive)))
    }

    /// The plan beside shorter and longer deadlines, each with its cost.
    pub(super) fn choices(plan: &Plan) -> Vec<(Duration, Option<CurvePoint>)> {
        let own = plan.keepalive.deadline();
        let deadlines = [own / 4, own / 2, own, own * 2, own * 4, own * 8];
        let mut seconds = deadlines.map(|deadline| deadline.as_secs().max(SHORTEST as u64)).to_vec();
        seconds.dedup();
        let at = |seconds| {
            let deadline = Duration::from_secs(seconds);
            (deadline, if deadline == own { Some(Self::own(plan)) } else { Self::at(plan, deadline) })
        };
        seconds.into_iter().map(at).collect()
    }

    /// From 0, the shortest deadline, to 1.
    pub(super) fn across(&self, deadline: f64) -> f64 {
        (deadline / self.deadlines.0).ln() / (self.deadlines.1 / self.deadlines.0).ln()
    }

    /// From 0, the fewest drops, to 1; `None` below.
    pub(super) fn up(&self, drops: f64) -> Option<f64> {
        height(drops, self.drops)
    }

    /// From 0, the least traffic, to 1.
    pub(super) fn up_in_traffic(&self, packets: f64) -> Option<f64> {
        height(packets, self.traffic)
    }

    /// Round deadlines for the axis.
    pub(super) fn ticks(&self) -> impl Iterator<Item = u64> + '_ {
        let round = [3, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400, 259_200];
        round.into_iter().filter(|seconds| (self.deadlines.0..=self.deadlines.1).contains(&(*seconds as f64)))
    }

    pub(super) fn plot(&self) -> String {
        let mut grid = vec![vec![' '; COLUMNS]; ROWS];
        let column = |deadline: f64| ((self.across(deadline) * (COLUMNS - 1) as f64).round() as usize).min(COLUMNS - 1);
        let height = |drops: f64| self.up(drops).map(|up| ROWS - 1 - (up * (ROWS - 1) as f64).round() as usize);
        let own = column(self.own.deadline);
        grid.iter_mut().for_each(|row| row[own] = '│');
        let marks = self.points.iter().map(|point| (point, ['o', '*', '+'])).chain([(&self.own, ['@'; 3])]);
        for (point, marks) in marks {
            for (drops, mark) in point.drops().into_iter().zip(marks) {
                if let Some(row) = height(drops) {
                    grid[row][column(point.deadline)] = mark;
                }
            }
        }
        let mut text = String::new();
        for (n, row) in grid.iter().enumerate() {
            // Every third power of ten or so has a row of its own.
            let step = ((self.drops.1 - self.drops.0) / 4).max(1) as usize;
            let mut decades = (self.drops.0..=self.drops.1).step_by(step);
            let label = decades.find(|decade| height(10f64.powi(*decade)) == Some(n)).map(power).unwrap_or_default();
            let line: String = row.iter().collect();
            let _ = writeln!(text, "{label:>10} ┤{}", line.trim_end());
        }
        let mut axis = vec![' '; COLUMNS + 8];
        for tick in self.ticks() {
            let words: Vec<char> = words::duration(Duration::from_secs(tick)).chars().collect();
            let at = column(tick as f64);
            // A tick whose label would touch the one before is left out.
            if axis[at.saturating_sub(1)..at + words.len()].iter().all(|c| *c == ' ') {
                axis[at..at + words.len()].copy_from_slice(&words);
            }
        }
        let axis: String = axis.into_iter().collect();
        let _ = writeln!(text, "{:>10} └{}", "", "─".repeat(COLUMNS));
        let _ = writeln!(text, "{:>10}  {}", "", axis.trim_end());
        text
    }
}

fn height(value: f64, decades: (i32, i32)) -> Option<f64> {
    let place = (value.log10() - f64::from(decades.0)) / f64::from(decades.1 - decades.0);
    (0.0..=1.0).contains(&place).then_some(place)
}

/// `1000`, `0.01`, `1e-9`.
pub(super) fn power(decade: i32) -> String {
    match decade {
        0..6 => format!("{}", 10i64.pow(decade as u32)),
        -3..0 => format!("{:.*}", -decade as usize, 10f64.powi(decade)),
        _ => format!("1e{decade}"),
    }
}

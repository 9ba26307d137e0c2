//! A plot: lines over an axis, as SVG.
//!
//! Owns the scales and the ticks. Knows nothing of what is plotted.

use std::fmt::Write;

use crate::markup::svg::{escape, line, text};

/// The size of the whole, and the margins that hold the ticks' names, in points.
const SIZE: (f64, f64) = (720.0, 260.0);
const LEFT: f64 = 86.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 44.0;

pub(super) type PlotLine<'a> = (&'static str, &'a str, Vec<(f64, f64)>);

/// The vertical scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlotScale {
    /// Linear, for what is counted: no tick lies between 0 and 1.
    Whole,
    Logarithmic,
}

/// What is plotted.
pub(super) struct Plot<'a> {
    pub title: &'a str,
    /// The label of the axis.
    pub across: &'a str,
    /// Where the axis has ticks, and their names; the axis extends from the first to the last.
    pub ticks: Vec<(f64, String)>,
    /// How a value is written.
    pub words: fn(f64) -> String,
    /// A CSS class, a name, and the points from left to right.
    pub lines: Vec<PlotLine<'a>>,
    pub scale: PlotScale,
}

impl Plot<'_> {
    /// Draws it; empty if there is nothing to see.
    pub(super) fn draw(&self) -> String {
        let points = || self.lines.iter().flat_map(|(_, _, points)| points);
        let (Some(first), Some(last)) = (self.ticks.first(), self.ticks.last()) else { return String::new() };
        if points().count() < 2 || last.0 <= first.0 {
            return String::new();
        }
        let highest = points().map(|(_, y)| *y).fold(f64::MIN, f64::max);
        if highest <= 0.0 {
            return String::new();
        }
        let least = points().map(|(_, y)| *y).fold(f64::MAX, f64::min).max(highest / 1e9);
        let marks = match self.scale {
            PlotScale::Logarithmic => decades(least, highest),
            PlotScale::Whole => steps(highest, 1.0),
        };
        let (low, high) = (marks[0], marks[marks.len() - 1]);
        let across = |x: f64| LEFT + (x - first.0) / (last.0 - first.0) * (SIZE.0 - LEFT - RIGHT);
        let up = |y: f64| {
            let part = match self.scale {
                PlotScale::Logarithmic => (y.max(low) / low).ln() / (high / low).ln(),
                PlotScale::Whole => (y - low) / (high - low),
            };
            SIZE.1 - BOTTOM - part * (SIZE.1 - TOP - BOTTOM)
        };
        let mut svg = format!(
            "<svg class=\"plot\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" \
             aria-label=\"{}\">",
            SIZE.0,
            SIZE.1,
            escape(self.title)
        );
        text(&mut svg, "title", (LEFT, 16.0), "start", self.title);
        for mark in &marks {
            line(&mut svg, "grid", (LEFT, up(*mark)), (SIZE.0 - RIGHT, up(*mark)));
            text(&mut svg, "dim", (LEFT - 6.0, up(*mark) + 4.0), "end", &(self.words)(*mark));
        }
        for (x, words) in &self.ticks {
            text(&mut svg, "dim", (across(*x), SIZE.1 - BOTTOM + 16.0), "middle", words);
        }
        text(&mut svg, "dim", ((LEFT + SIZE.0 - RIGHT) / 2.0, SIZE.1 - 8.0), "middle", self.across);
        let mut legend = SIZE.0 - RIGHT;
        for (class, name, points) in &self.lines {
            let places = points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(*y)));
            let places = places.collect::<Vec<_>>().join(" ");
            let _ = write!(svg, "<polyline class=\"{class}\" points=\"{places}\"/>"); // writing to a string cannot fail
            if self.lines.len() > 1 {
                text(&mut svg, &format!("{class} name"), (legend, 16.0), "end", name);
                legend -= 9.0 * (name.chars().count() as f64 + 2.0);
            }
        }
        svg + "</svg>\n"
    }
}

/// 0 and up to six round numbers, `least` or more apart, of which the last is not below the highest.
fn steps(highest: f64, least: f64) -> Vec<f64> {
    let magnitude = 10f64.powf(highest.log10().floor());
    let candidates = [0.2, 0.25, 0.5, 1.0, 2.0, 2.5].map(|factor| factor * magnitude);
    let step = candidates.into_iter().find(|step| highest / step <= 5.0).unwrap_or(5.0 * magnitude).max(least);
    (0..=(highest / step).ceil() as u32).map(|n| f64::from(n) * step).collect()
}

/// Powers of ten around the least and the highest.
fn decades(least: f64, highest: f64) -> Vec<f64> {
    let (from, to) = (least.log10().floor() as i32, highest.log10().ceil() as i32);
    (from..=to.max(from + 1)).map(|power| 10f64.powi(power)).collect()
}

/// Ticks for an axis of seconds.
pub(super) fn seconds(length: f64) -> Vec<(f64, String)> {
    // A tenth has no exact binary fraction: 3 × 0.2 is a little more than 0.6.
    let name = |second: f64| format!("{}", (second * 1e3).round() / 1e3);
    let mut ticks: Vec<_> = steps(length.max(1e-3), 0.0).into_iter().map(|second| (second, name(second))).collect();
    if ticks.len() > 2 && ticks[ticks.len() - 1].0 > length * 1.15 {
        ticks.pop();
        // The axis ends where the run did. If that is too close to a tick, it has no name of its own.
        let (before, last) = (ticks[ticks.len() - 2].0, ticks[ticks.len() - 1].0);
        let near = length - last < (last - before) / 2.0;
        ticks.push((length, if near { String::new() } else { name(length) }));
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_all() {
        assert_eq!(steps(19_000.0, 1.0), [0.0, 5000.0, 10000.0, 15000.0, 20000.0]);
        assert_eq!(steps(1.0, 0.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(steps(1.0, 1.0), [0.0, 1.0], "half a connection is none");
        assert_eq!(steps(4.0, 1.0), [0.0, 1.0, 2.0, 3.0, 4.0]);
        let names: Vec<_> = seconds(1.0).into_iter().map(|(_, name)| name).collect();
        assert_eq!(seconds(0.21).last().unwrap(), &(0.21, String::new()), "0.2 is there already");
        assert_eq!(names, ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(decades(30.0, 900.0), [10.0, 100.0, 1000.0]);
        assert_eq!(decades(100.0, 100.0), [100.0, 1000.0]);
    }

    #[test]
    fn what_is_not_there_is_not_drawn() {
        let plot = |points| Plot {
            title: "a < b",
            across: "",
            ticks: seconds(10.0),
            words: |value| value.to_string(),
            lines: vec![("one", "one", points)],
            scale: PlotScale::Whole,
        };
        assert_eq!(plot(vec![(0.0, 1.0)]).draw(), "");
        assert_eq!(plot(vec![(0.0, 0.0), (5.0, 0.0), (10.0, 0.0)]).draw(), "", "six times zero");
        let drawn = plot(vec![(0.0, 0.0), (10.0, 5.0)]).draw();
        assert!(drawn.contains("a &lt; b") && drawn.contains("86.0,216.0 706.0,30.0"), "{drawn}");
    }
}

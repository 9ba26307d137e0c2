//! Deadline against false drops and traffic as a figure: one SVG that needs nothing else, for light and dark.
//!
//! Owns the drawing. The points are the curve's.

use std::fmt::Write;
use std::time::Duration;

use crate::count::so_many;
use crate::markup::svg::{line, text};
use crate::plan::Plan;
use crate::plan::curve::{Curve, CurvePoint, power};
use crate::plan::told;
use crate::plan::words::{amount, duration, per, percent};

const STYLE: &str = include_str!("figure.css");
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
/// The plot's edges, in points from the left and from above.
const LEFT: f64 = 84.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 82.0;
const BOTTOM: f64 = 372.0;

/// Where the legend of a line stands: two in a row.
fn legend(n: usize) -> (f64, f64) {
    (16.0 + 360.0 * (n % 2) as f64, HEIGHT - 32.0 + 20.0 * (n / 2) as f64)
}

/// The figure of a point that is its height.
type Drops = fn(&CurvePoint) -> f64;

pub(super) fn draw(plan: &Plan) -> String {
    let curve = Curve::of(plan);
    let x = |deadline: f64| LEFT + (RIGHT - LEFT) * curve.across(deadline);
    let y = |drops: f64| curve.up(drops).map(|up| BOTTOM - (BOTTOM - TOP) * up);
    // Writing to a string cannot fail.
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg class=\"plan\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" role=\"img\" aria-label=\"deadline against living peers dropped and packets sent\"><style>{STYLE}</style>\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>"
    );
    let question = &plan.question;
    text(&mut svg, "title", (16.0, 26.0), "start", "What a deadline costs and risks");
    let known = format!(
        "{}, {} of packets lost in each direction, round trip {}, bursts of {}{}{}",
        so_many(question.peers, "peer"),
        percent(question.loss),
        duration(question.round_trip),
        duration(question.burst),
        if question.battery { ", few wake-ups" } else { "" },
        told::behind(question),
    );
    text(&mut svg, "dim", (16.0, 46.0), "start", &known);
    text(&mut svg, "dim", (16.0, TOP - 14.0), "start", "living peers dropped a year");
    text(&mut svg, "traffic", (WIDTH - 16.0, TOP - 14.0), "end", "packets a second");
    let step = ((curve.drops.1 - curve.drops.0 + 7) / 8).max(1);
    for decade in (curve.drops.0..=curve.drops.1).step_by(step as usize) {
        let Some(y) = y(10f64.powi(decade)) else { continue };
        line(&mut svg, "grid", (LEFT, y), (RIGHT, y));
        text(&mut svg, "dim", (LEFT - 8.0, y + 4.0), "end", &power(decade));
    }
    let y_traffic = |packets: f64| curve.up_in_traffic(packets).map(|up| BOTTOM - (BOTTOM - TOP) * up);
    for decade in curve.traffic.0..=curve.traffic.1 {
        let Some(y) = y_traffic(10f64.powi(decade)) else { continue };
        line(&mut svg, "traffic", (RIGHT, y), (RIGHT + 5.0, y));
        text(&mut svg, "traffic", (RIGHT + 9.0, y + 4.0), "start", &power(decade));
    }
    for tick in curve.ticks() {
        let x = x(tick as f64);
        line(&mut svg, "grid", (x, TOP), (x, BOTTOM));
        text(&mut svg, "dim", (x, BOTTOM + 18.0), "middle", &duration(Duration::from_secs(tick)));
    }
    text(&mut svg, "dim", ((LEFT + RIGHT) / 2.0, BOTTOM + 36.0), "middle", "deadline");
    let own = x(curve.own.deadline);
    line(&mut svg, "own", (own, TOP), (own, BOTTOM));
    let probes = &plan.probes;
    let series: [(&str, Drops, &str, f64); 3] = [
        ("independent", |point| point.independent, "independent losses", probes.independent.rate()),
        ("bursts", |point| point.bursts, "bursts, both directions at once", probes.bursts.rate()),
        ("each-way", |point| point.bursts_each_way, "bursts, each direction by itself", probes.bursts_each_way.rate()),
    ];
    for (n, (class, of, name, rate)) in series.into_iter().enumerate() {
        let path = curve.points.iter().filter_map(|point| Some((x(point.deadline), y(of(point))?)));
        draw_line(&mut svg, class, path, y(of(&curve.own)).map(|y| (own, y)));
        let words = format!("● {name}: {} at {}", per(plan.of_all(rate)), duration(plan.keepalive.deadline()));
        text(&mut svg, class, legend(n), "start", &words);
    }
    let path = curve.points.iter().filter_map(|point| Some((x(point.deadline), y_traffic(point.packets)?)));
    draw_line(&mut svg, "traffic", path, y_traffic(curve.own.packets).map(|y| (own, y)));
    let words = format!("● traffic: {} packets a second", amount(curve.own.packets));
    text(&mut svg, "traffic", legend(3), "start", &words);
    svg += "</svg>\n";
    svg
}

/// A line through these points, and a dot for the plan.
fn draw_line(svg: &mut String, class: &str, points: impl Iterator<Item = (f64, f64)>, own: Option<(f64, f64)>) {
    let mut path = String::new();
    for (x, y) in points {
        let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
    }
    let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    if let Some((x, y)) = own {
        let _ = write!(svg, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>");
    }
}

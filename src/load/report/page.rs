//! The report as one HTML file: nothing is fetched, and nothing needs a script.

use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::count::so_many;
use crate::load::report::plot::{Plot, PlotScale, seconds};
use crate::load::report::{Report, latency, table};
use crate::markup::svg::escape;

const STYLE: &str = include_str!("page.css");
/// Points of the latency curve for each step to the right, in which the share of slower ones falls to a tenth.
const STEPS_A_TENTH: u32 = 10;

/// Writes the page.
pub fn write(report: &Report) -> String {
    let title = format!("{} to {}", so_many(report.settings.connections, "connection"), report.settings.target);
    let title = escape(&title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n<h1>{title}</h1>\n\
         <p class=\"dim\">stillthere {}, Linux {}, {}\n<p class=\"summary\">{}.\n",
        env!("CARGO_PKG_VERSION"),
        escape(&report.kernel),
        escape(&report.when),
        escape(&report.summary()),
    );
    for (class, rows) in [("figures", table::rows(report)), ("troubles", table::troubles(report))] {
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(page, "<table class=\"{class}\">"); // writing to a string cannot fail
        for (name, words) in rows {
            let _ = writeln!(page, "<tr><th scope=\"row\">{}<td>{}", escape(&name), escape(&words));
        }
        page += "</table>\n";
    }
    [connections(report), memory(report), latencies(report)].iter().for_each(|plot| page += plot);
    page + "</html>\n"
}

fn connections(report: &Report) -> String {
    let last = report.samples.last().map_or(0.0, |sample| sample.at.as_secs_f64());
    let over = |part: fn(&super::Sample) -> u64| {
        report.samples.iter().map(|sample| (sample.at.as_secs_f64(), part(sample) as f64)).collect()
    };
    let mut lines = vec![("first", "connected", over(|sample| sample.connected))];
    if report.troubles.total() > 0 {
        lines.push(("second", "in trouble so far", over(|sample| sample.troubles)));
    }
    let words = |value| format!("{value:.0}");
    let ticks = seconds(last);
    Plot { title: "Connections", across: "seconds", ticks, words, lines, scale: PlotScale::Whole }.draw()
}

fn memory(report: &Report) -> String {
    let Some(start) = report.at_start else { return String::new() };
    let last = report.memory.last().map_or(0.0, |(at, _)| at.as_secs_f64());
    let over = |part: fn(&super::Footprint) -> u64| {
        let part = move |footprint| part(footprint) as f64 / 1024.0;
        report.memory.iter().map(|(at, now)| (at.as_secs_f64(), (part(now) - part(&start)).max(0.0))).collect()
    };
    let words = |value| format!("{value:.0} KiB");
    let plot = |title, part| {
        let lines = vec![("first", title, over(part))];
        Plot { title, across: "seconds", ticks: seconds(last), words, lines, scale: PlotScale::Whole }.draw()
    };
    plot("Private memory of the server, growth since the start", |footprint| footprint.private)
        + &plot("Slabs of the kernel, whole machine, growth since the start", |footprint| footprint.slab)
}

/// Latency over the share that was slower, which falls to a tenth with each step to the right.
fn latencies(report: &Report) -> String {
    let lines = [("first", "exchange", &report.exchange), ("second", "connect", &report.connect)];
    let lines: Vec<_> = lines.into_iter().filter(|(_, _, all)| !all.is_empty()).collect();
    let most = lines.iter().map(|(_, _, all)| all.len()).max().unwrap_or_default().max(10);
    let tenths = (most as f64).log10().ceil() as u32;
    let curve = |all: &Histogram<u64>| {
        let own = (all.len() as f64).log10();
        let point = |step: u32| {
            let right = f64::from(step) / f64::from(STEPS_A_TENTH);
            (right, all.value_at_quantile(1.0 - 10f64.powf(-right)) as f64)
        };
        (0..=tenths * STEPS_A_TENTH).map(point).filter(|(right, _)| *right <= own + 0.05).collect::<Vec<_>>()
    };
    let name = |tenth: u32| match tenth {
        0 => "0 %".to_string(),
        1 => "90 %".to_string(),
        more => format!("99{}{} %", if more > 2 { "." } else { "" }, "9".repeat(more as usize - 2)),
    };
    let ticks = (0..=tenths).map(|tenth| (f64::from(tenth), name(tenth))).collect();
    let words = |value: f64| latency(value as u64);
    let lines = lines.into_iter().map(|(class, name, all)| (class, name, curve(all))).collect();
    Plot { title: "Latency", across: "percentile", ticks, words, lines, scale: PlotScale::Logarithmic }.draw()
}

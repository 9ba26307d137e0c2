//! The report for a terminal.

use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::load::report::{PERCENTILES, Report, latency};
use crate::speak::Speak;

/// Where the second column begins.
const COLUMN: usize = 26;

/// The kernel's slabs grow and shrink by themselves: fewer peers than this are lost in that.
const TELLING: usize = 1000;

/// The rows of the table: what, and how much. A row without a name goes on with the one above.
pub fn rows(report: &Report) -> Vec<(String, String)> {
    let settings = &report.settings;
    let mut rows = Vec::new();
    let mut row = |name: &str, words: String| rows.push((name.to_string(), words));
    let from = if report.sources > 1 { format!(", from {} addresses", report.sources) } else { String::new() };
    row("connections", format!("{} of {}{from}", report.connected, settings.connections));
    if let Some(rate) = report.connects_a_second() {
        let most = settings.connect_rate;
        row("opened", format!("in {:.2} s: {rate:.0} a second (at most {most})", report.opening_took.as_secs_f64()));
    }
    if !report.connect.is_empty() {
        row("connect", percentiles(&report.connect));
    }
    if report.held > 0 {
        row("held", format!("{}, for {:.1} s", report.held, report.exchanged_for.as_secs_f64()));
    }
    if report.askers > 0 {
        let (askers, size, speak) = (report.askers, settings.size, settings.speak.name());
        let how = match settings.rate {
            Some(rate) => format!("at {rate} a second in all"),
            None => "each when it was answered".to_string(),
        };
        row("asking", format!("{askers} of them, {size} bytes of {speak}, {how}"));
        let rate = report.exchanges_a_second().unwrap_or_default();
        row("exchanges", format!("{}: {rate:.0} a second", report.exchanges));
        row("latency", percentiles(&report.exchange));
        if !report.lateness.is_empty() {
            row(
                "",
                format!("counted from when each was to be sent; we were late by {}", percentiles(&report.lateness)),
            );
        }
        for (count, words) in [
            (report.unanswered, "never answered; their waiting so far is counted as latency"),
            (report.broken_off, "broken off, because the connection was lost"),
            (report.not_asked, "not sent, because their connection was lost"),
        ] {
            if count > 0 {
                row("", format!("{count} {words}"));
            }
        }
    }
    if report.unasked > 0 && settings.speak == Speak::None {
        row("unasked", format!("{} bytes came", report.unasked));
    }
    server_rows(report, &mut row);
    rows
}

fn server_rows(report: &Report, row: &mut impl FnMut(&str, String)) {
    if let Some((private, slab)) = report.bytes_a_peer() {
        row("server, user space", format!("{private:.1} bytes a peer"));
        let words = match report.held {
            ..TELLING => format!("{TELLING} peers at least are needed to tell"),
            _ => format!("{slab:.0} bytes a peer, of the whole machine"),
        };
        row("kernel, all slabs", words);
    }
    if let Some((before, after)) = report.at_start.zip(report.memory.last()) {
        let (before, after) = (before.private / 1024, after.1.private / 1024);
        row("server, private memory", format!("{before} KiB before, {after} KiB at the end"));
    }
    if let Some(error) = &report.memory_error {
        row("server, memory", error.clone());
    }
    if let Some(cpu) = report.cpu {
        let each = report.cpu_an_exchange().map_or(String::new(), |cpu| format!(", {:.2} µs an exchange", cpu * 1e6));
        row("server, CPU", format!("{:.3} s while it was asked{each}", cpu.as_secs_f64()));
    }
}

/// Troubles, each with the words of the first, and advice.
pub fn troubles(report: &Report) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for (kind, count, first) in report.troubles.each() {
        rows.push((kind.words().to_string(), format!("{count}; the first: {first}")));
        if !kind.advice().is_empty() {
            rows.push((String::new(), kind.advice().to_string()));
        }
    }
    rows
}

/// One sentence: was it whole, and did it go well?
pub fn summary(report: &Report) -> String {
    let interrupted = if report.interrupted { "interrupted; this is the report so far. " } else { "" };
    let what = if report.settings.speak == Speak::None { "" } else { ", every byte as it had to be" };
    match report.troubles.total() {
        0 => format!("{interrupted}no trouble{what}"),
        1 => format!("{interrupted}1 connection in trouble"),
        many => format!("{interrupted}{many} connections in trouble"),
    }
}

/// `50 % 12.3 µs, … max 1.2 ms`.
fn percentiles(latencies: &Histogram<u64>) -> String {
    let of = |percentile: f64| format!("{percentile} % {}", latency(latencies.value_at_percentile(percentile)));
    let told = PERCENTILES.iter().filter(|percentile| worth_telling(latencies, **percentile));
    let mut words = told.map(|percentile| of(*percentile)).collect::<Vec<_>>();
    words.push(format!("max {}", latency(latencies.max())));
    words.join(", ")
}

/// The 99.9th percentile of ten latencies is the worst of them, and says so by another name.
fn worth_telling(latencies: &Histogram<u64>, percentile: f64) -> bool {
    percentile <= 50.0 || latencies.len() as f64 * (1.0 - percentile / 100.0) >= 0.999 // but for rounding
}

/// Writes the whole table.
pub fn write(report: &Report) -> String {
    let mut text = format!("{}, {}\n", report.settings.target, report.settings.speak.name());
    let troubles = troubles(report);
    for (name, words) in rows(report).iter().chain(&troubles) {
        let _ = writeln!(text, "  {name:<COLUMN$}{words}"); // a string takes all
    }
    text + &summary(report)
}

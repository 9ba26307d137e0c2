//! The report for a terminal.

use std::fmt::Write;

use hdrhistogram::Histogram;

use crate::count::so_many;
use crate::load::report::{Held, PERCENTILES, Report, latency, omission};
use crate::seconds::Seconds;
use crate::speak::Speak;

/// Where the second column begins.
const COLUMN: usize = 26;

/// The rows of the table: what, and how much. A row without a name continues the one above.
pub fn rows(report: &Report) -> Vec<(String, String)> {
    let settings = &report.settings;
    let mut rows = Vec::new();
    let mut row = |name: &str, words: String| rows.push((name.to_string(), words));
    let from = if report.sources > 1 { format!(", from {} addresses", report.sources) } else { String::new() };
    row("connections", format!("{} of {}{from}", report.connected, settings.connections));
    for (count, words) in [
        (report.on_their_way, "on their way when it was interrupted"),
        (report.untried, "not tried, because it was interrupted"),
    ] {
        if count > 0 {
            row("", format!("{count} {words}"));
        }
    }
    if report.connected > 0 {
        let most = settings.connect_rate;
        let words = |rate| format!(": {rate:.0} a second (at most {most})");
        let rate = report.connects_a_second().map_or(String::new(), words);
        row("opened", format!("in {:.2} s{rate}", report.opening_took.as_secs_f64()));
    }
    if !report.connect.is_empty() {
        row("connect", percentiles(&report.connect));
    }
    held_rows(report, &mut row);
    if report.askers > 0 {
        exchange_rows(report, &mut row);
    }
    if report.unasked > 0 && settings.speak == Speak::None {
        row("unasked", format!("{} came", so_many(report.unasked, "byte")));
    }
    server_rows(report, &mut row);
    rows
}

fn held_rows(report: &Report, row: &mut impl FnMut(&str, String)) {
    if let Some(held) = report.held {
        let seconds = report.exchanged_for.as_secs_f64();
        let Held { at_start, least, at_end } = held;
        let words = match at_start == least && least == at_end {
            true => format!("{at_start}, for {seconds:.1} s"),
            false => format!("{at_start} at the start, at least {least}, {at_end} at the end, for {seconds:.1} s"),
        };
        row("held", words);
    }
    if report.ended_early {
        row("ended", "early, because no connection was left".to_string());
    }
    let unheard = report.connected.saturating_sub(report.heard);
    if unheard > 0 {
        row("", format!("{unheard} connected, not known to be accepted: no byte came from the server"));
    }
}

fn exchange_rows(report: &Report, row: &mut impl FnMut(&str, String)) {
    let settings = &report.settings;
    let (askers, size, speak) = (report.askers, settings.size, settings.speak.name());
    let how = match settings.rate {
        Some(rate) => format!("at {rate} a second in all"),
        None => "each after the last answer".to_string(),
    };
    row("requests", format!("{askers} connections, {} of {speak}, {how}", so_many(size, "byte")));
    let rate = report.exchanges_a_second().filter(|rate| *rate > 0.0);
    let rate = rate.map_or(String::new(), |rate| format!(": {rate:.0} a second"));
    row("exchanges", format!("{}{rate}", report.exchanges));
    match report.answered() {
        0 if report.exchange.is_empty() => {}
        0 => row("", format!("none was answered; they waited for {}", percentiles(&report.exchange))),
        _ => row("latency", percentiles(&report.exchange)),
    }
    if let Some(estimate) = omission::p99_asked_on(report) {
        let words = "a stall counts once per connection, which sends nothing while it waits; at an unbroken pace";
        row("", format!("{words}, 99 % would be about {} (--rate measures it)", latency(estimate)));
    }
    if !report.lateness.is_empty() {
        row(
            "",
            format!(
                "counted from when each request was due; the load itself was late by {}",
                percentiles(&report.lateness)
            ),
        );
    }
    let grace = Seconds(settings.grace);
    let unanswered = format!("never answered, not within {grace} s more; the time that they waited counts as latency");
    let cut_off =
        format!("cut off by the end before they had waited for {grace} s; the time that they waited counts, too");
    for (count, words) in [
        (report.unanswered, unanswered.as_str()),
        (report.cut_off, cut_off.as_str()),
        (report.broken_off, "broken off, because the connection was lost"),
        (report.not_asked, "not sent, because their connection was lost"),
    ] {
        if count > 0 {
            row("", format!("{count} {words}"));
        }
    }
}

fn server_rows(report: &Report, row: &mut impl FnMut(&str, String)) {
    if report.processes > 1 {
        row("server", format!("{} processes at once, all of them counted", report.processes));
    }
    if report.childless {
        row("server", "one process; this kernel does not list its children (CONFIG_PROC_CHILDREN)".to_string());
    }
    if let Some(private) = report.bytes_a_peer() {
        row("server, user space", format!("{private:.1} bytes a peer"));
    }
    if let Some(slab) = report.slab_a_peer() {
        row("kernel, all slabs", format!("{slab:.0} bytes a peer, of the whole machine"));
    }
    if let Some((before, after)) = report.at_start.zip(report.memory.last()) {
        let (before, after) = (before.private / 1024, after.1.private / 1024);
        let when = if report.memory_error.is_some() { "when it was read last" } else { "at the end" };
        row("server, private memory", format!("{before} KiB before, {after} KiB {when}"));
    }
    if let Some(error) = &report.memory_error {
        row("server, memory", error.clone());
    }
    if let Some(cpu) = report.cpu {
        let each = report.cpu_an_exchange().map_or(String::new(), |cpu| format!(", {:.2} µs an exchange", cpu * 1e6));
        let when = if report.askers > 0 { "requests were sent" } else { "they were held" };
        row("server, CPU", format!("{:.3} s while {when}{each}", cpu.time.as_secs_f64()));
        if cpu.ended > 0 {
            let words = "ended meanwhile; their time is included if a parent waited for them, to the clock tick";
            row("", format!("{} of its processes {words}", cpu.ended));
        }
    }
}

/// Troubles, each with the words of the first, and advice; and how each condition of `--fail-if` turned out.
pub fn troubles(report: &Report) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for (kind, count, first) in report.troubles.each() {
        rows.push((kind.words().to_string(), format!("{count}; the first: {first}")));
        if !kind.advice().is_empty() {
            rows.push((String::new(), kind.advice().to_string()));
        }
    }
    if let Some(hint) = report.hint() {
        rows.push(("hint".to_string(), hint));
    }
    for judgement in report.judgements() {
        let name = if judgement.failed { "failed" } else { "passed" };
        rows.push((name.to_string(), judgement.sentence));
    }
    rows
}

/// `50 % 12.3 µs, … max 1.2 ms`.
fn percentiles(latencies: &Histogram<u64>) -> String {
    let of = |percentile: f64| format!("{percentile} % {}", latency(latencies.value_at_percentile(percentile)));
    let told = PERCENTILES.iter().filter(|percentile| worth_telling(latencies, **percentile));
    let mut words = told.map(|percentile| of(*percentile)).collect::<Vec<_>>();
    words.push(format!("max {}", latency(latencies.max())));
    words.join(", ")
}

/// The 99.9th percentile of ten latencies is just their maximum.
fn worth_telling(latencies: &Histogram<u64>, percentile: f64) -> bool {
    percentile <= 50.0 || latencies.len() as f64 * (1.0 - percentile / 100.0) >= 0.999 // but for rounding
}

/// Writes the whole table.
pub fn write(report: &Report) -> String {
    let mut text = format!("{}, {}\n", report.settings.target, report.settings.speak.name());
    let troubles = troubles(report);
    for (name, words) in rows(report).iter().chain(&troubles) {
        let _ = writeln!(text, "  {name:<COLUMN$}{words}"); // writing to a string cannot fail
    }
    text + &report.summary()
}

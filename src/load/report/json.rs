//! The report for machines: JSON, one object. Times are in seconds, memory is in bytes.

use hdrhistogram::Histogram;

use crate::load::memory::Footprint;
use crate::load::report::{Held, PERCENTILES, Report, Sample, omission};
use crate::markup::json::{NULL, array, number, object, text};

/// Nanoseconds as seconds, with nine decimals.
fn seconds(nanoseconds: u64) -> String {
    format!("{:.9}", nanoseconds as f64 / 1e9)
}

pub fn write(report: &Report) -> String {
    let settings = &report.settings;
    let or_null = |value: Option<f64>| value.map_or(NULL.to_string(), number);
    let troubles = report.troubles.each().map(|(kind, count, first)| {
        object(&[("kind", text(kind.words())), ("count", count.to_string()), ("first", text(first))])
    });
    let held = |part: fn(Held) -> u64| report.held.map_or(NULL.to_string(), |held| part(held).to_string());
    let conditions = report.judgements().into_iter().map(|judgement| {
        object(&[
            ("fail_if", text(&judgement.criterion)),
            ("value", judgement.value.map_or(NULL.to_string(), |value| format!("{value:.9}"))),
            ("failed", judgement.failed.to_string()),
            ("sentence", text(&judgement.sentence)),
        ])
    });
    object(&[
        ("success", report.is_success().to_string()),
        ("summary", text(&report.summary())),
        ("target", text(&settings.target.to_string())),
        ("speak", text(settings.speak.name())),
        ("when", text(&report.when)),
        ("kernel", text(&report.kernel)),
        ("interrupted", report.interrupted.to_string()),
        ("connections_wanted", settings.connections.to_string()),
        ("connect_rate_at_most", settings.connect_rate.to_string()),
        ("sources", report.sources.to_string()),
        ("connected", report.connected.to_string()),
        ("lost", report.lost.to_string()),
        ("held_at_start", held(|held| held.at_start)),
        ("held_least", held(|held| held.least)),
        ("held_at_end", held(|held| held.at_end)),
        ("on_their_way", report.on_their_way.to_string()),
        ("untried", report.untried.to_string()),
        ("heard_from", report.heard.to_string()),
        ("ended_early", report.ended_early.to_string()),
        ("opening_took", number(report.opening_took.as_secs_f64())),
        ("connects_a_second", or_null(report.connects_a_second())),
        ("connect", latencies(&report.connect)),
        ("askers", report.askers.to_string()),
        ("size", settings.size.to_string()),
        ("rate", or_null(settings.rate)),
        ("exchanged_for", number(report.exchanged_for.as_secs_f64())),
        ("exchanges", report.exchanges.to_string()),
        ("exchanges_a_second", or_null(report.exchanges_a_second())),
        ("latency", latencies(&report.exchange)),
        ("latency_p99_asked_on", omission::p99_asked_on(report).map_or(NULL.to_string(), seconds)),
        ("lateness", latencies(&report.lateness)),
        ("unanswered", report.unanswered.to_string()),
        ("grace", number(settings.grace.as_secs_f64())),
        ("cut_off", report.cut_off.to_string()),
        ("broken_off", report.broken_off.to_string()),
        ("not_asked", report.not_asked.to_string()),
        ("unasked_bytes", report.unasked.to_string()),
        ("troubles", array(troubles)),
        ("hint", report.hint().as_deref().map_or(NULL.to_string(), text)),
        ("conditions", array(conditions)),
        ("server_private_at_start", memory(report.at_start, |footprint| footprint.private)),
        ("server_private_when_opened", memory(report.opened, |footprint| footprint.private)),
        ("server_bytes_a_peer", or_null(report.bytes_a_peer())),
        ("kernel_slab_bytes_a_peer", or_null(report.slab_a_peer())),
        ("server_cpu", or_null(report.cpu.map(|cpu| cpu.time.as_secs_f64()))),
        ("server_cpu_an_exchange", report.cpu_an_exchange().map_or(NULL.to_string(), |cpu| format!("{cpu:.9}"))),
        ("server_processes", report.processes.to_string()),
        ("server_processes_ended", report.cpu.map_or(NULL.to_string(), |cpu| cpu.ended.to_string())),
        ("server_children_unseen", report.childless.to_string()),
        ("memory_error", report.memory_error.as_deref().map_or(NULL.to_string(), text)),
        ("samples", array(report.samples.iter().map(sample))),
        (
            "memory",
            array(report.memory.iter().map(|(at, Footprint { private, slab })| {
                let at = number(at.as_secs_f64());
                object(&[("at", at), ("private", private.to_string()), ("slab", slab.to_string())])
            })),
        ),
    ]) + "\n"
}

fn sample(sample: &Sample) -> String {
    object(&[
        ("at", number(sample.at.as_secs_f64())),
        ("connected", sample.connected.to_string()),
        ("troubles", sample.troubles.to_string()),
    ])
}

fn memory(footprint: Option<Footprint>, part: impl Fn(Footprint) -> u64) -> String {
    footprint.map_or(NULL.to_string(), |footprint| part(footprint).to_string())
}

fn latencies(latencies: &Histogram<u64>) -> String {
    if latencies.is_empty() {
        return NULL.to_string();
    }
    let names = PERCENTILES.map(|percentile| format!("p{percentile}"));
    let percentiles = PERCENTILES.map(|percentile| seconds(latencies.value_at_percentile(percentile)));
    let mut members = vec![("count", latencies.len().to_string()), ("mean", seconds(latencies.mean() as u64))];
    members.extend(names.iter().map(String::as_str).zip(percentiles));
    members.push(("max", seconds(latencies.max())));
    object(&members)
}

//! The report for machines: JSON, one object. Times are in seconds, memory is in bytes.

use hdrhistogram::Histogram;

use crate::load::memory::Footprint;
use crate::load::report::{PERCENTILES, Report, Sample};
use crate::markup::json::{NULL, array, number, object, text};

/// Nanoseconds are told as seconds to nine places.
fn seconds(nanoseconds: u64) -> String {
    format!("{:.9}", nanoseconds as f64 / 1e9)
}

pub fn write(report: &Report) -> String {
    let settings = &report.settings;
    let or_null = |value: Option<f64>| value.map_or(NULL.to_string(), number);
    let shares = report.bytes_a_peer();
    let troubles = report.troubles.each().map(|(kind, count, first)| {
        object(&[("kind", text(kind.words())), ("count", count.to_string()), ("first", text(first))])
    });
    object(&[
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
        ("held", report.held.to_string()),
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
        ("lateness", latencies(&report.lateness)),
        ("unanswered", report.unanswered.to_string()),
        ("broken_off", report.broken_off.to_string()),
        ("not_asked", report.not_asked.to_string()),
        ("unasked_bytes", report.unasked.to_string()),
        ("troubles", array(troubles)),
        ("server_private_at_start", memory(report.at_start, |footprint| footprint.private)),
        ("server_private_when_opened", memory(report.opened, |footprint| footprint.private)),
        ("server_bytes_a_peer", or_null(shares.map(|(private, _)| private))),
        ("kernel_slab_bytes_a_peer", or_null(shares.map(|(_, slab)| slab))),
        ("server_cpu", or_null(report.cpu.map(|cpu| cpu.as_secs_f64()))),
        ("server_cpu_an_exchange", report.cpu_an_exchange().map_or(NULL.to_string(), |cpu| format!("{cpu:.9}"))),
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

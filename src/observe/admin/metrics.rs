//! The metrics: which there are, and what they mean.
//!
//! Owns their names and their help. No peer is looked at for them, so that they cost the same however many there are.

use std::time::Duration;

use crate::observe::admin::about::About;
use crate::observe::admin::exposition::{Decimal, Exposition, Format};
use crate::observe::admin::process::{Process, descriptor_limit, open_descriptors};
use crate::reactor::{Departure, Detection, Figures, Histogram, Turns};

/// The metrics of this moment, of a process that was started then.
pub(super) fn metrics(figures: &Figures, about: &About, started: Option<Duration>, format: Format) -> String {
    let mut text = Exposition::new(format);
    of_the_peers(&mut text, figures, about);
    of_the_loop(&mut text, figures);
    of_the_process(&mut text, figures.tally.connected, started);
    text.end()
}

fn of_the_peers(text: &mut Exposition, figures: &Figures, about: &About) {
    let tally = &figures.tally;
    text.info("stillthere_build", "The version of the program.", &[("version", env!("CARGO_PKG_VERSION"))]);
    text.gauge("stillthere_peers", "Peers that are connected.", tally.connected);
    text.gauge("stillthere_peers_limit", "How many peers may be connected.", figures.limit);
    let arrivals = tally.accepted.saturating_sub(refusals().map(|(_, departure)| tally.departures.of(departure)).sum());
    text.counter("stillthere_arrivals", "Peers that have arrived.", arrivals);
    text.counters("stillthere_departures", "Peers that have departed, by reason.");
    for (nth, word) in Departure::WORDS.into_iter().enumerate() {
        if !refusals().any(|(refusal, _)| refusal == word) {
            text.count("stillthere_departures", ("reason", word), tally.departures.counts()[nth]);
        }
    }
    text.counters("stillthere_refusals", "Newcomers that were refused, by reason.");
    for (word, departure) in refusals() {
        text.count("stillthere_refusals", ("reason", word), tally.departures.of(departure));
    }
    text.counter("stillthere_lost_before_accept", "Newcomers that were gone before they were accepted.", tally.lost);
    text.counter("stillthere_received_bytes", "Bytes that were read from peers.", tally.received);
    text.counter("stillthere_sent_bytes", "Bytes for peers that the kernel has taken.", tally.sent);
    text.counter(
        "stillthere_accept_pauses",
        "How often nobody could be accepted for a while, for want of descriptors or memory.",
        figures.accept_pauses,
    );
    text.gauge("stillthere_outbox_bytes", "Memory for output that waits for peers.", figures.outbox_bytes);
    text.gauge("stillthere_outbox_limit_bytes", "How much memory output may take that waits.", figures.outbox_limit);
    #[cfg(feature = "upgrade")]
    {
        let upgrade = &figures.upgrade;
        text.counter(
            "stillthere_upgrades",
            "Programs that took over from the one before, with its peers.",
            upgrade.generation,
        );
        text.counter("stillthere_upgrades_refused", "Upgrades that were refused; nobody left.", upgrade.refused);
    }
    let (log, events) = about.left_out.counts();
    text.counter("stillthere_log_lines_left_out", "Lines of the log that stderr did not take.", log);
    text.counter("stillthere_event_lines_left_out", "Events that their reader did not take.", events);
    text.gauge("stillthere_deadline_seconds", "How long a silent peer may be kept.", Decimal::seconds(about.deadline));
    text.gauge(
        "stillthere_deadline_latest_seconds",
        "When the latest silent peer should be gone, as predicted for this kernel.",
        Decimal::seconds(about.latest),
    );
    let detection = &figures.detection;
    text.histogram(
        "stillthere_detection_latency_seconds",
        "How long a peer had been silent that was found dead.",
        silences(detection),
        Decimal::seconds(detection.sum()),
    );
    text.counter("stillthere_detections_late", "Peers that were found dead later than predicted.", detection.late());
}

/// The reasons for which a newcomer is refused.
pub(super) fn refusals() -> impl Iterator<Item = (&'static str, Departure)> {
    [Departure::Full, Departure::TooManyFromAddress].into_iter().map(|departure| (departure.word(), departure))
}

fn of_the_loop(text: &mut Exposition, figures: &Figures) {
    let Turns { count, events, work, lateness, .. } = &figures.turns;
    text.counter("stillthere_turns", "Turns of the loop.", *count);
    text.histogram(
        "stillthere_turn_work_seconds",
        "How long a turn worked, from its waking until it waited again.",
        times(work),
        Decimal::billionths(work.sum()),
    );
    text.histogram("stillthere_turn_events", "Events that a turn began with.", numbers(events), events.sum());
    text.histogram(
        "stillthere_deadline_lateness_seconds",
        "How late the loop woke for the soonest of its deadlines.",
        times(lateness),
        Decimal::billionths(lateness.sum()),
    );
}

fn of_the_process(text: &mut Exposition, peers: usize, started: Option<Duration>) {
    if let Some(process) = Process::look() {
        text.counter("process_cpu_seconds", "User and system CPU time.", Decimal::seconds(process.cpu));
        text.gauge("process_virtual_memory_bytes", "Size of the address space.", process.virtual_bytes);
        text.gauge("process_resident_memory_bytes", "Memory that is resident.", process.resident_bytes);
    }
    if let Some(started) = started {
        let help = "When the process was started, since 1970.";
        text.gauge("process_start_time_seconds", help, Decimal::seconds(started));
    }
    if let Some(open) = open_descriptors(peers) {
        text.gauge("process_open_fds", "Descriptors that are open.", open);
    }
    if let Some(most) = descriptor_limit() {
        text.gauge("process_max_fds", "How many descriptors may be open.", most);
    }
}

/// The buckets of how long peers had been silent, with their bounds in seconds; the last one has none.
fn silences(detection: &Detection) -> impl Iterator<Item = (Option<Decimal>, u64)> {
    let bounds = Detection::BOUNDS.into_iter().map(|bound| Some(Decimal::whole(bound.into()))).chain([None]);
    bounds.zip(detection.counts().iter().copied())
}

/// The buckets of a histogram of numbers: the bound of the nth is 2^n - 1, because it counts what is less than 2^n.
fn numbers(histogram: &Histogram) -> impl Iterator<Item = (Option<Decimal>, u64)> {
    bounded(histogram, |power| Decimal::whole(power - 1))
}

/// The buckets of a histogram of times.
fn times(histogram: &Histogram) -> impl Iterator<Item = (Option<Decimal>, u64)> {
    bounded(histogram, |power| Decimal::seconds(Turns::UNIT * power as u32))
}

fn bounded(histogram: &Histogram, bound: impl Fn(u64) -> Decimal) -> impl Iterator<Item = (Option<Decimal>, u64)> {
    let is_last = |nth| nth + 1 == Histogram::BUCKETS;
    histogram.counts().iter().enumerate().map(move |(nth, count)| ((!is_last(nth)).then(|| bound(1 << nth)), *count))
}

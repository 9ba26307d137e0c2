//! What a run found out.
//!
//! Owns the figures and their meaning; how they are shown is [`table`]'s (terminal), [`json`]'s and
//! [`page`]'s (HTML). Knows no socket.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::Settings;
use crate::load::memory::Footprint;
use crate::load::trouble::Troubles;

pub mod json;
pub mod page;
mod plot;
pub mod table;
#[cfg(test)]
mod tests;

/// The percentiles that are told.
pub const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// How it stood at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Since the first connection was tried.
    pub at: Duration,
    pub connected: u64,
    /// So far.
    pub troubles: u64,
}

/// All figures of a run. Latencies are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Report {
    pub settings: Settings,
    pub when: String,
    pub kernel: String,
    /// Addresses that the connections came from.
    pub sources: usize,
    pub interrupted: bool,
    /// Connections that came to be; those that ended before the run did; and those that were there
    /// when the exchanges began.
    pub connected: u64,
    pub lost: u64,
    pub held: usize,
    pub opening_took: Duration,
    /// From connect(2) until the connection was there.
    pub connect: Histogram<u64>,
    /// Connections that asked.
    pub askers: usize,
    pub exchanging_from: Duration,
    pub exchanged_for: Duration,
    /// Exchanges whose answer was complete before the time was over.
    pub exchanges: u64,
    /// From when a question was to be asked until its answer was complete. Those that were never
    /// answered are in it with what they waited.
    pub exchange: Histogram<u64>,
    pub unanswered: u64,
    /// Exchanges in the midst of which the connection was lost.
    pub broken_off: u64,
    /// Questions that were due on connections that had been lost, at a fixed rate.
    pub not_asked: u64,
    /// How late we ourselves were with a question, at a fixed rate.
    pub lateness: Histogram<u64>,
    /// Bytes that came to connections that speak no language.
    pub unasked: u64,
    pub troubles: Troubles,
    pub samples: Vec<Sample>,
    /// The server's memory: before the first connection, when all were there, and over time.
    pub at_start: Option<Footprint>,
    pub opened: Option<Footprint>,
    pub memory: Vec<(Duration, Footprint)>,
    pub memory_error: Option<String>,
    /// CPU time of the server while it was asked.
    pub cpu: Option<Duration>,
}

impl Report {
    pub fn new(settings: &Settings, sources: usize) -> Self {
        Self {
            settings: settings.clone(),
            when: String::new(),
            kernel: String::new(),
            sources,
            interrupted: false,
            connected: 0,
            lost: 0,
            held: 0,
            opening_took: Duration::ZERO,
            connect: latencies(),
            askers: 0,
            exchanging_from: Duration::ZERO,
            exchanged_for: Duration::ZERO,
            exchanges: 0,
            exchange: latencies(),
            unanswered: 0,
            broken_off: 0,
            not_asked: 0,
            lateness: latencies(),
            unasked: 0,
            troubles: Troubles::default(),
            samples: Vec::new(),
            at_start: None,
            opened: None,
            memory: Vec::new(),
            memory_error: None,
            cpu: None,
        }
    }

    pub fn connects_a_second(&self) -> Option<f64> {
        ratio(self.connected as f64, self.opening_took.as_secs_f64())
    }

    pub fn exchanges_a_second(&self) -> Option<f64> {
        ratio(self.exchanges as f64, self.exchanged_for.as_secs_f64())
    }

    /// Seconds of the server's CPU for an exchange.
    pub fn cpu_an_exchange(&self) -> Option<f64> {
        ratio(self.cpu?.as_secs_f64(), self.exchanges as f64)
    }

    /// Bytes a peer: of the server's user space, and of the kernel's slabs.
    pub fn bytes_a_peer(&self) -> Option<(f64, f64)> {
        let (before, after) = self.at_start.zip(self.opened)?;
        let share = |before: u64, after: u64| ratio(after as f64 - before as f64, self.held as f64);
        share(before.private, after.private).zip(share(before.slab, after.slab))
    }
}

fn ratio(of: f64, to: f64) -> Option<f64> {
    (to > 0.0).then(|| of / to)
}

/// For latencies from a nanosecond to an hour, to three digits.
fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("1 to an hour, to three digits, is allowed")
}

/// A latency as a person reads it: `12.3 µs`, `4.56 ms`, `1.23 s`.
pub fn latency(nanoseconds: u64) -> String {
    let (value, unit) = match nanoseconds as f64 {
        value if value < 999_500.0 => (value / 1e3, "µs"),
        value if value < 999_500_000.0 => (value / 1e6, "ms"),
        value => (value / 1e9, "s"),
    };
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}

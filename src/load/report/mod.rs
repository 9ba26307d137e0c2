//! The results of a run.
//!
//! Owns the figures and their meaning; [`table`] (terminal), [`json`] and [`page`] (HTML) write them.
//! Knows no socket.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::LoadSettings;
use crate::load::family::Used;
use crate::load::memory::Footprint;
use crate::load::trouble::Troubles;

pub mod json;
mod omission;
pub mod page;
mod plot;
pub mod table;
#[cfg(test)]
pub mod tests;
mod verdict;

/// The percentiles that are reported.
pub const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// The kernel's slabs grow and shrink for other reasons, too: the share of fewer peers than this cannot be told from noise.
pub const TELLING: u64 = 1000;

/// A rate over less time than this is meaningless: after a late wake-up, everything that was missed is made up for at once.
const A_WHILE: Duration = Duration::from_millis(100);

/// The state of the run at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Since the first connection was tried.
    pub at: Duration,
    pub connected: u64,
    /// How many so far.
    pub troubles: u64,
}

/// Connections that were there while the exchanges went on, as far as our kernel knows. A lost one is not replaced, so
/// the least is at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub at_start: u64,
    pub least: u64,
    pub at_end: u64,
}

/// All figures of a run. Latencies are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Report {
    pub settings: LoadSettings,
    pub when: String,
    pub kernel: String,
    /// Addresses that the connections came from.
    pub sources: usize,
    pub interrupted: bool,
    /// The run ended early, because no connection was left.
    pub ended_early: bool,
    /// Connections that were established, and those of them that ended before the run did.
    pub connected: u64,
    pub lost: u64,
    /// `None`: the exchanges never began.
    pub held: Option<Held>,
    /// Connections that were on their way, or being greeted, for less than the grace when the run was interrupted;
    /// and those that were never tried.
    pub on_their_way: u64,
    pub untried: u64,
    /// Connections on which any byte came. Whether the server accepted the others is not known.
    pub heard: u64,
    /// Answers that were correct, including those to greetings.
    pub understood: u64,
    pub opening_took: Duration,
    /// From before connect(2) until the connection was established.
    pub connect: Histogram<u64>,
    /// Connections that sent requests.
    pub askers: usize,
    pub exchanging_from: Duration,
    pub exchanged_for: Duration,
    /// Exchanges whose answer was complete before the time was over.
    pub exchanges: u64,
    /// From when a request was due until its answer was complete. Requests that were never
    /// answered are included with the time that they waited.
    pub exchange: Histogram<u64>,
    pub unanswered: u64,
    /// Requests that the end cut off before they had waited for the grace; they are included in `exchange`, too.
    pub cut_off: u64,
    /// Exchanges that were broken off because the connection was lost.
    pub broken_off: u64,
    /// Requests that were due on lost connections, at a fixed rate.
    pub not_asked: u64,
    /// How late the requests were sent, at a fixed rate.
    pub lateness: Histogram<u64>,
    /// Bytes that came with `--speak none`.
    pub unasked: u64,
    pub troubles: Troubles,
    pub samples: Vec<Sample>,
    /// The server's memory: before the first connection, when all were open, and over time.
    pub at_start: Option<Footprint>,
    pub opened: Option<Footprint>,
    pub memory: Vec<(Duration, Footprint)>,
    pub memory_error: Option<String>,
    /// CPU time of the server while the connections were held.
    pub cpu: Option<Used>,
    /// The most processes that the server had at once, and whether its children could not be seen.
    pub processes: usize,
    pub childless: bool,
}

impl Report {
    pub fn new(settings: &LoadSettings) -> Self {
        Self {
            settings: settings.clone(),
            when: String::new(),
            kernel: String::new(),
            sources: 0,
            interrupted: false,
            ended_early: false,
            connected: 0,
            lost: 0,
            held: None,
            on_their_way: 0,
            untried: 0,
            heard: 0,
            understood: 0,
            opening_took: Duration::ZERO,
            connect: latencies(),
            askers: 0,
            exchanging_from: Duration::ZERO,
            exchanged_for: Duration::ZERO,
            exchanges: 0,
            exchange: latencies(),
            unanswered: 0,
            cut_off: 0,
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
            processes: 0,
            childless: false,
        }
    }

    /// Unknown for a few connections, which are opened at once.
    pub fn connects_a_second(&self) -> Option<f64> {
        let known = self.connected > 0 && self.opening_took >= A_WHILE;
        ratio(self.connected as f64, self.opening_took.as_secs_f64()).filter(|_| known)
    }

    pub fn exchanges_a_second(&self) -> Option<f64> {
        ratio(self.exchanges as f64, self.exchanged_for.as_secs_f64())
    }

    /// Seconds of the server's CPU for an exchange.
    pub fn cpu_an_exchange(&self) -> Option<f64> {
        ratio(self.cpu?.time.as_secs_f64(), self.exchanges as f64)
    }

    /// Exchanges that were answered, including those answered after the time was over.
    pub fn answered(&self) -> u64 {
        self.exchange.len() - self.unanswered - self.cut_off
    }

    /// Bytes of the server's user space for each peer. Not known if the server gave memory back meanwhile.
    pub fn bytes_a_peer(&self) -> Option<f64> {
        self.share(|footprint| footprint.private)
    }

    /// The same for the kernel's slabs. Not known for fewer peers than [`TELLING`].
    pub fn slab_a_peer(&self) -> Option<f64> {
        self.share(|footprint| footprint.slab).filter(|_| self.held.is_some_and(|held| held.at_start >= TELLING))
    }

    fn share(&self, part: impl Fn(Footprint) -> u64) -> Option<f64> {
        let (before, after) = self.at_start.zip(self.opened)?;
        ratio(part(after).checked_sub(part(before))? as f64, self.held?.at_start as f64)
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

//! The figures that are taken during a run: samples of the connections, the server's memory and CPU time, the bar.
//!
//! Owns the report until it is sent, and when the next figure is taken. Knows no socket.

use std::mem;
use std::time::{Duration, Instant};

use crate::count::so_many;
use crate::load::LoadSettings;
use crate::load::crowd::phase::RunPhase;
use crate::load::family::{ProcessFamily, Spent};
use crate::load::peer::LoadPeer;
use crate::load::progress::{Progress, ticks};
use crate::load::report::{Held, Report, Sample};
use crate::reactor::Moment;

/// How often samples are taken.
const SAMPLE: Duration = Duration::from_millis(100);
/// The most samples that are kept. Beyond that every other one is dropped, and they are taken half as often.
const MOST_SAMPLES: usize = 2000;
/// While connections are opened, the server's memory is read at most this often, and for at most a twentieth of
/// the time: reading it takes the kernel a while, and longer with every process.
const FOOTPRINT: Duration = Duration::from_millis(500);
const FOOTPRINT_SHARE: u32 = 20;

/// The report so far, and what it is made from.
pub(super) struct Figures {
    pub(super) report: Report,
    began: Option<Moment>,
    next_sample: Moment,
    sample_every: Duration,
    /// The server's processes, if they are to be measured.
    family: Option<ProcessFamily>,
    next_footprint: Moment,
    /// The CPU time of the server when the exchanges began.
    cpu: Option<Spent>,
    progress: Progress,
}

impl Figures {
    pub(super) fn new(settings: &LoadSettings, family: Option<ProcessFamily>) -> Self {
        let progress = Progress::new();
        progress.begin("connecting", settings.connections as u64);
        Self {
            report: Report::new(settings),
            began: None,
            next_sample: Moment::default(),
            sample_every: SAMPLE,
            family,
            next_footprint: Moment::default(),
            cpu: None,
            progress,
        }
    }

    /// The moment of the first connection, from which times are counted.
    pub(super) fn begin(&mut self, now: Moment) {
        self.began = Some(now);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.began.is_some()
    }

    pub(super) fn elapsed(&self, now: Moment) -> Duration {
        self.began.map_or(Duration::ZERO, |began| now.since(began))
    }

    /// Connections that were made and not lost, as far as our kernel knows.
    pub(super) fn living(&self) -> u64 {
        self.report.connected - self.report.lost
    }

    /// Adds the figures of a peer that is done.
    pub(super) fn account(&mut self, peer: &LoadPeer) {
        self.report.unasked += peer.unasked;
        self.report.heard += u64::from(peer.heard);
    }

    /// Takes the figures before the exchanges: connections are held and CPU time is counted from now on.
    pub(super) fn begin_exchanges(&mut self, now: Moment) {
        self.footprint(now);
        let living = self.living();
        self.report.held = Some(Held { at_start: living, least: living, at_end: living });
        self.report.opened = self.report.memory.last().map(|(_, footprint)| *footprint);
        self.progress.begin("exchanging", ticks(self.report.settings.time));
        self.cpu = self.family.as_mut().and_then(ProcessFamily::spent);
        self.report.exchanging_from = self.elapsed(now);
    }

    pub(super) fn end_exchanges(&mut self, after: Duration) {
        self.report.exchanged_for = after;
        let spent = self.family.as_mut().and_then(ProcessFamily::spent);
        self.report.cpu = spent.zip(self.cpu.take()).and_then(|(now, before)| now.since(&before));
    }

    /// Takes the last figures, and returns the complete report.
    pub(super) fn finish(&mut self, now: Moment, phase: RunPhase, tried: usize) -> Report {
        let living = self.living();
        if let Some(held) = &mut self.report.held {
            held.at_end = living;
        }
        self.footprint(now);
        self.sample(now, phase, tried);
        if let Some(family) = &self.family {
            self.report.processes = family.most();
            self.report.childless = family.is_blind_to_children();
        }
        self.progress.end();
        let fresh = Report::new(&self.report.settings);
        mem::replace(&mut self.report, fresh)
    }

    pub(super) fn next_sample(&self) -> Moment {
        self.next_sample
    }

    /// Takes a sample if one is due.
    pub(super) fn sample_in_time(&mut self, now: Moment, phase: RunPhase, tried: usize) {
        if self.next_sample <= now {
            self.sample(now, phase, tried);
            self.next_sample = now + self.sample_every;
        }
    }

    pub(super) fn sample(&mut self, now: Moment, phase: RunPhase, tried: usize) {
        let (at, connected) = (self.elapsed(now), self.living());
        self.report.samples.push(Sample { at, connected, troubles: self.report.troubles.total() });
        if self.report.samples.len() > MOST_SAMPLES {
            let mut keep = false;
            self.report.samples.retain(|_| {
                keep = !keep;
                keep
            });
            self.sample_every *= 2;
        }
        match phase {
            RunPhase::Opening | RunPhase::Settling { .. } => {
                let words = format!("{connected} of {}", self.report.settings.connections);
                self.progress.show(tried as u64, words);
                if self.next_footprint <= now {
                    self.footprint(now);
                }
            }
            _ => {
                let time = at.saturating_sub(self.report.exchanging_from);
                let words = format!("{}, {connected} connected", so_many(self.report.exchange.len(), "exchange"));
                self.progress.show(ticks(time), words);
            }
        }
    }

    /// Reads the server's memory.
    fn footprint(&mut self, now: Moment) {
        let Some(family) = &mut self.family else { return };
        let began = Instant::now();
        let footprint = family.footprint();
        self.next_footprint = now + FOOTPRINT.max(began.elapsed() * FOOTPRINT_SHARE);
        match footprint {
            Ok(footprint) => {
                self.report.at_start.get_or_insert(footprint);
                self.report.memory.push((self.elapsed(now), footprint));
            }
            Err(words) => self.report.memory_error = Some(words),
        }
    }
}

//! The course of a run: from one phase to the next, and the figures that are taken on the way.
//!
//! Owns the phases. Knows no socket.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use crate::count::so_many;
use crate::load::crowd::Crowd;
use crate::load::crowd::phase::RunPhase;
use crate::load::family::ProcessFamily;
use crate::load::peer::PeerPhase as Of;
use crate::load::progress::ticks;
use crate::load::report::{Held, Report, Sample};
use crate::reactor::Moment;

/// While connections are opened, the server's memory is read at most this often, and for at most a twentieth of
/// the time: reading it takes the kernel a while, and longer with every process.
const FOOTPRINT: Duration = Duration::from_millis(500);
const FOOTPRINT_SHARE: u32 = 20;
/// The most samples that are kept. Beyond that every other one is dropped, and they are taken half as often.
const MOST_SAMPLES: usize = 2000;
/// From the last connection to the first question: the server may still be accepting.
const SETTLE: Duration = Duration::from_millis(500);

impl Crowd {
    /// From one phase to the next.
    pub(super) fn proceed(&mut self, now: Moment) {
        match self.phase {
            RunPhase::Opening if self.tried == self.settings.connections && self.waiting == 0 => {
                self.report.opening_took = self.elapsed(now);
                self.early = VecDeque::new();
                self.phase = RunPhase::Settling { until: now + SETTLE };
            }
            RunPhase::Settling { until } if until <= now => {
                self.footprint(now);
                let living = self.living();
                self.report.held = Some(Held { at_start: living, least: living, at_end: living });
                self.report.opened = self.report.memory.last().map(|(_, footprint)| *footprint);
                self.progress.begin("exchanging", ticks(self.settings.time));
                self.cpu = self.family.as_mut().and_then(ProcessFamily::spent);
                self.report.exchanging_from = self.elapsed(now);
                self.phase = RunPhase::Exchanging { until: now + self.settings.time };
                self.begin_exchanges(now);
            }
            RunPhase::Exchanging { until } if until <= now => {
                self.report.exchanged_for = self.settings.time;
                self.measure_cpu();
                self.phase = RunPhase::Finishing { until: now + self.settings.grace };
            }
            _ => {}
        }
        // No connection is left to wait for.
        let after_opening = !matches!(self.phase, RunPhase::Opening | RunPhase::Over);
        if after_opening && self.living() == 0 {
            self.report.ended_early = !matches!(self.phase, RunPhase::Finishing { .. });
            self.finish(now);
        }
        if let RunPhase::Finishing { until } = self.phase {
            let any_asks = || self.askers.iter().flatten().any(|key| self.peers[*key].phase == Of::Asking);
            if until <= now || !any_asks() {
                self.finish(now);
            }
        }
    }

    pub(super) fn measure_cpu(&mut self) {
        let spent = self.family.as_mut().and_then(ProcessFamily::spent);
        self.report.cpu = spent.zip(self.cpu.take()).and_then(|(now, before)| now.since(&before));
    }

    pub(super) fn finish(&mut self, now: Moment) {
        if self.phase == RunPhase::Over {
            return;
        }
        if let RunPhase::Exchanging { .. } = self.phase {
            self.report.exchanged_for = self.elapsed(now).saturating_sub(self.report.exchanging_from);
            self.measure_cpu();
        }
        if self.phase == RunPhase::Opening {
            self.report.opening_took = self.elapsed(now);
        }
        self.count_what_is_undone(now);
        let living = self.living();
        if let Some(held) = &mut self.report.held {
            held.at_end = living;
        }
        self.footprint(now);
        self.sample(now);
        let peers = mem::take(&mut self.peers);
        peers.iter().for_each(|(_, peer)| self.account(peer));
        self.peers = peers;
        self.report.sources = self.opening.sources();
        if let Some(family) = &self.family {
            self.report.processes = family.most();
            self.report.childless = family.is_blind_to_children();
        }
        self.phase = RunPhase::Over;
        self.progress.end();
        let report = mem::replace(&mut self.report, Report::new(&self.settings));
        let _ = self.reports.send(report); // fails only if nobody waits for it
    }

    pub(super) fn elapsed(&self, now: Moment) -> Duration {
        self.began.map_or(Duration::ZERO, |began| now.since(began))
    }

    pub(super) fn footprint(&mut self, now: Moment) {
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

    pub(super) fn sample(&mut self, now: Moment) {
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
        match self.phase {
            RunPhase::Opening | RunPhase::Settling { .. } => {
                let words = format!("{connected} of {}", self.settings.connections);
                self.progress.show(self.tried as u64, words);
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
}

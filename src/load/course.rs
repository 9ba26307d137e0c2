//! The course of a run: from one phase to the next, and the figures that are taken on the way.
//!
//! Owns the phases. Knows no socket.

use std::collections::VecDeque;
use std::time::Duration;

use crate::load::crowd::Crowd;
use crate::load::memory::{self, Footprint};
use crate::load::peer::Phase as Of;
use crate::load::progress::ticks;
use crate::load::report::{Report, Sample};
use crate::reactor::Moment;

/// When the server's memory is read while connections are opened: it takes the kernel a while.
const SAMPLES_A_FOOTPRINT: u32 = 5;
/// So many samples are kept. Then every other is dropped, and they are taken half as often.
const MOST_SAMPLES: usize = 2000;
/// From the last connection to the first question: the server may still be accepting.
const SETTLE: Duration = Duration::from_millis(500);
/// How long answers are waited for when the time is over.
const FINISH: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Opening,
    Settling { until: Moment },
    Exchanging { until: Moment },
    Finishing { until: Moment },
    Over,
}

impl Crowd {
    /// From one phase to the next.
    pub(super) fn proceed(&mut self, now: Moment) {
        match self.phase {
            Phase::Opening if self.tried == self.settings.connections && self.waiting == 0 => {
                self.report.opening_took = self.elapsed(now);
                self.early = VecDeque::new();
                self.phase = Phase::Settling { until: now + SETTLE };
            }
            Phase::Settling { until } if until <= now => {
                self.footprint(now);
                self.report.held = self.peers.len() - self.ended.len();
                self.report.opened = self.report.memory.last().map(|(_, footprint)| *footprint);
                self.progress.begin("exchanging", ticks(self.settings.time));
                self.cpu = self.settings.pid.and_then(memory::cpu);
                self.report.exchanging_from = self.elapsed(now);
                self.phase = Phase::Exchanging { until: now + self.settings.time };
                self.begin_exchanges(now);
            }
            Phase::Exchanging { until } if until <= now => {
                self.report.exchanged_for = self.settings.time;
                self.measure_cpu();
                self.phase = Phase::Finishing { until: now + FINISH };
            }
            _ => {}
        }
        if let Phase::Finishing { until } = self.phase
            && (until <= now || !self.askers.iter().flatten().any(|key| self.peers[*key].phase == Of::Asking))
        {
            self.finish(now);
        }
    }

    pub(super) fn measure_cpu(&mut self) {
        let cpu = self.settings.pid.and_then(memory::cpu);
        self.report.cpu = cpu.zip(self.cpu).map(|(now, before)| now.saturating_sub(before));
    }

    pub(super) fn finish(&mut self, now: Moment) {
        if self.phase == Phase::Over {
            return;
        }
        if let Phase::Exchanging { .. } = self.phase {
            self.report.exchanged_for = self.elapsed(now).saturating_sub(self.report.exchanging_from);
            self.measure_cpu();
        }
        if self.phase == Phase::Opening {
            self.report.opening_took = self.elapsed(now);
        }
        self.count_the_unanswered(now);
        self.footprint(now);
        self.sample(now);
        self.report.unasked += self.peers.iter().map(|(_, peer)| peer.unasked).sum::<u64>();
        self.phase = Phase::Over;
        self.progress.end();
        let report = std::mem::replace(&mut self.report, Report::new(&self.settings, 1));
        let _ = self.reports.send(report); // who does not wait for it does not want it
    }

    pub(super) fn elapsed(&self, now: Moment) -> Duration {
        self.began.map_or(Duration::ZERO, |began| now.since(began))
    }

    pub(super) fn footprint(&mut self, now: Moment) {
        let Some(pid) = self.settings.pid else { return };
        match Footprint::of(pid) {
            Ok(footprint) => {
                self.report.at_start.get_or_insert(footprint);
                self.report.memory.push((self.elapsed(now), footprint));
            }
            Err(words) => self.report.memory_error = Some(words),
        }
    }

    pub(super) fn sample(&mut self, now: Moment) {
        let (at, connected) = (self.elapsed(now), self.report.connected - self.report.lost);
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
            Phase::Opening | Phase::Settling { .. } => {
                let words = format!("{connected} of {}", self.settings.connections);
                self.progress.show(self.tried as u64, words);
                if self.until_footprint == 0 {
                    self.footprint(now);
                    self.until_footprint = SAMPLES_A_FOOTPRINT;
                }
                self.until_footprint -= 1;
            }
            _ => {
                let time = at.saturating_sub(self.report.exchanging_from);
                let words = format!("{} exchanges, {connected} connected", self.report.exchange.len());
                self.progress.show(ticks(time), words);
            }
        }
    }
}

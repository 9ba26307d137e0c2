//! The course of a run: from one phase to the next.
//!
//! Owns what a phase begins and ends with. Knows no socket.

use std::time::Duration;

use crate::load::crowd::Crowd;
use crate::load::crowd::phase::RunPhase;
use crate::reactor::Moment;

/// From the last connection to the first request: the server may still be accepting.
const SETTLE: Duration = Duration::from_millis(500);

impl Crowd {
    /// Begins the next phase if the time of this one is over.
    pub(super) fn proceed(&mut self, now: Moment) {
        match self.phase {
            RunPhase::Opening if self.tried == self.settings.connections && self.peers.waiting() == 0 => {
                self.figures.report.opening_took = self.figures.elapsed(now);
                self.peers.all_opened();
                self.phase = RunPhase::Settling { until: now + SETTLE };
            }
            RunPhase::Settling { until } if until <= now => {
                self.figures.begin_exchanges(now);
                self.phase = RunPhase::Exchanging { until: now + self.settings.time };
                self.begin_exchanges(now);
            }
            RunPhase::Exchanging { until } if until <= now => {
                self.figures.end_exchanges(self.settings.time);
                self.phase = RunPhase::Finishing { until: now + self.settings.grace };
            }
            _ => {}
        }
        // No connection is left to wait for.
        let after_opening = !matches!(self.phase, RunPhase::Opening | RunPhase::Over);
        if after_opening && self.figures.living() == 0 {
            self.figures.report.ended_early = !matches!(self.phase, RunPhase::Finishing { .. });
            self.finish(now);
        }
        if let RunPhase::Finishing { until } = self.phase
            && (until <= now || !self.askers.any_waits(&mut self.peers))
        {
            self.finish(now);
        }
    }

    /// Ends the run, and sends the report.
    pub(super) fn finish(&mut self, now: Moment) {
        match self.phase {
            RunPhase::Over => return,
            RunPhase::Exchanging { .. } => {
                let took = self.figures.elapsed(now).saturating_sub(self.figures.report.exchanging_from);
                self.figures.end_exchanges(took);
            }
            RunPhase::Opening => self.figures.report.opening_took = self.figures.elapsed(now),
            _ => {}
        }
        self.count_what_is_undone(now);
        self.peers.iter().for_each(|(_, peer)| self.figures.account(peer));
        self.figures.report.sources = self.opening.sources();
        let report = self.figures.finish(now, self.phase, self.tried);
        self.phase = RunPhase::Over;
        let _ = self.reports.send(report); // fails only if nobody waits for it
    }
}

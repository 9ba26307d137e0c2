//! Exchanges: the latency of one, and when the next one begins.
//!
//! Owns the two ways: a closed loop (each peer sends the next request when it has been answered) and a fixed rate (see
//! `schedule.rs`).

use crate::load::crowd::Crowd;
use crate::load::crowd::phase::RunPhase;
use crate::load::peer::PeerPhase;
use crate::reactor::{Moment, Turn};

impl Crowd {
    pub(super) fn begin_exchanges(&mut self, now: Moment) {
        self.figures.report.askers = self.askers.begin(&self.peers, now);
        if self.askers.schedule().is_none() {
            for key in self.askers.slots() {
                self.askers.ask(&mut self.peers, key, now);
                self.peers.schedule(key);
            }
        }
    }

    pub(super) fn answered(&mut self, key: usize, now: Moment) {
        let peer = self.peers.at(key);
        peer.phase = PeerPhase::Idle;
        let number = peer.number;
        let talk = peer.talk();
        let (nth, due) = (talk.begun, talk.due);
        let report = &mut self.figures.report;
        report.exchange.saturating_record(now.since(due).as_nanos() as u64);
        let in_time = matches!(self.phase, RunPhase::Exchanging { until } if now <= until);
        report.exchanges += u64::from(in_time);
        let next = match self.askers.schedule() {
            Some(schedule) if talk.owed > 0 => {
                talk.owed -= 1;
                Some(schedule.meant(number, nth))
            }
            None if in_time => Some(now),
            _ => None,
        };
        if let Some(due) = next {
            self.askers.ask(&mut self.peers, key, due);
        }
    }

    /// At a fixed rate: sends the requests that are due. A peer that still waits for an answer sends its next one after that.
    pub(super) fn ask_what_is_due(&mut self, turn: &mut Turn<'_>) {
        let RunPhase::Exchanging { until } = self.phase else { return };
        let now = turn.clock.now();
        while let Some((due, key)) = self.askers.take_due(now, until, turn.clock) {
            let Some(key) = key else {
                self.figures.report.not_asked += 1;
                continue;
            };
            let peer = self.peers.at(key);
            if peer.phase == PeerPhase::Asking {
                peer.talk().owed += 1;
            } else {
                // A delay up to here is our own, not the server's.
                self.figures.report.lateness.saturating_record(now.since(due).as_nanos() as u64);
                self.askers.ask(&mut self.peers, key, due);
                self.drive_peer(key, turn);
            }
        }
    }
}

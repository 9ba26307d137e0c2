//! Which peer sends a request when, and the latency of an answer.
//!
//! Owns the two ways: a closed loop (each peer sends the next request when it has been answered) and a fixed rate (see
//! `schedule.rs`).

use std::time::Duration;

use crate::load::crowd::phase::RunPhase;
use crate::load::crowd::{Crowd, name};
use crate::load::peer::PeerPhase as Of;
use crate::load::schedule::Schedule;
use crate::reactor::{Moment, Turn};
use crate::speak::Speak;

impl Crowd {
    pub(super) fn begin_exchanges(&mut self, now: Moment) {
        if self.settings.speak == Speak::None {
            return;
        }
        self.askers = vec![None; self.settings.active];
        for (key, peer) in &self.peers {
            if peer.number < self.askers.len() && peer.phase == Of::Idle {
                self.askers[peer.number] = Some(key);
            }
        }
        self.report.askers = self.askers.iter().flatten().count();
        match self.settings.rate {
            Some(rate) => {
                self.schedule = Some(Schedule::new(now, rate, self.askers.len()));
                self.alarm.set(Duration::ZERO); // the first question is due now
            }
            None => {
                for key in self.askers.iter().flatten().copied().collect::<Vec<_>>() {
                    self.ask(key, now);
                    self.runnable.push(key);
                }
            }
        }
    }

    /// Begins the next exchange of a peer.
    fn ask(&mut self, key: usize, due: Moment) {
        let peer = &mut self.peers[key];
        let (number, speak) = (peer.number, self.settings.speak);
        let talk = peer.talk();
        let nth = if speak.carries_any_payload() { talk.begun } else { 0 };
        let payload = self.noise.of(number, nth);
        match speak {
            // A name is allocated, and these two have none.
            Speak::Echo | Speak::Redis => speak.ask("", payload, &mut talk.said),
            _ => speak.ask(&name(number), payload, &mut talk.said),
        }
        talk.begun += 1;
        talk.due = due;
        peer.ask(Of::Asking);
    }

    pub(super) fn answered(&mut self, key: usize, now: Moment) {
        let peer = &mut self.peers[key];
        peer.phase = Of::Idle;
        let talk = peer.talk();
        let (nth, due) = (talk.begun, talk.due);
        self.report.exchange.saturating_record(now.since(due).as_nanos() as u64);
        let number = peer.number;
        let in_time = matches!(self.phase, RunPhase::Exchanging { until } if now <= until);
        self.report.exchanges += u64::from(in_time);
        match &self.schedule {
            Some(schedule) => {
                let talk = self.peers[key].talk();
                if talk.owed > 0 {
                    talk.owed -= 1;
                    let due = schedule.meant(number, nth);
                    self.ask(key, due);
                }
            }
            None if in_time => self.ask(key, now),
            None => {}
        }
    }

    /// At a fixed rate: sends the requests that are due. A peer that still waits for an answer sends its next one after that.
    pub(super) fn ask_what_is_due(&mut self, turn: &mut Turn<'_>) {
        let (RunPhase::Exchanging { until }, Some(mut schedule)) = (self.phase, self.schedule) else { return };
        let now = turn.clock.now();
        loop {
            let due = schedule.due();
            if due >= until {
                break;
            }
            let Some(asker) = schedule.take(now) else {
                self.alarm.set(due.since(turn.clock.now()));
                break;
            };
            let Some(key) = self.askers[asker] else {
                self.report.not_asked += 1;
                continue;
            };
            if self.peers[key].phase == Of::Asking {
                self.peers[key].talk().owed += 1;
            } else {
                // A delay up to here is our own, not the server's.
                self.report.lateness.saturating_record(now.since(due).as_nanos() as u64);
                self.ask(key, due);
                self.drive_peer(key, turn);
            }
        }
        self.schedule = Some(schedule);
    }
}

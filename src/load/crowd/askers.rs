//! The peers that send requests: which, what, and at a fixed rate when.
//!
//! Owns their slots, the payloads and the schedule. Knows no report and no phase of the run.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

use crate::load::LoadSettings;
use crate::load::clock::TimerFd;
use crate::load::crowd::peers::Peers;
use crate::load::payload::Noise;
use crate::load::peer::PeerPhase;
use crate::load::schedule::Schedule;
use crate::reactor::{Clock, Moment};
use crate::speak::{Speak, Verbatim};

/// The peers that send requests, by number.
#[derive(Debug)]
pub(super) struct Askers {
    speak: Speak,
    rate: Option<f64>,
    /// How many peers are to send requests: those with the lowest numbers.
    active: usize,
    noise: Noise,
    /// Wakes the loop when the next request is due.
    alarm: TimerFd,
    schedule: Option<Schedule>,
    /// The slots; `None`: that peer never connected, or is lost. Empty until the exchanges begin.
    slots: Vec<Option<usize>>,
}

impl Askers {
    /// # Errors
    /// The timer cannot be made or registered.
    pub(super) fn open(settings: &LoadSettings, registry: &Registry, alarm: Token) -> io::Result<Self> {
        Ok(Self {
            speak: settings.speak,
            rate: settings.rate,
            active: settings.active,
            noise: Noise::new(settings.size),
            alarm: TimerFd::open(registry, alarm)?,
            schedule: None,
            slots: Vec::new(),
        })
    }

    /// What peer `number` must send once before its first request, if it is one that sends requests.
    pub(super) fn prepare(&self, number: usize) -> Option<Verbatim> {
        let is_active = number < self.active;
        is_active.then(|| self.speak.prepare(&name(number), self.noise.of(number, 0))).flatten()
    }

    /// Finds the peers that are to send requests. Returns how many there are.
    pub(super) fn begin(&mut self, peers: &Peers, now: Moment) -> usize {
        if self.speak == Speak::None {
            return 0;
        }
        self.slots = vec![None; self.active];
        for (key, peer) in peers.iter() {
            if peer.number < self.slots.len() && peer.phase == PeerPhase::Idle {
                self.slots[peer.number] = Some(key);
            }
        }
        if let Some(rate) = self.rate {
            self.schedule = Some(Schedule::new(now, rate, self.slots.len()));
            self.alarm.set(Duration::ZERO); // the first request is due now
        }
        self.slots.iter().flatten().count()
    }

    /// The slots of all that are left.
    pub(super) fn slots(&self) -> Vec<usize> {
        self.slots.iter().flatten().copied().collect()
    }

    /// A fixed rate's schedule; `None` in a closed loop.
    pub(super) fn schedule(&self) -> Option<Schedule> {
        self.schedule
    }

    /// At a fixed rate: the next request that is due before `until`, as its moment and the slot of the peer; the slot is
    /// `None` if that peer is lost. If none is due yet, the alarm is set.
    pub(super) fn take_due(&mut self, now: Moment, until: Moment, clock: Clock) -> Option<(Moment, Option<usize>)> {
        let schedule = self.schedule.as_mut()?;
        let due = schedule.due();
        if due >= until {
            return None;
        }
        match schedule.take(now) {
            Some(asker) => Some((due, self.slots[asker])),
            None => {
                self.alarm.set(due.since(clock.now()));
                None
            }
        }
    }

    /// Begins the next exchange of a peer.
    pub(super) fn ask(&self, peers: &mut Peers, key: usize, due: Moment) {
        let peer = peers.at(key);
        let (number, speak) = (peer.number, self.speak);
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
        peer.ask(PeerPhase::Asking);
    }

    /// Whether any peer still waits for an answer.
    pub(super) fn any_waits(&self, peers: &mut Peers) -> bool {
        self.slots.iter().flatten().any(|key| peers.at(*key).phase == PeerPhase::Asking)
    }

    /// A peer is lost.
    pub(super) fn forget(&mut self, number: usize, key: usize) {
        if let Some(slot) = self.slots.get_mut(number).filter(|slot| **slot == Some(key)) {
            *slot = None;
        }
    }
}

/// A name that no other client has, of this run or of another one at the same time.
fn name(number: usize) -> String {
    format!("{}-{number}", std::process::id())
}

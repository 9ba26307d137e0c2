//! The crowd: all connections of a run, as a source of the loop.
//!
//! Owns the table of peers, and what happens to each. `course.rs` goes from one phase of the run to the next, `turns.rs` sends
//! requests, `ending.rs` closes the run.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Duration;

use mio::event::Event;
use mio::{Interest, Registry};
use rustix::process::{Resource, getrlimit};
use slab::Slab;

use crate::load::LoadSettings;
use crate::load::clock::TimerFd;
use crate::load::crowd::phase::RunPhase;
use crate::load::family::{ProcessFamily, Spent};
use crate::load::opening::Opening;
use crate::load::payload::Noise;
use crate::load::peer::{LoadPeer, PeerPhase as Of, PeerStep};
use crate::load::progress::Progress;
use crate::load::report::Report;
use crate::load::schedule::Schedule;
use crate::load::trouble::{Trouble, TroubleKind};
use crate::reactor::{Capacity, Moment, Names, Readiness, Request, Source, Tally, Turn};
use crate::seconds::InWords;
use crate::speak::Speak;

mod course;
mod ending;
mod phase;
mod turns;

/// Descriptors that are not for connections: the standard three, epoll, the signals' pipe, the timer,
/// the files of /proc and of the report.
const RESERVE: usize = 16;
/// How many connections are opened in a turn.
const OPEN_BUDGET: usize = 64;
/// How many are closed in a turn. Closing is expensive, and requests must not wait for it.
const REAP_BUDGET: usize = 64;
/// How often samples are taken.
const SAMPLE: Duration = Duration::from_millis(100);

/// All connections of a run, and the state of the run.
pub(super) struct Crowd {
    settings: LoadSettings,
    names: Names,
    /// How many connections the limit of descriptors allows.
    descriptors: usize,
    opening: Opening,
    alarm: TimerFd,
    phase: RunPhase,
    began: Option<Moment>,
    peers: Slab<LoadPeer>,
    runnable: Vec<usize>,
    /// Peers that are connecting or being greeted, in the order of opening: slot and number.
    early: VecDeque<(usize, usize)>,
    waiting: usize,
    ended: Vec<usize>,
    /// Connections that were tried.
    tried: usize,
    noise: Noise,
    schedule: Option<Schedule>,
    /// The slots of the peers that send requests; `None`: that peer never connected, or is lost.
    askers: Vec<Option<usize>>,
    next_sample: Moment,
    sample_every: Duration,
    /// The server's processes, if they are to be measured.
    family: Option<ProcessFamily>,
    next_footprint: Moment,
    cpu: Option<Spent>,
    progress: Progress,
    report: Report,
    reports: Sender<Report>,
}

impl Crowd {
    const ALARM: usize = Names::MAX_KEY;

    /// Joins the loop under `names`, for a crowd that connects to `target`; the report goes to `reports` when
    /// the run is over.
    ///
    /// # Errors
    /// The timer cannot be made or registered.
    pub(super) fn open(
        settings: LoadSettings,
        target: SocketAddr,
        family: Option<ProcessFamily>,
        registry: &Registry,
        names: Names,
        reports: Sender<Report>,
    ) -> io::Result<Self> {
        let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
        let sources = settings.sources.clone();
        let opening = Opening::new(target, sources, settings.connect_rate);
        let progress = Progress::new();
        progress.begin("connecting", settings.connections as u64);
        Ok(Self {
            alarm: TimerFd::open(registry, names.token(Self::ALARM))?,
            noise: Noise::new(settings.size),
            report: Report::new(&settings),
            settings,
            names,
            descriptors: limit.saturating_sub(RESERVE),
            opening,
            phase: RunPhase::Opening,
            began: None,
            peers: Slab::new(),
            runnable: Vec::new(),
            early: VecDeque::new(),
            waiting: 0,
            ended: Vec::new(),
            tried: 0,
            schedule: None,
            askers: Vec::new(),
            next_sample: Moment::default(),
            sample_every: SAMPLE,
            family,
            next_footprint: Moment::default(),
            cpu: None,
            progress,
            reports,
        })
    }

    fn open_one(&mut self, turn: &mut Turn<'_>) {
        let number = self.tried;
        self.tried += 1;
        let opened = if self.peers.len() < self.descriptors {
            self.opening.open(turn.now, turn.clock)
        } else {
            let words = format!("the descriptor limit allows {}, besides {RESERVE} for ourselves", self.descriptors);
            Err(Trouble::new(TroubleKind::NoDescriptor, words))
        };
        match opened {
            Ok((stream, before)) => {
                let key = self.peers.insert(LoadPeer::new(stream, number, before));
                let interest = Interest::READABLE | Interest::WRITABLE;
                let peer = &mut self.peers[key];
                self.early.push_back((key, number));
                self.waiting += 1;
                if let Err(error) = turn.registry.register(peer.stream_mut(), self.names.token(key), interest) {
                    self.lose(key, &Trouble::of(&error));
                }
            }
            Err(trouble) if trouble.kind.is_our_limit() => {
                // None of the rest can be opened either.
                let rest = self.settings.connections - number;
                self.report.troubles.count_many(&trouble, rest as u64);
                self.tried = self.settings.connections;
            }
            Err(trouble) => self.report.troubles.count(&trouble),
        }
    }

    pub(super) fn drive_peer(&mut self, key: usize, turn: &mut Turn<'_>) {
        loop {
            let Some(peer) = self.peers.get_mut(key).filter(|peer| peer.phase != Of::Lost) else { return };
            let languageless = self.settings.speak == Speak::None;
            let phase = peer.phase;
            match peer.step(turn.scratch, languageless) {
                Ok(PeerStep::Blocked) => return,
                Ok(PeerStep::Connected) => {
                    let took = turn.clock.now().since(peer.opened);
                    self.report.connect.saturating_record(took.as_nanos() as u64);
                    self.report.connected += 1;
                    self.greet(key, true);
                }
                Ok(PeerStep::Answered) => {
                    self.report.understood += 1;
                    match phase {
                        Of::Asking => self.answered(key, turn.clock.now()),
                        _ => self.greet(key, false),
                    }
                }
                Err(trouble) => return self.lose(key, &trouble),
            }
        }
    }

    /// Sends what comes before the first request, one thing after the other.
    fn greet(&mut self, key: usize, first: bool) {
        let peer = &mut self.peers[key];
        let (number, speak) = (peer.number, self.settings.speak);
        let hello = speak.hello();
        let had_hello = hello.is_some();
        let next = if first { hello } else { None };
        // This was the answer to the greeting or, once `begun` is 1, to the preparation.
        let prepares = number < self.settings.active && (first && !had_hello || !first && peer.talk().begun == 0);
        let next = next.or_else(|| {
            let said = prepares.then(|| speak.prepare(&name(number), self.noise.of(number, 0))).flatten();
            said.inspect(|_| peer.talk().begun = 1)
        });
        match next {
            Some(said) => {
                peer.talk().said = said;
                peer.ask(Of::Greeting);
            }
            None => {
                peer.rest();
                self.waiting -= 1;
            }
        }
    }

    /// Connections that were made and not lost, as far as our kernel knows.
    pub(super) fn living(&self) -> u64 {
        self.report.connected - self.report.lost
    }

    /// Whether it is still connecting or being greeted.
    pub(super) fn is_early(peer: &LoadPeer) -> bool {
        matches!(peer.phase, Of::Connecting | Of::Greeting)
    }

    /// Gives up a connection.
    fn lose(&mut self, key: usize, trouble: &Trouble) {
        let peer = &mut self.peers[key];
        self.waiting -= usize::from(Self::is_early(peer));
        self.report.lost += u64::from(peer.phase != Of::Connecting);
        if peer.phase == Of::Asking {
            self.report.broken_off += 1;
        }
        self.report.troubles.count(trouble);
        peer.phase = Of::Lost;
        let number = peer.number;
        let living = self.living();
        if let Some(held) = &mut self.report.held {
            held.least = living;
        }
        if let Some(place) = self.askers.get_mut(number).filter(|place| **place == Some(key)) {
            *place = None;
        }
        self.ended.push(key);
    }

    /// Adds the figures of a peer that is done to the report.
    pub(super) fn account(&mut self, peer: &LoadPeer) {
        self.report.unasked += peer.unasked;
        self.report.heard += u64::from(peer.heard);
    }

    /// Lets go of peers that were not connected or not greeted in time.
    fn lose_patience(&mut self, now: Moment) {
        while let Some(&(key, number)) = self.early.front() {
            let peer = self.peers.get(key).filter(|peer| peer.number == number && Self::is_early(peer));
            match peer {
                Some(peer) if now.since(peer.opened) < self.settings.patience => return,
                Some(peer) => {
                    let what =
                        if peer.phase == Of::Connecting { "not connected" } else { "connected, but not greeted" };
                    let patience = InWords(self.settings.patience);
                    self.lose(key, &Trouble::new(TroubleKind::NoAnswer, format!("{what} after {patience}")));
                }
                None => {}
            }
            self.early.pop_front();
        }
    }

    /// Ends a phase of the run if its time has come.
    fn go_on(&mut self, turn: &mut Turn<'_>) {
        if self.phase == RunPhase::Over {
            return;
        }
        self.lose_patience(turn.heard);
        self.proceed(turn.now);
        if self.next_sample <= turn.now && self.phase != RunPhase::Over {
            self.sample(turn.now);
            self.next_sample = turn.now + self.sample_every;
        }
        if self.phase == RunPhase::Over {
            turn.requests.push(Request::Stop { grace: Duration::ZERO });
        }
    }
}

/// A name that no other client has, of this run or of another one at the same time.
pub(super) fn name(number: usize) -> String {
    format!("{}-{number}", std::process::id())
}

impl Source for Crowd {
    fn latch(&mut self, key: usize, event: &Event) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.latch(Readiness::of(event));
            self.runnable.push(key);
        }
    }

    fn drive(&mut self, turn: &mut Turn<'_>) {
        let mut running = std::mem::take(&mut self.runnable);
        running.drain(..).for_each(|key| self.drive_peer(key, turn));
        if self.runnable.is_empty() {
            self.runnable = running;
        }
        self.ask_what_is_due(turn);
    }

    fn accept(&mut self, turn: &mut Turn<'_>) {
        if self.began.is_none() {
            self.began = Some(turn.now);
            self.sample(turn.now);
        }
        if self.phase != RunPhase::Opening {
            return;
        }
        for _ in 0..OPEN_BUDGET {
            if self.tried == self.settings.connections || self.opening.next() > turn.now {
                return;
            }
            self.open_one(turn);
        }
    }

    fn reap(&mut self, turn: &mut Turn<'_>) {
        self.go_on(turn);
        for _ in 0..REAP_BUDGET {
            let Some(key) = self.ended.pop() else { return };
            let peer = self.peers.remove(key);
            self.account(&peer);
        }
    }

    fn is_runnable(&self, _capacity: &Capacity) -> bool {
        self.phase != RunPhase::Over && (!self.runnable.is_empty() || !self.ended.is_empty() || self.began.is_none())
    }

    fn count(&self, total: &mut Tally) {
        total.connected += self.peers.len();
    }

    fn deadline(&self) -> Option<Moment> {
        let next = match self.phase {
            RunPhase::Opening if self.tried < self.settings.connections => Some(self.opening.next()),
            RunPhase::Settling { until } | RunPhase::Exchanging { until } | RunPhase::Finishing { until } => {
                Some(until)
            }
            RunPhase::Opening => None,
            RunPhase::Over => return None,
        };
        next.into_iter().chain([self.next_sample]).min()
    }

    fn stop(&mut self, by: Moment) {
        if self.phase != RunPhase::Over {
            self.report.interrupted = true;
            self.finish(by); // the grace is zero, so this is now
        }
    }
}

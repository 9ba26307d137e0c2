//! The crowd: all connections of a run, as a source of the loop.
//!
//! Owns what happens to a connection from its opening to its end. `peers.rs` has the table, `askers.rs` the requests, `figures.rs`
//! the report so far; none of them knows the crowd. `course.rs` goes from one phase of the run to the next, `turns.rs` sends
//! requests, `ending.rs` closes the run.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Duration;

use mio::event::Event;
use mio::{Interest, Registry};
use rustix::process::{Resource, getrlimit};

use crate::load::LoadSettings;
use crate::load::crowd::askers::Askers;
use crate::load::crowd::figures::Figures;
use crate::load::crowd::peers::Peers;
use crate::load::crowd::phase::RunPhase;
use crate::load::family::ProcessFamily;
use crate::load::opening::Opening;
use crate::load::peer::{LoadPeer, PeerPhase, PeerStep};
use crate::load::report::Report;
use crate::load::trouble::{Trouble, TroubleKind};
use crate::reactor::{Capacity, Moment, Names, Readiness, Request, Source, Tally, Turn};
use crate::seconds::InWords;
use crate::speak::Speak;

mod askers;
mod course;
mod ending;
mod figures;
mod peers;
mod phase;
mod turns;

/// Descriptors that are not for connections: the standard three, epoll, the signals' pipe, the timer,
/// the files of /proc and of the report.
const RESERVE: usize = 16;
/// How many connections are opened in a turn.
const OPEN_BUDGET: usize = 64;
/// How many are closed in a turn. Closing is expensive, and requests must not wait for it.
const REAP_BUDGET: usize = 64;

/// All connections of a run, and the state of the run.
pub(super) struct Crowd {
    settings: LoadSettings,
    names: Names,
    /// How many connections the limit of descriptors allows.
    descriptors: usize,
    opening: Opening,
    /// Connections that were tried.
    tried: usize,
    phase: RunPhase,
    peers: Peers,
    askers: Askers,
    figures: Figures,
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
        Ok(Self {
            names,
            descriptors: limit.saturating_sub(RESERVE),
            opening: Opening::new(target, settings.sources.clone(), settings.connect_rate),
            tried: 0,
            phase: RunPhase::Opening,
            peers: Peers::default(),
            askers: Askers::open(&settings, registry, names.token(Self::ALARM))?,
            figures: Figures::new(&settings, family),
            settings,
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
                let stream = self.peers.at(key).stream_mut();
                if let Err(error) = turn.registry.register(stream, self.names.token(key), interest) {
                    self.lose(key, &Trouble::of(&error));
                }
            }
            Err(trouble) if trouble.kind.is_our_limit() => {
                // None of the rest can be opened either.
                let rest = self.settings.connections - number;
                self.figures.report.troubles.count_many(&trouble, rest as u64);
                self.tried = self.settings.connections;
            }
            Err(trouble) => self.figures.report.troubles.count(&trouble),
        }
    }

    pub(super) fn drive_peer(&mut self, key: usize, turn: &mut Turn<'_>) {
        loop {
            let Some(peer) = self.peers.living(key) else { return };
            let languageless = self.settings.speak == Speak::None;
            let phase = peer.phase;
            match peer.step(turn.scratch, languageless) {
                Ok(PeerStep::Blocked) => return,
                Ok(PeerStep::Connected) => {
                    let took = turn.clock.now().since(peer.opened);
                    self.figures.report.connect.saturating_record(took.as_nanos() as u64);
                    self.figures.report.connected += 1;
                    self.greet(key, true);
                }
                Ok(PeerStep::Answered) => {
                    self.figures.report.understood += 1;
                    match phase {
                        PeerPhase::Asking => self.answered(key, turn.clock.now()),
                        _ => self.greet(key, false),
                    }
                }
                Err(trouble) => return self.lose(key, &trouble),
            }
        }
    }

    /// Sends what comes before the first request, one thing after the other.
    fn greet(&mut self, key: usize, first: bool) {
        let peer = self.peers.at(key);
        let hello = self.settings.speak.hello();
        let had_hello = hello.is_some();
        let next = if first { hello } else { None };
        // This was the answer to the greeting or, once `begun` is 1, to the preparation.
        let prepares = first && !had_hello || !first && peer.talk().begun == 0;
        let next = next.or_else(|| {
            let said = if prepares { self.askers.prepare(peer.number) } else { None };
            said.inspect(|_| peer.talk().begun = 1)
        });
        match next {
            Some(said) => {
                peer.talk().said = said;
                peer.ask(PeerPhase::Greeting);
            }
            None => self.peers.rest(key),
        }
    }

    /// Gives up a connection.
    fn lose(&mut self, key: usize, trouble: &Trouble) {
        let number = self.peers.at(key).number;
        let was = self.peers.lose(key);
        self.askers.forget(number, key);
        let report = &mut self.figures.report;
        report.lost += u64::from(was != PeerPhase::Connecting);
        report.broken_off += u64::from(was == PeerPhase::Asking);
        report.troubles.count(trouble);
        let living = self.figures.living();
        if let Some(held) = &mut self.figures.report.held {
            held.least = living;
        }
    }

    /// Lets go of peers that were not connected or not greeted in time.
    fn lose_patience(&mut self, now: Moment) {
        let patience = self.settings.patience;
        while let Some(key) = self.peers.overdue(now, patience) {
            let is_connecting = self.peers.at(key).phase == PeerPhase::Connecting;
            let what = if is_connecting { "not connected" } else { "connected, but not greeted" };
            let words = format!("{what} after {}", InWords(patience));
            self.lose(key, &Trouble::new(TroubleKind::NoAnswer, words));
        }
    }

    /// Ends a phase of the run if its time has come.
    fn go_on(&mut self, turn: &mut Turn<'_>) {
        if self.phase == RunPhase::Over {
            return;
        }
        self.lose_patience(turn.heard);
        self.proceed(turn.now);
        if self.phase != RunPhase::Over {
            self.figures.sample_in_time(turn.now, self.phase, self.tried);
        } else {
            turn.requests.push(Request::Stop { grace: Duration::ZERO });
        }
    }
}

impl Source for Crowd {
    fn latch(&mut self, key: usize, event: &Event) {
        self.peers.latch(key, Readiness::of(event));
    }

    fn drive(&mut self, turn: &mut Turn<'_>) {
        let mut running = self.peers.take_runnable();
        running.drain(..).for_each(|key| self.drive_peer(key, turn));
        self.peers.reuse(running);
        self.ask_what_is_due(turn);
    }

    fn accept(&mut self, turn: &mut Turn<'_>) {
        if !self.figures.has_begun() {
            self.figures.begin(turn.now);
            self.figures.sample(turn.now, self.phase, self.tried);
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
            let Some(peer) = self.peers.reap() else { return };
            self.figures.account(&peer);
        }
    }

    fn is_runnable(&self, _capacity: &Capacity) -> bool {
        self.phase != RunPhase::Over && (self.peers.have_work() || !self.figures.has_begun())
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
        next.into_iter().chain([self.figures.next_sample()]).min()
    }

    fn stop(&mut self, by: Moment) {
        if self.phase != RunPhase::Over {
            self.figures.report.interrupted = true;
            self.finish(by); // the grace is zero, so this is now
        }
    }
}

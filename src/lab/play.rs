//! One scene, played: networks, server and client are set up, the state is reached, the fault comes,
//! and the server is watched.
//!
//! Owns the order of these steps. Knows how none of them is done.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::keepalive::odds::{Path, Round};
use crate::keepalive::{Keepalive, TimerWheel};
use crate::lab::diary::Diary;
use crate::lab::expectation::{Expectation, expect, stall};
use crate::lab::fault::{is_missing, strike, unstick};
use crate::lab::follow::{Following, Holding};
use crate::lab::interrupt::Interrupt;
use crate::lab::measure::{Row, tcp, timer};
use crate::lab::network::{Family, Network};
use crate::lab::peer::Peer;
use crate::lab::preset::mqtt_keepalive;
use crate::lab::program::{Program, SYSCTLS};
use crate::lab::scene::{Fault, Scene, State};
use crate::lab::server::{Server, Start};
use crate::lab::stage::{Place, Stage};
use crate::lab::timeline::{Entry, Timeline, Verdict};
use crate::lab::verdict::{Seen, judge};
use crate::speak::Speak;

const PORT: u16 = 7007;
/// How long a state may take until it is reached.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection that is not complete on the server's side after so long waits for data.
const DEFERRED: Duration = Duration::from_secs(1);
/// How much later a server's end may be seen than what it does to a client.
const END: Duration = Duration::from_millis(300);
/// After that an ACK that was delayed has been sent.
const QUIET: Duration = Duration::from_millis(150);
/// What is still told of a connection when it has gone: the last packets, the server's log.
const AFTERMATH: Duration = Duration::from_millis(300);
/// Shuts a window and fits the server's send buffer.
const SHUTS: usize = 16_000;
/// More than the first flight of a connection, so that some is in flight when the window shuts.
const SHRINKS: usize = 40_000;
/// How much is sent at a time until the server stops reading; and at most, to one that never does.
const SIP: usize = 16_000;
const DRAUGHT: usize = 4_000_000;
/// How many living peers stay idle on a lossy path, so that the odds show.
const CROWD: usize = 50;

/// What is to be played, and against whom.
#[derive(Clone, Debug)]
pub struct Part {
    pub scene: Scene,
    pub program: Program,
    pub keepalive: Keepalive,
    pub wheel: TimerWheel,
    /// How long a dead peer is watched that is not let go.
    pub cap: Duration,
    /// How long a living peer is watched.
    pub keep: Duration,
    /// How long the server may take until it listens.
    pub start_patience: Duration,
    pub family: Family,
    /// Tells it from the other scenes of this lab.
    pub number: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Outcome {
    Judged(Verdict),
    /// It makes no sense, cannot be done here, or the server does not let it come about.
    CannotBe(String),
}

#[derive(Debug)]
pub struct Played {
    pub timeline: Timeline,
    pub outcome: Outcome,
}

/// Plays a scene. Whatever is entered in its timeline is handed to `told` too, with the origin.
///
/// # Errors
/// A sentence: what went wrong, or that it was interrupted.
pub fn play(
    part: &Part,
    stage: &Stage,
    interrupt: &Interrupt,
    told: &mut dyn FnMut(SystemTime, &Entry),
) -> Result<Played, String> {
    let expectation = expect(part.scene, &part.keepalive, part.wheel, part.program.speak);
    let nothing = |why: String| Played {
        timeline: Timeline { entries: Vec::new(), origin: SystemTime::now() },
        outcome: Outcome::CannotBe(why),
    };
    if let Expectation::CannotBe(why) = expectation {
        return Ok(nothing(why.to_string()));
    }
    if let Some(why) = is_missing(part.scene.fault, part.family) {
        return Ok(nothing(why));
    }
    let mut set = Set::build(part, stage, interrupt, told)?;
    if let Some(why) = set.reach()? {
        return Ok(Played { timeline: set.diary.close(SystemTime::now()), outcome: Outcome::CannotBe(why) });
    }
    set.strike()?;
    set.place = None;
    let seen = set.watch(expectation)?;
    set.place = Some(stage.enter());
    let moments = set.diary.moments();
    let verdict = judge(part.scene.to_string(), expectation, moments, seen, part.program.is_ours);
    Ok(Played { timeline: set.diary.close(SystemTime::now()), outcome: Outcome::Judged(verdict) })
}

/// All that a scene needs. Dropped in this order: programs first, then their networks, and the place on
/// the stage last.
struct Set<'a> {
    part: &'a Part,
    interrupt: &'a Interrupt,
    diary: Diary<'a>,
    peer: Peer,
    server: Server,
    following: Following,
    network: Network,
    crowd: usize,
    struck: Instant,
    place: Option<Place<'a>>,
}

impl<'a> Set<'a> {
    fn build(
        part: &'a Part,
        stage: &'a Stage,
        interrupt: &'a Interrupt,
        told: &'a mut dyn FnMut(SystemTime, &Entry),
    ) -> Result<Self, String> {
        let place = Some(stage.enter());
        let network = Network::build(part.scene.fault.between(), part.family, part.number)?;
        let Part { program, keepalive, .. } = part;
        let address = SocketAddr::new(network.server_address, PORT);
        let filling = program.filling(keepalive, address, "");
        for (setting, value) in SYSCTLS {
            network.server.set(setting, filling.fill_in(value))?;
        }
        let start = Start { program, keepalive, address, patience: part.start_patience, number: part.number };
        let server = Server::start(start, &network.server, interrupt)?;
        let following = Following::begin(&network.server, network.client_address, PORT)?;
        let diary = Diary::open(&network, address, part.keepalive.count(), part.program.is_ours, told)?;
        let language = (program.speak, &program.language);
        let peer = Peer::start(&network.client, address, language, mqtt_keepalive(keepalive.deadline()), interrupt)?;
        let is_crowd = part.scene.fault.loss().is_some() && matches!(part.scene.state, State::Idle | State::Exchanged);
        let crowd = if is_crowd { CROWD } else { 1 };
        Ok(Self { part, interrupt, diary, peer, server, following, network, crowd, struck: Instant::now(), place })
    }

    fn holding(&mut self) -> Result<Holding, String> {
        self.following.look()
    }

    /// Brings the connection into its state. Some: it cannot be reached, and why.
    fn reach(&mut self) -> Result<Option<String>, String> {
        let state = self.part.scene.state;
        if state == State::AcceptQueue {
            self.server.freeze();
            self.diary.note("the server is stopped: it accepts nobody");
        }
        let connected = match state {
            State::WindowShrunk => self.peer.tell("connect-wide"),
            _ => self.peer.tell(&format!("connect {}", self.crowd)),
        };
        connected.map_err(|sentence| self.or_its_end(sentence))?;
        let mut was_there = !self.holding()?.is_empty();
        if let Err(sentence) = self.speak() {
            // A server may end what it does not like. If it has ended itself, that is another matter.
            if let Some(end) = self.end() {
                return Err(end);
            }
            return if self.holding()?.is_empty() { Ok(Some(sentence)) } else { Err(sentence) };
        }
        let (begun, until) = (Instant::now(), Instant::now() + PATIENCE);
        let mut has_asked = false;
        while !self.is_reached(&mut was_there)? {
            if let Some(sentence) = self.server.has_ended() {
                return Err(sentence);
            }
            if self.interrupt.is_asked() {
                return Err("interrupted".to_string());
            }
            let holding = self.holding()?;
            let is_deferred = holding.queued == 0
                && !holding.sockets.is_empty()
                && holding.sockets.iter().all(|row| row.state == tcp::SYN_RECEIVED);
            if is_deferred && !has_asked && begun.elapsed() > DEFERRED {
                if state == State::Idle {
                    return Ok(Some(self.is_deferred()));
                }
                has_asked = true;
                self.diary.note("the server waits for data before it takes the connection: the client asks");
                self.peer.tell("ask")?;
            }
            if (was_there && holding.is_empty()) || Instant::now() > until {
                return self.end().map_or_else(|| self.why_not(was_there).map(Some), Err);
            }
            sleep(Duration::from_millis(5));
        }
        let port = self.holding()?.sockets.first().map(|row| row.peer_port);
        let at = SystemTime::now();
        sleep(QUIET);
        if self.holding()?.is_empty() {
            return self.end().map_or_else(|| self.why_not(true).map(Some), Err);
        }
        self.diary.reached(at, state, port)?;
        Ok(None)
    }

    /// A sentence if the server has ended. Its end may be a moment later than what the client sees of it.
    fn end(&mut self) -> Option<String> {
        self.interrupt.wait_for(END, || self.server.has_ended())
    }

    /// Why the client cannot reach the server: it has ended, or what it said last.
    fn or_its_end(&mut self, sentence: String) -> String {
        self.end().unwrap_or_else(|| format!("{sentence}. Of the server: {}", self.server.last_words()))
    }

    /// Has the client say what leads to the state.
    fn speak(&mut self) -> Result<(), String> {
        let state = self.part.scene.state;
        // A banner that came after the fault would be data in flight.
        let greets = self.part.program.speak.greets_before_it_is_idle() || self.part.program.language.banner;
        if state == State::AcceptQueue || (state == State::Idle && !greets) {
            return Ok(());
        }
        let speak = match self.part.program.speak {
            Speak::Own => "--ask".to_string(),
            speak => format!("--speak {}", speak.name()),
        };
        let doubt = |error| format!("{error}; does it understand what {speak} says?");
        self.peer.tell("greet").map_err(doubt)?;
        match state {
            State::Idle | State::AcceptQueue => Ok(()),
            State::Exchanged => self.peer.tell("exchange").map_err(doubt),
            State::InFlight | State::BothInFlight => {
                self.peer.tell("exchange").map_err(doubt)?;
                self.server.freeze();
                self.diary.note("the server is stopped, until the fault has come");
                self.peer.tell("ask")
            }
            State::WindowShut => self.peer.tell(&format!("fill {SHUTS}")),
            State::WindowShrunk => {
                self.peer.tell("exchange").map_err(doubt)?;
                self.peer.tell("shrink")?;
                self.peer.tell(&format!("fill {SHRINKS}"))
            }
            State::ReadingPaused => self.peer.tell("flood"),
            State::HalfClosed => {
                self.fill_until_reading_pauses()?;
                self.peer.tell("finish")
            }
        }
    }

    /// Sends as much as makes the server stop reading, and no more: a FIN must still find room.
    fn fill_until_reading_pauses(&mut self) -> Result<(), String> {
        let mut paused = 0;
        for _ in 0..DRAUGHT / SIP {
            self.peer.tell(&format!("fill {SIP}"))?;
            sleep(Duration::from_millis(5));
            let pauses = |row: &Row| is_shut(row) && row.unread > 0;
            paused = if self.holding()?.sockets.iter().any(pauses) { paused + 1 } else { 0 };
            if paused == 2 {
                break;
            }
        }
        Ok(())
    }

    fn is_deferred(&self) -> String {
        let name = &self.part.program.name;
        format!(
            "{name} waits for data before it accepts (TCP_DEFER_ACCEPT): who says nothing is known to the kernel alone, \
             which lets go of it by its own count of SYN-ACKs"
        )
    }

    /// Why a state cannot be reached, as far as it is seen.
    fn why_not(&mut self, was_there: bool) -> Result<String, String> {
        let (name, state) = (self.part.program.name.clone(), self.part.scene.state.name());
        let is_there = !self.holding()?.is_empty();
        // What it says to a client that fills its window is no explanation.
        let is_asked = !self.part.scene.state.has_shut_window();
        let heard = if is_asked { self.peer.tell("hear").err().unwrap_or_default() } else { String::new() };
        let heard = match heard.split_once(": ") {
            Some((_, heard)) if !heard.is_empty() => format!("; it said {heard:?}"),
            _ => String::new(),
        };
        Ok(match (was_there, is_there) {
            (_, true) => format!("with {name} the connection does not become {state}{heard}"),
            (true, false) => format!("{name} closes the connection before it is {state}{heard}"),
            (false, false) => format!("{name} does not keep a connection at all{heard}"),
        })
    }

    fn is_reached(&mut self, was_there: &mut bool) -> Result<bool, String> {
        let holding = self.holding()?;
        *was_there |= !holding.is_empty();
        let accepted = holding.sockets.iter().filter(|row| row.inode != 0);
        let mut accepted = accepted.filter(|row| matches!(row.state, tcp::ESTABLISHED | tcp::CLOSE_WAIT));
        let shut = |row: &&_| is_shut(row);
        Ok(match self.part.scene.state {
            State::Idle | State::Exchanged => accepted.count() == self.crowd,
            State::InFlight | State::BothInFlight => accepted.any(|row| row.unread > 0),
            State::WindowShrunk => {
                self.diary.keep()?;
                let is_shrunk = |row: &Row| row.timer == timer::RETRANSMISSION && row.unacknowledged > 0;
                self.diary.is_window_shut() && accepted.any(is_shrunk)
            }
            State::WindowShut | State::ReadingPaused => accepted.any(is_shut),
            State::HalfClosed => accepted.filter(shut).any(|row| row.state == tcp::CLOSE_WAIT),
            State::AcceptQueue => holding.queued > 0,
        })
    }

    fn strike(&mut self) -> Result<(), String> {
        let port = self.holding()?.sockets.first().map_or(0, |row| row.peer_port);
        let struck = strike(self.part.scene.fault, &self.network, &mut self.peer, port)?;
        self.struck = Instant::now() - struck.at.elapsed().unwrap_or_default();
        self.diary.fault(struck.at, struck.words);
        if self.part.scene.state == State::BothInFlight && self.peer_can_speak() {
            self.peer.tell("ask")?;
        }
        if self.part.scene.state.is_in_flight() {
            self.server.thaw();
            self.diary.sent();
        }
        Ok(())
    }

    /// Looks on until the peer is gone, or as long as it is to be watched.
    fn watch(&mut self, expectation: Expectation) -> Result<Seen, String> {
        let stall = stall(&self.part.keepalive);
        let mut stalled = self.part.scene.state == State::AcceptQueue;
        let mut is_stuck = self.part.scene.fault == Fault::QueueFull;
        let limit = match expectation {
            Expectation::Gone { to, .. } => self.part.cap.max(to + Duration::from_secs(2)),
            Expectation::Kept | Expectation::Either if stalled => self.part.keep.max(stall * 2),
            Expectation::Kept | Expectation::Either => self.part.keep,
            _ => self.part.cap,
        };
        // In time even if one of them is late by half of what was announced.
        let beat = Duration::from_secs(mqtt_keepalive(self.part.keepalive.deadline()).into()) / 2;
        let glance = glance(&self.part.keepalive);
        let mut heartbeat = Instant::now();
        let mut measured = None;
        let mut left = self.crowd;
        while measured.is_none() && self.struck.elapsed() < limit {
            if self.interrupt.is_asked() {
                return Err("interrupted".to_string());
            }
            if let Some(sentence) = self.server.has_ended() {
                return Err(sentence);
            }
            if stalled && self.struck.elapsed() >= stall {
                self.server.thaw();
                self.diary.note("the server goes on, and accepts");
                stalled = false;
            }
            if is_stuck && self.struck.elapsed() >= stall {
                unstick(&self.network)?;
                self.diary.note("the server's transmit queue takes packets again");
                is_stuck = false;
            }
            if self.beats() && heartbeat.elapsed() > beat {
                self.peer.begin("ask")?;
                heartbeat = Instant::now();
            }
            self.diary.look(&self.server)?;
            let holding = self.holding()?;
            left = holding.count();
            if holding.is_empty() && !stalled {
                let gone = self.following.empty_since().unwrap_or_else(Instant::now);
                measured = Some(gone.saturating_duration_since(self.struck));
            }
            sleep(glance);
        }
        let watched = measured.unwrap_or(limit);
        let mut whereabouts = String::new();
        if measured.is_some() {
            let gone =
                SystemTime::now() - self.following.empty_since().map(|since| since.elapsed()).unwrap_or_default();
            self.diary.gone(gone, &self.following.orphans()?);
        } else if !matches!(expectation, Expectation::Kept | Expectation::Either) {
            let holding = self.holding()?;
            whereabouts = self.following.whereabouts(&holding);
        }
        let until = Instant::now() + AFTERMATH;
        while Instant::now() < until {
            self.diary.look(&self.server)?;
            sleep(glance);
        }
        // The last ACK of a peer that lives has come by now.
        let orphans = if measured.is_some() { self.following.orphans()? } else { Vec::new() };
        if let Some(state) = orphans.first() {
            self.diary.note(&format!("the kernel goes on with the socket by itself, in {state}: an orphan"));
        }
        let seen = self.seen(measured, watched, left);
        let said_by = if measured.is_some() { seen.said_by } else { seen.said_by + &whereabouts };
        Ok(Seen { said_by, orphan: !orphans.is_empty(), ..seen })
    }

    fn seen(&mut self, measured: Option<Duration>, watched: Duration, left: usize) -> Seen {
        let loss = self.part.scene.fault.loss();
        let crowd = loss.filter(|_| self.crowd > 1).map(|loss| {
            let path = Path::independent(f64::from(loss) / 100.0);
            // Nothing is delayed in the lab.
            let odds = Round::of_probes(&self.part.keepalive, &path, Duration::ZERO).within(&path, watched);
            (self.crowd - left.min(self.crowd), self.crowd, odds)
        });
        if let Some((dropped, of, odds)) = crowd {
            let expected = odds * of as f64;
            self.diary.note(&format!("{dropped} of {of} living peers were dropped; the odds say {expected:.1}"));
        }
        let told = measured.map(|measured| self.diary.departure(measured));
        let (measured, errno, said_by) = match (crowd, told) {
            (Some((dropped, of, odds)), _) => {
                (measured, String::new(), format!("{dropped} of {of} dropped, odds {:.0} %", odds * 100.0))
            }
            (None, Some((measured, errno, said_by))) => (Some(measured), errno, said_by),
            (None, None) => (None, String::new(), String::new()),
        };
        // A broker that lets go of a silent client keeps its protocol's own promise.
        let own_time_out = measured.is_some()
            && crowd.is_none()
            && !self.part.program.is_ours
            && !self.part.program.speak.has_a_heartbeat()
            && self.diary.closed_by_itself();
        let said_by = if own_time_out { "its FIN: a time-out of the program's own".to_string() } else { said_by };
        let single = (usize::from(measured.is_some()), 1);
        let living = loss.map(|_| crowd.map_or(single, |(dropped, of, _)| (dropped, of)));
        Seen { measured, watched, errno, said_by, own_time_out, crowd, living, orphan: false }
    }

    /// Its process is there, and so is its socket.
    fn peer_can_speak(&self) -> bool {
        use Fault::{Closed, Frozen, HalfCloseThenCut, Killed, Rebooted, Reset};
        !matches!(self.part.scene.fault, Killed | Closed | Reset | Rebooted | Frozen | HalfCloseThenCut)
    }

    /// A living client of a protocol with a heartbeat beats.
    fn beats(&self) -> bool {
        use Fault::{Lossy10, Lossy30, Nothing};
        self.part.program.speak.has_a_heartbeat()
            && self.part.scene.state != State::AcceptQueue
            && matches!(self.part.scene.fault, Lossy10 | Lossy30 | Nothing)
    }
}

/// How often a server is looked at: the rarer the longer the deadline, so that many such scenes can be
/// watched at once; and often enough that a departure is found in the log's lines ([`Diary::departure`]).
fn glance(keepalive: &Keepalive) -> Duration {
    (keepalive.deadline() / 250).clamp(Duration::from_millis(20), Duration::from_millis(100))
}

/// Output waits, and only window probes are sent.
fn is_shut(row: &Row) -> bool {
    row.timer == timer::WINDOW_PROBE && row.unacknowledged > 0
}

//! One scene, played: networks, server and client are set up, the state is reached, the fault comes,
//! and the server is watched.
//!
//! Owns the order of these steps; other files carry them out.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::keepalive::odds::{Path, Round};
use crate::keepalive::{Keepalive, TimerWheel};
use crate::lab::cast::peer::ScriptedPeer;
use crate::lab::cast::preset::mqtt_keepalive;
use crate::lab::cast::program::{Program, SYSCTLS};
use crate::lab::cast::server::{Server, Start};
use crate::lab::ears::follow::{Following, Holding};
use crate::lab::play::clocks::Clocks;
use crate::lab::play::diary::Diary;
use crate::lab::play::expectation::{Expectation, expect, stall};
use crate::lab::play::fault::{is_missing, strike, unstick};
use crate::lab::play::scene::{Fault, Scene, State};
use crate::lab::play::verdict::{Observed, judge};
use crate::lab::stage::interrupt::Interrupt;
use crate::lab::stage::network::{Family, Network};
use crate::lab::stage::places::{FreePlace, Places};
use crate::lab::timeline::{Timeline, TimelineEntry, Verdict};

mod reach;

const PORT: u16 = 7007;
/// How long to wait, after a connection has gone, for its last packets and the server's log.
const AFTERMATH: Duration = Duration::from_millis(300);
/// How many living peers stay idle on a lossy path, so that the odds show.
const CROWD: usize = 50;

/// The scene to run, and the server to run it against.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Part {
    pub scene: Scene,
    pub program: Program,
    pub keepalive: Keepalive,
    pub wheel: TimerWheel,
    /// How long a dead peer is watched if the server keeps it.
    pub cap: Duration,
    /// How long a living peer is watched.
    pub keep: Duration,
    /// How long the server may take until it listens.
    pub start_patience: Duration,
    pub family: Family,
    /// Distinguishes it from the other scenes of this lab.
    pub number: usize,
}

/// The result.
#[derive(Clone, Debug)]
pub(in crate::lab) enum SceneOutcome {
    Judged(Verdict),
    /// It is impossible, it cannot be produced on this machine, or the server does not reach the state.
    CannotBe(String),
}

#[derive(Debug)]
pub(in crate::lab) struct Played {
    pub timeline: Timeline,
    pub outcome: SceneOutcome,
}

/// Runs a scene. Each entry of its timeline is also passed to `told`, with the origin.
///
/// # Errors
/// A sentence: what went wrong, or that it was interrupted.
pub(in crate::lab) fn play(
    part: &Part,
    stage: &Places,
    interrupt: &Interrupt,
    told: &mut dyn FnMut(SystemTime, &TimelineEntry),
) -> Result<Played, String> {
    let expectation = expect(part.scene, &part.keepalive, part.wheel, part.program.speak);
    let expectation =
        if part.program.is_ours { expectation } else { expectation.of_others(part.scene, &part.keepalive) };
    let nothing = |why: String| Played {
        timeline: Timeline { entries: Vec::new(), origin: SystemTime::now() },
        outcome: SceneOutcome::CannotBe(why),
    };
    if let Expectation::CannotBe(why) = expectation {
        return Ok(nothing(why.to_string()));
    }
    if let Some(why) = is_missing(part.scene.fault, part.family) {
        return Ok(nothing(why));
    }
    let began = Clocks::now();
    let mut set = Set::build(part, stage, interrupt, told)?;
    if let Some(why) = set.reach()? {
        return Ok(Played { timeline: set.diary.close(SystemTime::now()), outcome: SceneOutcome::CannotBe(why) });
    }
    set.strike()?;
    set.place = None;
    let seen = set.watch(expectation)?;
    set.place = Some(stage.enter());
    let moments = set.diary.moments();
    let verdict = judge(part.scene.to_string(), expectation, moments, seen, part.program.is_ours);
    let outcome = match Clocks::now().have_parted(began) {
        Some(why) => SceneOutcome::CannotBe(why),
        None => SceneOutcome::Judged(verdict),
    };
    Ok(Played { timeline: set.diary.close(SystemTime::now()), outcome })
}

/// All that a scene needs. The order of the fields is the order in which they are dropped: programs first, then their
/// networks, and the place on the stage last.
struct Set<'a> {
    part: &'a Part,
    interrupt: &'a Interrupt,
    diary: Diary<'a>,
    peer: ScriptedPeer,
    server: Server,
    following: Following,
    network: Network,
    crowd: usize,
    struck: Instant,
    place: Option<FreePlace<'a>>,
}

impl<'a> Set<'a> {
    fn build(
        part: &'a Part,
        stage: &'a Places,
        interrupt: &'a Interrupt,
        told: &'a mut dyn FnMut(SystemTime, &TimelineEntry),
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
        let peer =
            ScriptedPeer::start(&network.client, address, language, mqtt_keepalive(keepalive.deadline()), interrupt)?;
        let is_crowd = part.scene.fault.loss().is_some() && matches!(part.scene.state, State::Idle | State::Exchanged);
        let crowd = if is_crowd { CROWD } else { 1 };
        Ok(Self { part, interrupt, diary, peer, server, following, network, crowd, struck: Instant::now(), place })
    }

    fn holding(&mut self) -> Result<Holding, String> {
        self.following.look()
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

    /// Watches until the peer is gone, or its time is over.
    fn watch(&mut self, expectation: Expectation) -> Result<Observed, String> {
        let stall = stall(&self.part.keepalive);
        let mut stalled = self.part.scene.state == State::AcceptQueue;
        let mut is_stuck = self.part.scene.fault == Fault::QueueFull;
        let limit = match expectation {
            Expectation::Gone { to, .. } => self.part.cap.max(to + Duration::from_secs(2)),
            Expectation::Kept | Expectation::Either if stalled => self.part.keep.max(stall * 2),
            Expectation::Kept | Expectation::Either => self.part.keep,
            _ => self.part.cap,
        };
        // Half of the announced keep-alive, so that the broker hears it in time even if it is late.
        let beat = Duration::from_secs(mqtt_keepalive(self.part.keepalive.deadline()).into()) / 2;
        let is_to_stay = matches!(expectation, Expectation::Kept | Expectation::Either);
        let glance = glance(&self.part.keepalive, is_to_stay, self.part.program.is_ours);
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
                self.diary.note("the server continues, and accepts the connection");
                stalled = false;
            }
            if is_stuck && self.struck.elapsed() >= stall {
                unstick(&self.network)?;
                self.diary.queue_moves();
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
        } else if !is_to_stay {
            let holding = self.holding()?;
            whereabouts = self.following.whereabouts(&holding);
        }
        let until = Instant::now() + AFTERMATH;
        while Instant::now() < until {
            self.diary.look(&self.server)?;
            sleep(glance);
        }
        // By now the last ACK of a living peer has arrived.
        let orphans = if measured.is_some() { self.following.orphans()? } else { Vec::new() };
        if let Some(state) = orphans.first() {
            self.diary.note(&format!("the kernel still has the socket, in {state}, without a program: an orphan"));
        }
        let seen = self.seen(measured, watched, left);
        let said_by = if measured.is_some() { seen.said_by } else { seen.said_by + &whereabouts };
        Ok(Observed { said_by, orphan: !orphans.is_empty(), ..seen })
    }

    fn seen(&mut self, measured: Option<Duration>, watched: Duration, left: usize) -> Observed {
        let loss = self.part.scene.fault.loss();
        let crowd = loss.filter(|_| self.crowd > 1).map(|loss| {
            let path = Path::independent(f64::from(loss) / 100.0);
            // The lab's networks have no delay.
            let odds = Round::of_probes(&self.part.keepalive, &path, Duration::ZERO).within(&path, watched);
            (self.crowd - left.min(self.crowd), self.crowd, odds)
        });
        if let Some((dropped, of, odds)) = crowd {
            let expected = odds * of as f64;
            self.diary.note(&format!("{dropped} of {of} living peers were dropped; the odds predict {expected:.1}"));
        }
        let told = measured.map(|measured| self.diary.departure(measured));
        let (measured, errno, said_by) = match (crowd, told) {
            (Some((dropped, of, odds)), _) => {
                (measured, String::new(), format!("{dropped} of {of} dropped, odds {:.0} %", odds * 100.0))
            }
            (None, Some((measured, errno, said_by))) => (Some(measured), errno, said_by),
            (None, None) => (None, String::new(), String::new()),
        };
        // A broker that drops a silent client does what its protocol requires.
        let own_time_out = measured.is_some()
            && crowd.is_none()
            && !self.part.program.is_ours
            && !self.part.program.speak.has_a_heartbeat()
            && self.diary.closed_by_itself();
        let said_by = if own_time_out { "its FIN: a time-out of the program's own".to_string() } else { said_by };
        let single = (usize::from(measured.is_some()), 1);
        let living = loss.map(|_| crowd.map_or(single, |(dropped, of, _)| (dropped, of)));
        Observed { measured, watched, errno, said_by, own_time_out, crowd, living, orphan: false }
    }

    /// Whether the client's process runs and still has its socket.
    fn peer_can_speak(&self) -> bool {
        use Fault::{Closed, Frozen, HalfCloseThenCut, Killed, Rebooted, Reset};
        !matches!(self.part.scene.fault, Killed | Closed | Reset | Rebooted | Frozen | HalfCloseThenCut)
    }

    /// A living client of a protocol with heartbeats sends them.
    fn beats(&self) -> bool {
        use Fault::{Lossy10, Lossy30, Nothing};
        self.part.program.speak.has_a_heartbeat()
            // A client that reads slowly sends requests all the time.
            && !matches!(self.part.scene.state, State::AcceptQueue | State::ReadingSlowly)
            && matches!(self.part.scene.fault, Lossy10 | Lossy30 | Nothing)
    }
}

/// How often a server is checked. On an emulated processor the checks are most of what a scene costs, so they are no more
/// frequent than necessary. If a living peer is dropped, the exact time does not matter; for our server, the log has the
/// exact time ([`Diary::departure`]). For another server there is only the table; a longer deadline allows longer pauses.
fn glance(keepalive: &Keepalive, is_to_stay: bool, is_ours: bool) -> Duration {
    match (is_to_stay, is_ours) {
        (true, _) => Duration::from_millis(200),
        (false, true) => Duration::from_millis(100),
        (false, false) => (keepalive.deadline() / 250).clamp(Duration::from_millis(20), Duration::from_millis(100)),
    }
}

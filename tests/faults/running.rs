//! A fault while the server runs: it keeps the peers that it has, takes new ones when the fault is
//! over, and does not spin.

use std::fs;
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::caught;
use crate::common::Server;
use crate::peers::{CROWD, PORTS, Peer, RUSH};
use crate::strace::{Attached, Fault};
use crate::table::{Row, Scene, is_passing};

/// A server that spins under strace makes some ten thousand calls a second. What an honest one makes
/// in a scene is bounded by this, and by this much a byte where many are moved.
const CALLS: usize = 1500;
const BYTES_A_CALL: usize = 4096;
/// When all is over nothing happens, but for a timer or two that has no work left.
const QUIET: Duration = Duration::from_millis(100);
const IDLE_CALLS: usize = 20;
/// How long is waited for the fault to strike.
const STRIKE: Duration = Duration::from_secs(5);

fn is_crowd(scene: Scene) -> bool {
    matches!(scene, Scene::Crowds | Scene::Disperses | Scene::Rushes)
}

/// A crowd's turn: there are not descriptors enough in this process for all trials' crowds at once.
struct Turn;

static CROWDS: (Mutex<usize>, Condvar) = (Mutex::new(MOST_CROWDS), Condvar::new());
/// Each holds some 2 100 descriptors, and a process may have 20 000.
const MOST_CROWDS: usize = 6;

impl Turn {
    fn take() -> Self {
        let free = CROWDS.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = CROWDS.1.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *CROWDS.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        CROWDS.1.notify_one();
    }
}

/// A server with peers, to which something is done while a call fails.
struct Stage {
    server: Server,
    /// They are there from before the fault until its end.
    steady: Vec<Peer>,
    /// Those to whom it may happen.
    actors: Vec<Peer>,
    /// How many have come to the server and how many must have departed.
    accepted: usize,
    departed: usize,
}

/// Plays a scene under a fault, and says what became of it.
///
/// # Errors
/// The fault did not strike.
pub fn play(scene: Scene, row: &Row, fault: Fault<'_>) -> Result<String, String> {
    let _turn = is_crowd(scene).then(Turn::take);
    let mut stage = Stage::set(scene);
    let attached = Attached::to(stage.server.pid(), Some(fault))?;
    stage.provoke(scene);
    if !attached.has_injected(STRIKE) {
        return match row.is_allocator_s() {
            true => Ok("not made by this C library".to_string()),
            false => Err(format!("the call was never made\nits last calls:\n{}", attached.trace.tail())),
        };
    }
    let came = caught(|| match scene {
        Scene::Stops => stage.stop(),
        _ => stage.go_on(scene, row, fault),
    });
    let most = stage.most_calls(scene);
    // What is still to be done may take a while under strace: of a crowd each that was written to is looked at, half a
    // second later, and on a busy machine a line of figures is late. A server that spins never comes to rest.
    let patience = 30;
    let (mut calls, mut idle) = (0, usize::MAX);
    for _ in 0..patience {
        calls = attached.trace.calls();
        sleep(QUIET);
        idle = attached.trace.calls() - calls;
        if idle <= IDLE_CALLS {
            break;
        }
    }
    let why = match came {
        Ok(_) if calls > most => format!("it spins: {calls} system calls, of {most} at most"),
        Ok(_) if idle > IDLE_CALLS => format!("it spins: {idle} system calls in {QUIET:?} in which nothing happens"),
        Ok(came) => return Ok(came),
        Err(why) => why,
    };
    Err(format!("{why}\nit said:\n{}\nits last calls:\n{}", stage.told(), attached.trace.tail()))
}

/// The one call without which there is no loop.
///
/// # Errors
/// The server does not end as it should.
pub fn never_waits_again(call: &str, errno: &str) -> Result<String, String> {
    let mut stage = Stage::set(Scene::Sends);
    let _attached = Attached::to(stage.server.pid(), Some(Fault { call, errno, first: 1, last: None }))?;
    stage.provoke(Scene::Sends);
    let status = stage.server.wait();
    let told = stage.told();
    let sentence = told.lines().find_map(|line| line.strip_prefix("stillthere: the loop cannot go on: "));
    match (status.code(), sentence) {
        (Some(1), Some(sentence)) => Ok(format!("ends: the loop cannot go on: {sentence}")),
        _ => Err(format!("it ended with {status}, and said:\n{told}")),
    }
}

impl Stage {
    fn set(scene: Scene) -> Self {
        // A crowd's arrivals and departures are not told one by one: the log is not what is tested.
        let crowded = is_crowd(scene);
        let options = if crowded { [PORTS, &["--log", "info", "--deadline", "10m"]].concat() } else { PORTS.to_vec() };
        let server = Server::start(&options);
        let port = server.addresses[0];
        let mut steady: Vec<_> =
            (0..if scene == Scene::Disperses { 0 } else { 3 }).map(|_| Peer::connect(port)).collect();
        steady.iter_mut().for_each(Peer::echo);
        let actors = match scene {
            Scene::Comes | Scene::ComesFirst | Scene::Rushes | Scene::Asks | Scene::Stops => 0,
            Scene::Pours => 8,
            Scene::Crowds => CROWD,
            Scene::Disperses => CROWD + 20,
            _ => 1,
        };
        let mut actors: Vec<_> = (0..actors).map(|_| Peer::connect(port)).collect();
        actors.iter_mut().for_each(Peer::echo);
        if matches!(scene, Scene::Drinks | Scene::ResetsPaused) {
            actors.iter_mut().for_each(Peer::pour);
        }
        let accepted = steady.len() + actors.len();
        Self { server, steady, actors, accepted, departed: 0 }
    }

    fn provoke(&mut self, scene: Scene) {
        match scene {
            Scene::Sends => self.actors[0].send_one(),
            Scene::Drinks => self.actors[0].sip(),
            Scene::Pours => scope(|scope| {
                for actor in &mut self.actors {
                    scope.spawn(|| actor.pour());
                }
            }),
            Scene::Closes | Scene::Disperses => {
                self.departed += self.actors.len();
                self.actors.clear();
            }
            Scene::ResetsPaused => {
                self.departed += 1;
                self.actors.remove(0).reset();
            }
            Scene::Comes => self.come(0),
            Scene::ComesFirst => self.come(1),
            Scene::Rushes => (0..RUSH).for_each(|_| self.come(0)),
            Scene::Crowds => (0..20).for_each(|_| self.come(0)),
            Scene::Asks => self.server.signal("USR1"),
            Scene::Stops => self.server.signal("TERM"),
        }
    }

    fn come(&mut self, port: usize) {
        let mut peer = Peer::connect(self.server.addresses[port]);
        peer.send_one();
        self.actors.push(peer);
        self.accepted += 1;
    }

    fn stop(&mut self) -> Result<String, String> {
        // The listeners are closed, or the peers would not be told to go; an error of close(2) must
        // not change that.
        for (nth, peer) in self.steady.iter_mut().enumerate() {
            if !peer.is_let_go() {
                return Err(format!("peer {nth} was not told that the server stops"));
            }
        }
        let status = self.server.wait();
        if status.success() { Ok("stops as it should".to_string()) } else { Err(format!("it ended with {status}")) }
    }

    fn go_on(&mut self, scene: Scene, row: &Row, fault: Fault<'_>) -> Result<String, String> {
        // While the fault may still be there: nobody else notices.
        self.steady.iter_mut().for_each(Peer::echo);
        // A port is alive if it takes newcomers; those whom a "would block" left in the backlog come
        // with them.
        let newcomers: Vec<SocketAddr> = self.server.addresses.clone();
        let mut newcomers: Vec<_> = newcomers.into_iter().map(Peer::connect).collect();
        self.accepted += newcomers.len();
        newcomers.iter_mut().for_each(Peer::echo);
        self.steady.iter_mut().for_each(Peer::echo);

        let before = self.actors.len();
        self.actors.retain_mut(|actor| actor.is_served());
        let lost = before - self.actors.len();
        self.departed += lost;
        let may_be_lost = match row.names[0] {
            // It could not be registered, for whatever reason, and a peer that is never heard is let
            // go at once.
            "epoll_ctl" => 1,
            "recvfrom" | "sendto" if is_passing(fault.errno) => 0,
            "recvfrom" | "sendto" => 1,
            // Bytes that were read, and can be neither written nor kept: that peer cannot go on.
            _ if scene == Scene::Pours && fault.call.contains(',') => fault.last.unwrap_or_default(),
            _ => 0,
        };
        if lost > may_be_lost {
            return Err(format!("{lost} of those who met the fault were lost, of {may_be_lost} at most"));
        }
        let threads = fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap_or_default();
        if !threads.contains("Threads:\t1\n") {
            return Err("it has more than one thread".to_string());
        }
        self.check_figures(newcomers.len())?;
        Ok(match (scene, lost) {
            (Scene::Pours, 1..) => "some depart, once each; the others are served".to_string(),
            (_, 1..) => "that peer departs, once; the others are served".to_string(),
            (Scene::Closes | Scene::ResetsPaused | Scene::Disperses, _) => {
                "departs, once; the others are served".to_string()
            }
            _ => "all are served".to_string(),
        })
    }

    /// What it counted is what the test saw: nobody departed twice, nobody unseen.
    fn check_figures(&mut self, newcomers: usize) -> Result<(), String> {
        let connected = self.steady.len() + self.actors.len() + newcomers;
        let wanted = format!(" {connected} connected, {} accepted, ", self.accepted);
        let until = Instant::now() + STRIKE;
        loop {
            self.server.signal("USR1");
            let Some((_, figures)) = self.server.wait_for_within(" accepted, ", STRIKE) else {
                return Err("it does not answer SIGUSR1".to_string());
            };
            let departed = format!(" {} departed", self.departed);
            if figures.contains(&wanted) && figures.contains(&departed) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("the test saw{wanted} and{departed}, and the server {figures:?}"));
            }
            sleep(Duration::from_millis(50)); // a departure may be on its way
        }
    }

    fn most_calls(&self, scene: Scene) -> usize {
        let moved: usize = self.actors.iter().map(Peer::sent).sum();
        let crowd = match scene {
            Scene::Crowds | Scene::Disperses => CROWD,
            Scene::Rushes => RUSH,
            _ => 0,
        };
        CALLS + crowd * 10 + moved / BYTES_A_CALL
    }

    fn told(&mut self) -> String {
        self.server.wait_for_within("no line has this", Duration::from_millis(50));
        self.server.told()
    }
}

//! A fault while the server runs: it keeps the peers that it has, accepts new ones when the fault is
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

/// A server that spins under strace makes about ten thousand calls a second. A server that does not spin makes at most this
/// many calls in a scene, and one more for so many bytes.
const CALLS: usize = 1500;
const BYTES_A_CALL: usize = 4096;
/// When everything is over nothing happens, except for a timer or two that find nothing to do: at most so many calls in this
/// time.
const QUIET: Duration = Duration::from_millis(100);
const IDLE_CALLS: usize = 20;
/// How long to wait until the fault has been injected.
const STRIKE: Duration = Duration::from_secs(5);

fn is_crowd(scene: Scene) -> bool {
    matches!(scene, Scene::Crowds | Scene::Disperses | Scene::Rushes)
}

/// The right to have a crowd: this process does not have enough descriptors for the crowds of all trials at once.
struct Turn;

static CROWDS: (Mutex<usize>, Condvar) = (Mutex::new(MOST_CROWDS), Condvar::new());
/// Each crowd takes about 2 100 descriptors, and a process may have 20 000.
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

/// A server with peers, and what is done to it while a call fails.
struct Stage {
    server: Server,
    /// Peers that are connected from before the fault until its end.
    steady: Vec<Peer>,
    /// Peers that the fault may hit.
    actors: Vec<Peer>,
    /// How many peers the server must have accepted, and how many must have departed.
    accepted: usize,
    departed: usize,
}

/// Runs a scene under a fault, and returns what happened, in words.
///
/// # Errors
/// The fault was not injected, the server spins, or a promise was broken.
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
    // Under strace the remaining work may take a while: half a second after a write each peer of a crowd is checked, and on
    // a busy machine a line of figures is late. A server that spins never comes to rest.
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
        Ok(_) if calls > most => format!("it spins: {calls} system calls, at most {most} expected"),
        Ok(_) if idle > IDLE_CALLS => format!("it spins: {idle} system calls in {QUIET:?} while nothing happens"),
        Ok(came) => return Ok(came),
        Err(why) => why,
    };
    Err(format!("{why}\nit said:\n{}\nits last calls:\n{}", stage.told(), attached.trace.tail()))
}

/// The wait fails for ever: without it there is no loop.
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
        // The arrivals and departures of a crowd are not logged one by one, because the log is not tested here.
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
        // If a peer gets its FIN, the listeners have been closed before; an error of close(2) must not change that.
        for (nth, peer) in self.steady.iter_mut().enumerate() {
            if !peer.is_let_go() {
                return Err(format!("the connection of peer {nth} was not closed when the server stopped"));
            }
        }
        let status = self.server.wait();
        if status.success() { Ok("stops as it should".to_string()) } else { Err(format!("it ended with {status}")) }
    }

    fn go_on(&mut self, scene: Scene, row: &Row, fault: Fault<'_>) -> Result<String, String> {
        // The fault may still be active, but the other peers must not notice it.
        self.steady.iter_mut().for_each(Peer::echo);
        // A port works if it accepts newcomers; peers that an injected "would block" has left in the backlog are
        // accepted with them.
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
            // The peer could not be registered, for whatever reason. It could never be read from, so it is let go
            // immediately.
            "epoll_ctl" => 1,
            "recvfrom" | "sendto" if is_passing(fault.errno) => 0,
            "recvfrom" | "sendto" => 1,
            // Bytes were read that can be neither written nor kept, so that peer cannot be kept.
            _ if scene == Scene::Pours && fault.call.contains(',') => fault.last.unwrap_or_default(),
            _ => 0,
        };
        if lost > may_be_lost {
            return Err(format!("{lost} of the peers that the fault hit were lost, at most {may_be_lost} may be"));
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

    /// The server has counted what the test saw: no peer departed twice, or unnoticed.
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

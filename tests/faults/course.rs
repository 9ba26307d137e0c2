//! The recorded standard run of a server: which system calls it makes, and when.

use std::collections::BTreeSet;
use std::net::Shutdown;
use std::thread::{scope, sleep};
use std::time::Duration;

use crate::common::{Server, again};
use crate::peers::{CROWD, PORTS, Peer, RUSH};
use crate::strace::{Attached, Trace, call_of};

/// When a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// By the loader, the C library and Rust's own runtime, before `main`.
    BeforeMain,
    /// By the program, before its first wait.
    Start,
    /// After that.
    Running,
}

/// The system calls of a whole run, in order.
pub struct Course(Vec<(Stage, String)>);

impl Course {
    /// Runs a server through it, and records its calls.
    pub fn record() -> Self {
        let trace = Trace::new();
        let mut server = Server::start_with(trace.of_command(&Server::command(PORTS), None));
        live(&mut server);
        assert!(server.wait().success(), "an undisturbed server ends well; it logged:\n{}", server.told());
        let mut course = Self::read(&trace.text());
        let crowded = crowd();
        course.0.extend(crowded.lines().filter_map(call_of).map(|call| (Stage::Running, call.to_string())));
        course
    }

    fn read(trace: &str) -> Self {
        let lines: Vec<_> = trace.lines().filter(|line| call_of(line).is_some()).collect();
        let waits = |line: &&str| {
            call_of(line).is_some_and(|call| call.starts_with("epoll_wait") || call.starts_with("epoll_pwait"))
        };
        let running = lines.iter().position(waits).expect("it waited");
        // The last thing that Rust's runtime does before `main` is to install two handlers for a stack overflow.
        let main =
            lines[..running].iter().rposition(|line| line.contains("rt_sigaction(SIGBUS")).expect("a runtime") + 1;
        let stage = |nth| match nth {
            _ if nth < main => Stage::BeforeMain,
            _ if nth < running => Stage::Start,
            _ => Stage::Running,
        };
        let call = |line: &str| call_of(line).unwrap_or_default().to_string();
        Self(lines.iter().enumerate().map(|(nth, line)| (stage(nth), call(line))).collect())
    }

    /// The names of the calls of a stage, each once.
    pub fn calls(&self, stage: Stage) -> BTreeSet<&str> {
        self.0.iter().filter(|(when, _)| *when == stage).map(|(_, call)| call.as_str()).collect()
    }

    /// Which occurrences of a call, counted from 1 at the start of the process, belong to a stage.
    pub fn times(&self, stage: Stage, call: &str) -> Vec<usize> {
        let times = self.0.iter().filter(|(_, made)| made == call).enumerate();
        times.filter(|(_, (when, _))| *when == stage).map(|(nth, _)| nth + 1).collect()
    }
}

/// Everything that can happen to a server in a few seconds.
fn live(server: &mut Server) {
    let mut steady: Vec<_> = (0..6).map(|nth| Peer::connect(server.addresses[nth % 2])).collect();
    steady.iter_mut().for_each(Peer::echo);

    // Slow readers, then a half-close.
    let mut slow: Vec<_> = (0..8).map(|_| Peer::connect(server.addresses[0])).collect();
    scope(|scope| {
        for peer in &mut slow {
            scope.spawn(|| peer.pour());
        }
    });
    slow.iter_mut().for_each(|peer| peer.drink());
    for peer in &mut slow {
        peer.stream.shutdown(Shutdown::Write).expect("a peer can half-close");
        assert_eq!(again::read(&peer.stream, &mut [0]).expect("the end is orderly"), 0);
    }

    // A reset, and one from a peer that the server is not reading from.
    let mut reader = Peer::connect(server.addresses[0]);
    reader.echo();
    reader.reset();
    let mut paused = Peer::connect(server.addresses[0]);
    paused.pour();
    paused.reset();

    server.signal("USR1");
    server.wait_for(" accepted, ");
    steady.iter_mut().for_each(Peer::echo);
    server.signal("TERM");
}

/// What a server does when its table must grow while many peers arrive, and when the table is freed. Only that is
/// traced: the arrival of the two thousand peers before adds nothing new.
fn crowd() -> String {
    let server = Server::start(&[PORTS, &["--log", "info"]].concat());
    let mut peers: Vec<_> = (0..CROWD).map(|_| Peer::connect(server.addresses[0])).collect();
    peers.iter_mut().for_each(Peer::echo);
    let attached = Attached::to(server.pid(), None).expect("strace can attach: it was tried before");
    let mut more: Vec<_> = (0..RUSH).map(|_| Peer::connect(server.addresses[0])).collect();
    more.iter_mut().for_each(Peer::echo);
    drop((peers, more));
    sleep(Duration::from_secs(1));
    attached.trace.text()
}

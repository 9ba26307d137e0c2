//! `--drain DURATION`: a stop closes the peers one by one, evenly, and serves each until its turn comes.

mod common;

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

#[cfg(feature = "admin")]
use common::connect;
use common::greedy::Greedy;
use common::{Server, ask, raise_descriptor_limit};

/// Peers that are watched for their end. A look at all of them takes a few milliseconds.
struct Watched {
    peers: Vec<TcpStream>,
    since: Instant,
    /// When the peers ended, in the order in which they did.
    ends: Vec<Duration>,
}

impl Watched {
    fn connect(server: &Server, count: usize) -> Self {
        let mut peers: Vec<_> = (0..count).map(|_| server.connect()).collect();
        peers.iter_mut().for_each(|peer| ask(peer, b"here"));
        peers.iter().for_each(|peer| peer.set_nonblocking(true).unwrap());
        Self { peers, since: Instant::now(), ends: Vec::new() }
    }

    /// Watches until this time is over, or nobody is left.
    fn watch(&mut self, until: Duration) {
        while self.since.elapsed() < until && !self.peers.is_empty() {
            let (since, ends) = (self.since, &mut self.ends);
            self.peers.retain(|mut peer| match peer.read(&mut [0; 1]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => true,
                Ok(0) => {
                    ends.push(since.elapsed());
                    false
                }
                other => panic!("no orderly end: {other:?}"),
            });
            sleep(Duration::from_millis(5));
        }
    }

    /// How many have ended in each second.
    fn by_second(&self) -> Vec<usize> {
        let last = self.ends.last().map_or(0, |end| end.as_secs() as usize);
        (0..=last).map(|second| self.ends.iter().filter(|end| end.as_secs() as usize == second).count()).collect()
    }
}

fn is_served(peer: Option<&mut TcpStream>) {
    let peer = peer.expect("the last one is still there");
    peer.set_nonblocking(false).unwrap();
    ask(peer, b"and still served");
    peer.set_nonblocking(true).unwrap();
}

/// The CPU time of the server, in clock ticks of a hundredth of a second.
fn cpu_time(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("the server runs");
    let fields: Vec<_> = stat.rsplit_once(')').expect("its name is in parentheses").1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn the_closes_are_even_and_whoever_waits_is_served() {
    const PEERS: usize = 3000;
    const SECONDS: u64 = 6;
    raise_descriptor_limit(PEERS as u64 + 200);
    let mut server = Server::start(&["--drain", "6s", "--log", "info"]);
    let mut crowd = Watched::connect(&server, PEERS);
    let before = cpu_time(&server);
    crowd.since = Instant::now();
    server.signal("TERM");
    server.wait_for("SIGTERM: drains; the peers are closed one by one over 6s, and each then has 10s");
    for second in 1..SECONDS {
        crowd.watch(Duration::from_secs(second));
        is_served(crowd.peers.last_mut());
        let refused = TcpStream::connect(server.address()).expect_err("no newcomer is accepted");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    let used = cpu_time(&server) - before;
    crowd.watch(Duration::from_secs(60));
    let by_second = crowd.by_second();
    println!("{PEERS} peers over {SECONDS} s, closes a second: {by_second:?}; {used} ticks of CPU time");
    assert_eq!(server.wait().code(), Some(0));
    let share = PEERS / SECONDS as usize;
    let even = |count: &usize| (share * 7 / 10..=share * 13 / 10).contains(count);
    assert!(by_second[..SECONDS as usize].iter().all(even), "{share} a second were to be closed: {by_second:?}");
    assert_eq!(crowd.ends.len(), PEERS);
    // Each close costs a wake-up; a loop that spins would use all of five seconds.
    assert!(used < 250, "{used} hundredths of a second of CPU time in 5 s");
}

/// Half of them leave by themselves: the others are still closed until the end, and not in the first half.
#[test]
fn who_leaves_meanwhile_makes_the_others_turns_come_later() {
    let mut server = Server::start(&["--drain", "6s", "--log", "info"]);
    let mut crowd = Watched::connect(&server, 600);
    crowd.since = Instant::now();
    server.signal("TERM");
    server.wait_for("SIGTERM: drains");
    // The last slots' peers leave, which would have had their turn last.
    crowd.peers.truncate(300);
    crowd.watch(Duration::from_secs(60));
    let by_second = crowd.by_second();
    println!("300 of 600 leave at once, closes a second: {by_second:?}");
    assert!(crowd.ends.last().is_some_and(|last| last.as_secs_f64() > 4.5), "{by_second:?}");
    assert!(by_second.iter().skip(1).take(4).all(|count| (20..80).contains(count)), "{by_second:?}");
    assert_eq!(server.wait().code(), Some(0));
}

/// Whoever does not read is let go a grace after its own turn, and not at the end.
#[test]
fn each_has_its_own_grace() {
    let mut server = Server::start(&["--drain", "8s", "--grace", "1s"]);
    let mut stuck = Greedy::connect(server.address(), 1);
    stuck.pour(usize::MAX);
    let mut crowd = Watched::connect(&server, 3);
    crowd.since = Instant::now();
    server.signal("TERM");
    let (told, _) = server.wait_for("some output was not acknowledged by 1 peer");
    let after = told.duration_since(crowd.since);
    assert!((Duration::from_millis(900)..Duration::from_secs(3)).contains(&after), "{after:?}");
    assert_eq!(crowd.peers.len(), 3);
    is_served(crowd.peers.last_mut());
    crowd.watch(Duration::from_secs(60));
    let ends: Vec<_> = crowd.ends.iter().map(Duration::as_secs).collect();
    assert!(crowd.ends.iter().zip([2, 4, 6]).all(|(end, wanted)| end.as_secs().abs_diff(wanted) <= 1), "{ends:?}");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start(&["--drain", "1h"]);
    let mut peers: Vec<_> = (0..3).map(|_| server.connect()).collect();
    peers.iter_mut().for_each(|peer| ask(peer, b"here"));
    server.signal("TERM");
    server.wait_for("SIGTERM: drains");
    ask(&mut peers[2], b"served");
    server.signal("INT");
    server.wait_for("SIGINT while stopping: ends at once");
    server.wait_for("3 peers cut off"); // the first has not answered its FIN
    assert_eq!(server.wait().code(), Some(1));
}

/// Nobody is there: nobody is waited for.
#[test]
fn an_empty_server_ends_at_once_and_a_last_peer_that_leaves_ends_it() {
    let mut server = Server::start(&["--drain", "1h"]);
    server.signal("TERM");
    server.wait_for("stopped: 0 connected");
    assert_eq!(server.wait().code(), Some(0));
    let mut server = Server::start(&["--drain", "1h"]);
    let mut peers: Vec<_> = (0..3).map(|_| server.connect()).collect();
    peers.iter_mut().for_each(|peer| ask(peer, b"here"));
    server.signal("TERM");
    server.wait_for("SIGTERM: drains");
    drop(peers);
    assert_eq!(server.wait().code(), Some(0));
}

/// A loop that was stopped in the middle (a debugger, a frozen container) closes no crowd when it goes on.
#[test]
fn a_loop_that_was_stopped_catches_up_evenly() {
    let mut server = Server::start(&["--drain", "8s", "--log", "info"]);
    let mut crowd = Watched::connect(&server, 800);
    crowd.since = Instant::now();
    server.signal("TERM");
    server.wait_for("SIGTERM: drains");
    server.signal("STOP");
    crowd.watch(Duration::from_secs(4));
    server.signal("CONT");
    let before = crowd.peers.len();
    // For a second nothing is judged (`reactor/time/hearing.rs`). Then 500 are late.
    crowd.watch(Duration::from_millis(5600));
    let closed = before - crowd.peers.len();
    assert!((1..350).contains(&closed), "{closed} of {before} were closed at once, when the loop went on");
    crowd.watch(Duration::from_secs(60));
    println!("stopped for four seconds, closes a second: {:?}", crowd.by_second());
    assert_eq!(server.wait().code(), Some(0));
}

#[cfg(feature = "admin")]
#[test]
fn readyz_says_no_and_the_admin_port_watches() {
    use common::http;
    let mut server = Server::start(&["--drain", "4s", "--admin", "127.0.0.1:0"]);
    let admin = http::admin(&mut server);
    let _peers: Vec<_> = (0..4).map(|_| connect(server.address())).collect();
    server.wait_for(" arrived");
    assert_eq!(http::send(admin, "GET", "/readyz").status, 200);
    server.signal("TERM");
    server.wait_for("SIGTERM: drains");
    let answer = http::send(admin, "GET", "/readyz");
    assert_eq!((answer.status, answer.body.as_str()), (503, "draining\n"));
    assert_eq!(http::send(admin, "GET", "/healthz").status, 200);
    assert_eq!(server.wait().code(), Some(0));
}

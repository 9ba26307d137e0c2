//! What a server owes its peers beside bytes goes on: pings, the time in which a peer must speak, limits; and it does so as PID 1, and in
//! the lab.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{PATIENCE, Server, ask, exchange, http};
use crate::look;
use crate::program::{REFUSED, UPGRADED, count, find, is_refused, upgrade};
use crate::story::Directory;

/// Peers answer pings that come in pieces around upgrades, and ask for themselves; none is let go but one that says nothing.
pub fn heartbeat() {
    let mut server =
        Server::start(&["--service", "heartbeat", "--heartbeat", "400ms", "--heartbeat-timeout", "1500ms"]);
    let stops = AtomicBool::new(false);
    let address = server.address();
    thread::scope(|scope| {
        let stops = &stops;
        let answering: Vec<_> =
            (0..8).map(|nth| scope.spawn(move || answer(crate::common::connect(address), nth, stops))).collect();
        let until = Instant::now() + Duration::from_secs(4);
        while Instant::now() < until {
            upgrade(&mut server);
            sleep(Duration::from_millis(130));
        }
        stops.store(true, Ordering::Relaxed);
        let pings: Vec<_> = answering.into_iter().map(|thread| thread.join().expect("it is never let go")).collect();
        println!("{pings:?} pings were answered");
        assert!(pings.iter().all(|pings| *pings >= 2), "{pings:?}");
    });
    // One that says nothing is let go when it would have been without upgrades: it is asked after 0.4 s, and given 1.5 s.
    let arrived = server.log.len();
    let silent = server.connect();
    server.wait_for(" arrived");
    let since = Instant::now();
    for _ in 0..4 {
        sleep(Duration::from_millis(300));
        upgrade(&mut server);
    }
    let port = format!(":{} departed: ", silent.local_addr().unwrap().port());
    let (told, line) = find(&mut server, &port);
    let took = (told - since).as_secs_f64();
    println!("{line}");
    assert!((1.8..2.9).contains(&took), "{took} s: {line}");
    assert!(server.log[arrived..].iter().filter(|(_, line)| line.contains(UPGRADED)).count() == 4);
}

/// Answers each ping, and asks now and then. How many pings came.
fn answer(stream: TcpStream, nth: u64, stops: &AtomicBool) -> u32 {
    let (mut to, mut lines) = (stream.try_clone().unwrap(), BufReader::new(stream).lines());
    let mut pings = 0;
    while !stops.load(Ordering::Relaxed) {
        let line = lines.next().expect("it is not closed").expect("it is not reset");
        let (word, number) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} is torn"));
        assert!(word == "PING" && number.parse::<u32>().is_ok(), "{line:?} is torn");
        // In two pieces: the first half may come to one program, and the second to the next.
        let text = format!("PONG {number}\nPI");
        to.write_all(text.as_bytes()).unwrap();
        sleep(Duration::from_millis(40 + nth * 10));
        to.write_all(format!("NG 7{pings}\n").as_bytes()).unwrap();
        let answer = lines.next().expect("it is not closed").expect("it is not reset");
        assert_eq!(answer, format!("PONG 7{pings}"));
        pings += 1;
    }
    pings
}

/// The time in which a peer must speak goes on, and does not begin anew.
pub fn expect() {
    let mut server = Server::start(&["--expect", "2s"]);
    let mut speaks = server.connect();
    exchange(&mut speaks);
    let silent = server.connect();
    server.wait_for(&format!(":{} arrived", silent.local_addr().unwrap().port()));
    let since = Instant::now();
    for _ in 0..5 {
        sleep(Duration::from_millis(300));
        exchange(&mut speaks);
        upgrade(&mut server);
    }
    let (told, line) = find(&mut server, &format!(":{} departed: ", silent.local_addr().unwrap().port()));
    let took = (told - since).as_secs_f64();
    println!("{line}");
    assert!((1.95..2.6).contains(&took), "{took} s: {line}");
    exchange(&mut speaks);
}

/// The configuration is read anew: what it changes holds for old peers, and a broken one is refused.
pub fn configuration() {
    let directory = Directory::new();
    let file = directory.path("configuration");
    fs::write(&file, "log debug\n").unwrap();
    let mut server = Server::start(&["--config", &file, "--admin", "localhost:0"]);
    let admin = http::admin(&mut server);
    let mut peer = server.connect();
    exchange(&mut peer);
    let mut reads_nothing = crate::common::greedy::Greedy::connect(server.address(), 1);
    reads_nothing.pour(64 << 20);
    for (nth, (text, parts)) in [
        ("log debug\nno-such-option 3\n", &["no-such-option", ":2"][..]),
        ("deadline soon\n", &["deadline", "soon", ":1"]),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(&file, text).unwrap();
        let sentence = is_refused(&mut server);
        println!("{sentence}");
        assert!(parts.iter().all(|part| sentence.contains(part)), "{sentence} has not {parts:?}");
        assert_eq!(count(&mut server, REFUSED), nth + 1, "{}", server.told());
        exchange(&mut peer);
    }
    // A limit that there was not: a peer that takes nothing of what waits for it is let go, also an old one; and so many may come.
    fs::write(&file, "log debug\nstalled 2s\nmax-connections 5\n").unwrap();
    upgrade(&mut server);
    let (_, line) = server.wait_for(" departed: ");
    println!("{line}");
    assert!(line.contains("took nothing") || line.contains("stalled"), "{line}");
    exchange(&mut peer);
    assert_eq!(look::metric(admin, "stillthere_peers_limit"), 5.0);
    // A longer one for the same file, at another time.
    fs::write(&file, "log debug\nexpect 1s\n").unwrap();
    upgrade(&mut server);
    exchange(&mut peer);
    server.wait_for(" departed: ");
}

/// The options of an old peer's socket, as the kernel tells them: keepalive's timer runs with the new deadline.
pub fn timers() {
    let directory = Directory::new();
    let file = directory.path("configuration");
    fs::write(&file, "deadline 1h\nlog debug\n").unwrap();
    let mut server = Server::start(&["--config", &file]);
    let mut peers: Vec<_> = (0..300).map(|_| server.connect()).collect();
    peers.iter_mut().for_each(exchange);
    let timers = || {
        let port = format!("sport = :{}", server_port(&peers[0]));
        let told =
            Command::new("ss").args(["-Hton", "state", "established", &port]).output().expect("ss of iproute2 runs");
        let told = String::from_utf8(told.stdout).unwrap();
        let timers = told
            .lines()
            .filter_map(|line| line.split_once("timer:(keepalive,")?.1.split(',').next().map(str::to_string));
        timers.collect::<Vec<_>>()
    };
    let before = timers();
    assert!(before.len() == 300 && before.iter().all(|timer| timer.contains("min")), "{before:?}");
    fs::write(&file, "deadline 10s\nlog debug\n").unwrap();
    upgrade(&mut server);
    // They are set within a budget of each turn.
    sleep(Duration::from_secs(1));
    let after = timers();
    println!("{:?}, then {:?}", before.first(), after.first());
    assert!(
        after.len() == 300 && after.iter().all(|timer| timer.ends_with("sec") || timer.ends_with("ms")),
        "{after:?}"
    );
    peers.iter_mut().for_each(exchange);
}

fn server_port(peer: &TcpStream) -> u16 {
    peer.peer_addr().expect("it is connected").port()
}

/// A server that is PID 1 of a namespace of its own, as in a container. Everything is ended with the first process.
struct First {
    child: Child,
    /// Its pid out here.
    pid: Pid,
    lines: Receiver<String>,
}

impl Drop for First {
    fn drop(&mut self) {
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl First {
    fn start() -> Self {
        let mut command = Command::new("unshare");
        command.args([
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--kill-child",
            env!("CARGO_BIN_EXE_stillthere"),
        ]);
        command.args(["serve", "127.0.0.1:0", "--log", "info", "--admin", "localhost:0"]);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("unshare runs");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let until = Instant::now() + PATIENCE;
        let pid = loop {
            let path = format!("/proc/{0}/task/{0}/children", child.id());
            let told = fs::read_to_string(path).unwrap_or_default();
            if let Some(pid) = told.split_whitespace().next().and_then(|pid| Pid::from_raw(pid.parse().ok()?)) {
                break pid;
            }
            assert!(Instant::now() < until, "unshare starts nothing: {:?}", child.try_wait());
            sleep(Duration::from_millis(5));
        };
        Self { child, pid, lines }
    }

    fn wait_for(&mut self, part: &str) -> String {
        let mut told = String::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if line.contains(part) {
                return line;
            }
            told += &(line + "\n");
        }
        panic!("it never logged {part:?}, but {told}");
    }
}

pub fn first_missing() -> Option<String> {
    let unshare = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "true"];
    let output = Command::new("unshare").args(unshare).output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("`unshare --user --pid`: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("unshare cannot be run ({error}): `apt-get install util-linux` installs it")),
    }
}

pub fn first() {
    let mut first = First::start();
    let told = first.wait_for("admin port on http://");
    let admin = told.split_once("http://").unwrap().1.trim_end_matches('/').parse().unwrap();
    let told = first.wait_for(" listens on ");
    assert!(told.contains("(pid 1)"), "{told}");
    let address = told.split_once(" listens on ").unwrap().1.split(',').next().unwrap().parse().unwrap();
    let mut peers: Vec<_> = (0..20).map(|_| crate::common::connect(address)).collect();
    peers.iter_mut().for_each(|peer| ask(peer, b"before"));
    let known = look::peers(admin);
    for nth in 1..=5 {
        kill_process(first.pid, Signal::USR2).expect("it runs");
        let line = first.wait_for(UPGRADED);
        assert!(line.ends_with(&format!("20 peers stay (generation {nth})")), "{line}");
        peers.iter_mut().for_each(exchange);
    }
    assert_eq!(look::upgrade(admin)["pid"], 1);
    for (address, peer) in look::peers(admin) {
        assert_eq!(peer.id, known[&address].id);
    }
    // It waits for its rehearsals: nobody else is there who would.
    let path = format!("/proc/{0}/task/{0}/children", first.pid.as_raw_nonzero());
    assert_eq!(fs::read_to_string(path).unwrap().trim(), "", "a child is left");
    kill_process(first.pid, Signal::TERM).expect("it runs");
    first.wait_for("stopped: ");
}

/// Scenes of the lab, each with a server that is upgraded ten times while it is played.
pub fn lab() {
    let program = env!("CARGO_BIN_EXE_stillthere");
    let directory = Directory::new();
    let script = directory.path("serve");
    let again = "(for nth in 1 2 3 4 5 6 7 8 9 10; do sleep 0.5; kill -USR2 $$ || exit; done) &";
    fs::write(&script, format!("#!/bin/sh\n{again}\nexec '{program}' serve \"$@\"\n")).unwrap();
    let log = directory.path("log");
    let server = format!("sh {script} {{addr}}:{{port}} --deadline 5s --log info 2>>{log}");
    let scenes = ["matrix", "black-hole", "rebooted", "none", "in-flight/host-unreachable", "idle/frozen"];
    let mut command = Command::new(program);
    command.arg("lab").args(scenes).args(["--deadline", "5s", "--keep", "12s", "--jobs", "30", "--server", &server]);
    let output = command.stdin(Stdio::null()).output().expect("the lab starts");
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("{told}");
    assert!(output.status.success() && told.contains("kept their promise"), "{told}");
    let log = fs::read_to_string(log).unwrap();
    let upgrades = log.lines().filter(|line| line.contains(UPGRADED)).count();
    println!("{upgrades} upgrades");
    assert!(upgrades > 60 && !log.contains(REFUSED), "{log}");
}

//! Each example as a whole program, and somebody who talks to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Its unit test runs with these.
#[path = "../examples/tested.rs"]
#[allow(dead_code, reason = "its main is the example's")]
mod tested_example;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running example. It ends with this value.
struct Example {
    child: Child,
    address: String,
}

impl Example {
    fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    fn start_with(name: &str, more: &[&str]) -> Self {
        // Cargo builds the examples beside the tests: target/debug/examples and target/debug/deps.
        let mut path = std::env::current_exe().expect("a test is a file");
        path.pop();
        path.pop();
        let mut command = Command::new(path.join("examples").join(name));
        let child = command.arg("127.0.0.1:0").args(more).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("`cargo test` builds the examples; for one test alone, `cargo build --examples`");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().strip_prefix("listening on ").expect("its first line").to_string();
        Self { child, address }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        BufReader::new(stream)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hears(peer: &mut BufReader<TcpStream>, wanted: &str) {
    let mut line = String::new();
    peer.read_line(&mut line).expect("a line comes in time");
    assert_eq!(line, format!("{wanted}\n"));
}

#[test]
fn chat() {
    let chat = Example::start("chat");
    let mut first = chat.connect();
    hears(&mut first, "you are 1; 0 others are here");
    let mut second = chat.connect();
    hears(&mut second, "you are 2; 1 others are here");
    hears(&mut first, "* 2 came");
    let mut third = chat.connect();
    hears(&mut third, "you are 3; 2 others are here");
    hears(&mut first, "* 3 came");
    hears(&mut second, "* 3 came");
    // In pieces, and two lines at once; nobody hears himself.
    first.get_mut().write_all(b"hel").unwrap();
    second.get_mut().write_all(b"one\ntwo\n").unwrap();
    hears(&mut first, "2: one");
    first.get_mut().write_all(b"lo\n").unwrap();
    hears(&mut first, "2: two");
    for wanted in ["2: one", "2: two", "1: hello"] {
        hears(&mut third, wanted);
    }
    hears(&mut second, "1: hello");
    third.get_mut().shutdown(Shutdown::Write).unwrap();
    hears(&mut first, "* 3 left: closed by the peer");
    hears(&mut second, "* 3 left: closed by the peer");
    // A line without an end is not kept for ever.
    second.get_mut().write_all(&[b'x'; 5000]).unwrap();
    hears(&mut first, "* 2 left: its line was too long");
}

#[test]
fn presence() {
    let presence = Example::start("presence");
    let [mut first, mut second] = [presence.connect(), presence.connect()];
    first.get_mut().write_all(b"NAME Ada\n").unwrap();
    second.get_mut().write_all(b"WHAT\nNAME Grace\n").unwrap();
    hears(&mut second, "NAME x or WHO");
    // Both have spoken just now; their kernels' silence is a time with one decimal.
    first.get_mut().write_all(b"WHO\n").unwrap();
    let mut said = Vec::new();
    loop {
        let mut line = String::new();
        first.read_line(&mut line).expect("a line comes in time");
        if line == "end\n" {
            break;
        }
        let (name, silence) = line.trim_end().split_once(" silent ").expect("a name and a silence");
        let seconds: f64 = silence.strip_suffix(" s").and_then(|seconds| seconds.parse().ok()).expect("seconds");
        assert!(seconds < 10.0, "{line}");
        said.push(name.to_string());
    }
    assert_eq!(said, ["Ada", "Grace"]);
    drop(second);
    let started = Instant::now();
    loop {
        first.get_mut().write_all(b"WHO\n").unwrap();
        let mut line = String::new();
        first.read_line(&mut line).unwrap();
        assert!(line.starts_with("Ada"), "{line}");
        line.clear();
        first.read_line(&mut line).unwrap();
        if line == "end\n" {
            return;
        }
        first.read_line(&mut line).unwrap();
        assert!(started.elapsed() < PATIENCE, "still there: {line}");
    }
}

/// The very thing that was wrong: a time-out that is set after the arrival, to less than the one at the arrival.
#[test]
fn timeouts() {
    let timeouts = Example::start("timeouts");
    let mut peer = timeouts.connect();
    let started = Instant::now();
    peer.get_mut().write_all(b"CONNECT 2\n").unwrap();
    hears(&mut peer, "OK");
    let ended = peer.read_to_end(&mut Vec::new());
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    let kept = started.elapsed();
    assert!(kept >= Duration::from_secs(3) && kept < Duration::from_secs(6), "let go after {kept:?} instead of 3 s");
}

#[test]
fn forward() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = upstream.local_addr().unwrap().to_string();
    let redis = std::thread::spawn(move || {
        for stream in upstream.incoming().take(2) {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|count| count > 0) {
                stream
                    .get_mut()
                    .write_all(format!("+{}\r\n", line.trim_end().replace("PING", "PONG")).as_bytes())
                    .unwrap();
                line.clear();
            }
        }
    });
    let forward = Example::start_with("forward", &[&to]);
    for n in 0..2 {
        let mut peer = forward.connect();
        // It is sent before the upstream is connected.
        peer.get_mut().write_all(format!("PING {n}\r\nPING again\r\n").as_bytes()).unwrap();
        hears(&mut peer, &format!("+PONG {n}\r"));
        hears(&mut peer, "+PONG again\r");
    }
    redis.join().expect("each upstream connection was closed with its peer");
    // Nobody listens there any more.
    let mut peer = forward.connect();
    let ended = peer.read_to_end(&mut Vec::new());
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[test]
fn tested() {
    let tested = Example::start("tested");
    let [mut first, mut second] = [tested.connect(), tested.connect()];
    second.get_mut().write_all(b"x\n").unwrap();
    hears(&mut second, "ADD n is wanted");
    hears(&mut second, "0");
    first.get_mut().write_all(b"ADD 2\n").unwrap();
    hears(&mut first, "0");
    hears(&mut first, "2");
    hears(&mut second, "2");
}

/// Another program goes on, twice, and the peers notice nothing.
#[test]
#[cfg(feature = "upgrade")]
fn upgraded() {
    let upgraded = Example::start("upgraded");
    let [mut first, mut second] = [upgraded.connect(), upgraded.connect()];
    let pid = upgraded.child.id().to_string();
    let execution = || std::fs::read(format!("/proc/{pid}/auxv")).unwrap();
    for round in 0..3 {
        for nth in 1..=2 {
            first.get_mut().write_all(b"x\n").unwrap();
            hears(&mut first, &format!("{} of {}", 2 * round + nth, 3 * round + nth));
        }
        second.get_mut().write_all(b"x\n").unwrap();
        hears(&mut second, &format!("{} of {}", round + 1, 3 * round + 3));
        let before = execution();
        assert!(Command::new("kill").args(["-s", "USR2", &pid]).status().unwrap().success());
        let until = std::time::Instant::now() + PATIENCE;
        while execution() == before {
            assert!(std::time::Instant::now() < until, "no other program goes on");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

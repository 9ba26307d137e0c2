//! How many system calls the server makes: none when nothing happens, and few when something does.
//!
//! strace counts them. Where it is missing or may not trace, these tests are reported as ignored, and stderr says why.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use common::again::fill;
use common::{Server, again, descriptors, exchange, raise_descriptor_limit, status};
use libtest_mimic::{Arguments, Trial};
use socket2::{Domain, Socket, Type};

const TEN_SECONDS: Duration = Duration::from_secs(10);

fn main() {
    let missing = missing();
    if let Some(missing) = &missing {
        eprintln!("\nNOT RUN: {missing}. These tests are ignored; they have not passed.\n");
    }
    let tests: [(&str, fn()); 8] = [
        ("no_system_call_in_ten_idle_seconds_with_5000_peers", idle),
        ("nothing_spins_at_the_limit", at_the_limit),
        ("nothing_spins_without_descriptors", without_descriptors),
        ("accepting_costs_two_calls_and_an_exchange_three", costs),
        ("a_long_echo_takes_few_calls_and_none_reads_to_where_it_is_slow", long),
        ("a_peer_is_registered_for_writing_once_and_only_when_output_waits", writing),
        ("an_option_is_set_if_it_can_be_read_back", sandbox),
        ("a_shut_window_costs_a_check_an_interval", shut_windows),
    ];
    let trials = tests.map(|(name, run)| {
        let run = move || {
            run();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

fn missing() -> Option<String> {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    match traced {
        Ok(status) if status.success() => None,
        Ok(_) => {
            Some("strace may not trace here (see kernel.yama.ptrace_scope, or the container's seccomp profile)".into())
        }
        Err(error) => Some(format!("strace cannot be run ({error}): `apt-get install strace` installs it")),
    }
}

/// The system calls that a process makes while `during` runs, as printed by strace.
fn traced(pid: u32, options: &[&str], during: impl FnOnce()) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path: PathBuf = std::env::temp_dir().join(format!("stillthere-calls-{}-{number}", std::process::id()));
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-e", "signal=none"])
        .args(options)
        .arg("-o")
        .arg(&path)
        .args(["-p", &pid.to_string()])
        .spawn()
        .expect("strace runs");
    while status(pid, "TracerPid") == 0 {
        sleep(Duration::from_millis(10));
    }
    sleep(Duration::from_millis(200));
    during();
    // SIGINT lets strace detach and write what it has.
    let interrupted = Command::new("kill").args(["-s", "INT", &strace.id().to_string()]).status();
    assert!(interrupted.is_ok_and(|status| status.success()));
    strace.wait().expect("strace ends");
    let told = std::fs::read_to_string(&path).expect("strace wrote its file");
    let _ = std::fs::remove_file(&path);
    told
}

/// The same, counted by name.
struct Counts(Vec<(String, u64)>);

impl Counts {
    fn of(pid: u32, during: impl FnOnce()) -> Self {
        Self::told(&traced(pid, &[], during))
    }

    fn told(told: &str) -> Self {
        let mut counts = Self(Vec::new());
        // "123 epoll_wait(3, ..."
        for line in told.lines().filter(|line| again::is_its_own(line)) {
            let Some((name, _)) = line.split_once(' ').and_then(|(_, call)| call.trim_start().split_once('(')) else {
                continue;
            };
            match counts.0.iter_mut().find(|(known, _)| known == name) {
                Some((_, count)) => *count += 1,
                None => counts.0.push((name.to_string(), 1)),
            }
        }
        counts
    }

    fn count(&self, name: &str) -> u64 {
        self.0.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count)
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

fn idle() {
    raise_descriptor_limit(6000);
    // The peers are probed after five seconds of silence, and still nothing in user space wakes up.
    // Nobody asks the admin port.
    let admin: &[&str] = if cfg!(feature = "admin") { &["--admin", "localhost:0"] } else { &[] };
    let server = Server::start(&[&["--log", "info"], admin].concat());
    let mut peers: Vec<_> = (0..5000).map(|_| server.connect()).collect();
    peers.iter_mut().take(100).for_each(exchange);
    sleep(Duration::from_secs(1));
    let woken = status(server.pid(), "voluntary_ctxt_switches");
    let counts = Counts::of(server.pid(), || sleep(TEN_SECONDS));
    println!("5000 idle peers, ten seconds: {:?}", counts.0);
    assert_eq!(counts.total(), 0, "{:?}", counts.0);
    // strace interrupts the wait when it attaches and detaches.
    assert!(status(server.pid(), "voluntary_ctxt_switches") - woken < 20);
    peers.iter_mut().for_each(exchange);
}

fn at_the_limit() {
    let mut server = Server::start(&["--max-connections", "10"]);
    let mut peers: Vec<_> = (0..30).map(|_| server.connect()).collect();
    server.wait_for("the limit of 10 connections is reached");
    peers.iter_mut().take(10).for_each(exchange);
    sleep(Duration::from_secs(1));
    let counts = Counts::of(server.pid(), || sleep(TEN_SECONDS));
    println!("10 peers at a limit of 10, 20 waiting, ten seconds: {:?}", counts.0);
    assert_eq!(counts.total(), 0, "{:?}", counts.0);
}

fn without_descriptors() {
    let mut command = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_stillthere");
    command.args(["-c", &format!("ulimit -n 40; exec {binary} serve 127.0.0.1:0 --max-connections 1000")]);
    let mut server = Server::start_with(command);
    let _peers: Vec<_> = (0..60).map(|_| server.connect()).collect();
    server.wait_for("accepting on 127.0.0.1:0 pauses");
    let counts = Counts::of(server.pid(), || sleep(TEN_SECONDS));
    println!("out of descriptors, others waiting, ten seconds: {:?}", counts.0);
    assert!(counts.count("accept4") >= 5, "accepting is tried again now and then: {:?}", counts.0);
    assert!(counts.total() <= 60, "about two calls a second: {:?}", counts.0);
}

fn costs() {
    let server = Server::start(&["--log", "info"]);
    exchange(&mut server.connect()); // on the first one it is checked whether options are inherited
    sleep(Duration::from_secs(2)); // until its departure is logged
    let mut peers = Vec::new();
    let before = descriptors(server.pid());
    let counts = Counts::of(server.pid(), || {
        peers = (0..200).map(|_| server.connect()).collect();
        while descriptors(server.pid()) < before + 200 {
            sleep(Duration::from_millis(10)); // connected, but still in the backlog
        }
        sleep(Duration::from_millis(200));
    });
    println!("200 arrivals: {:?}", counts.0);
    let (accepts, waits) = (counts.count("accept4"), counts.count("epoll_wait"));
    assert_eq!(counts.count("epoll_ctl"), 200);
    // A batch of arrivals ends with an accept4 that finds no peer, at most once for each wait.
    assert!((200..=200 + waits).contains(&accepts), "{:?}", counts.0);
    assert_eq!(counts.total(), 200 + accepts + waits, "and nothing else: {:?}", counts.0);
    let mut peer = peers.swap_remove(0);
    let counts = Counts::of(server.pid(), || (0..200).for_each(|_| exchange(&mut peer)));
    println!("200 exchanges: {:?}", counts.0);
    assert_eq!((counts.count("recvfrom"), counts.count("sendto")), (200, 200), "{:?}", counts.0);
    assert!(counts.total() <= 602, "wait, read and write: {:?}", counts.0);
}

/// A read of what was sent in whole pages takes twice as long if the buffer begins sixteen bytes into a page, as an allocation
/// that the C library maps does (`docs/facts.md`).
fn long() {
    let server = Server::start(&["--log", "info"]);
    let mut peer = server.connect();
    for (size, most) in [(16 * 1024, 1.1), (256 * 1024, 8.0)] {
        let question = vec![7; size];
        let mut answer = vec![0; size];
        let told = traced(server.pid(), &["-e", "raw=recvfrom"], || {
            for _ in 0..100 {
                peer.write_all(&question).unwrap();
                peer.read_exact(&mut answer).unwrap();
            }
        });
        assert!(answer == question);
        let counts = Counts::told(&told);
        println!("100 echoes of {size} bytes: {:?}", counts.0);
        for name in ["recvfrom", "sendto"] {
            assert!(counts.count(name) as f64 <= 100.0 * most, "{size} bytes: {:?}", counts.0);
        }
        // "123 recvfrom(0x5, 0x7f0123456040, 0x10000, 0, 0, 0) = 0x4000"
        let places = told.lines().filter_map(|line| line.split_once("recvfrom(")?.1.split(", 0x").nth(1));
        let places = places.map(|place| usize::from_str_radix(place, 16).expect("an address") % 4096);
        assert!(places.clone().count() >= 100, "{told}");
        places.for_each(|place| assert_eq!(place, 64, "the offset of the read buffer in its page"));
    }
}

fn writing() {
    let server = Server::start(&["--log", "info"]);
    let mut peer = server.connect();
    exchange(&mut peer);
    let counts = Counts::of(server.pid(), || {
        // The peer fills all buffers without reading, then reads everything, and does the same again.
        for _ in 0..2 {
            let sent = fill(&peer, usize::MAX);
            let mut echoed = 0;
            let mut buffer = vec![0; 1 << 20];
            peer.set_read_timeout(Some(common::PATIENCE)).unwrap();
            while echoed < sent {
                let count = again::read(&peer, &mut buffer).unwrap();
                assert!(count > 0 && buffer[..count].iter().all(|byte| *byte == b'x'), "{echoed} of {sent} bytes");
                echoed += count;
            }
        }
    });
    println!("output waits twice: {:?}", counts.0);
    assert_eq!(counts.count("epoll_ctl"), 1, "{:?}", counts.0);
}

/// A thousand peers that do not read cost a check an interval each, and a setsockopt if the kernel must be made to probe.
/// (That the checks are spread is tested in `reactor/peers/due.rs`, because under strace a turn is slow.)
fn shut_windows() {
    const PEERS: u64 = 1000;
    const SECONDS: u64 = 5;
    raise_descriptor_limit(3000);
    for (user_timeout, settings) in [("auto", 0), ("sliding", 1)] {
        let server = Server::start(&["--deadline", "5s", "--user-timeout", user_timeout, "--log", "info"]);
        let mut peers = Vec::new();
        for _ in 0..PEERS {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            socket.connect(&server.address().into()).unwrap();
            let mut peer = TcpStream::from(socket);
            peer.write_all(&[7; 16_000]).unwrap(); // a longer echo than its buffer holds
            peers.push(peer);
        }
        sleep(Duration::from_secs(3));
        let counts = Counts::of(server.pid(), || sleep(Duration::from_secs(SECONDS)));
        println!("{PEERS} shut windows, {SECONDS} s, --user-timeout {user_timeout}: {:?}", counts.0);
        let about = |count: u64, wanted: u64| count * 10 >= wanted * 8 && count * 10 <= wanted * 13;
        assert!(about(counts.count("getsockopt"), PEERS * SECONDS), "a check an interval: {:?}", counts.0);
        let set = counts.count("setsockopt");
        assert!(if settings == 0 { set == 0 } else { about(set, PEERS * SECONDS) }, "{:?}", counts.0);
    }
}

/// A sandboxed kernel accepts every option, returns none and fills `TCP_INFO` with zeros, as gVisor did. At its start the
/// server does not promise what could not be set, and warns about it.
fn sandbox() {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-einject=getsockopt:retval=0", env!("CARGO_BIN_EXE_stillthere")]);
    strace.args(["serve", "127.0.0.1:0", "--deadline", "5s", "--stalled", "10s"]);
    let mut server = Server::start_with(strace);
    server.wait_for("the deadline holds for idle peers only");
    server.wait_for("TCP_INFO reports nothing here: --stalled and");
    assert!(!server.told().contains("the same with data unacknowledged"), "{}", server.told());
    exchange(&mut server.connect());
}

//! The load generator as a whole program: against our own server, and against servers that lie, refuse,
//! hang up, stall or never answer.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, Server};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stillthere");

fn load(target: SocketAddr, options: &[&str]) -> Output {
    start(target, options).wait_with_output().expect("the load ends")
}

fn start(target: SocketAddr, options: &[&str]) -> Child {
    let mut command = Command::new(PROGRAM);
    command.args(["load", &target.to_string()]).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the load starts")
}

fn check(output: &Output, code: i32, parts: &[&str]) -> String {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// A server of the test: what it does with each connection, one thread each.
fn server(with: impl Fn(TcpStream, usize) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let with = with.clone();
            thread::spawn(move || with(stream, number));
        }
    });
    address
}

/// Sends back what comes, changed by `change`, which is given the number of the read.
fn echo(mut stream: TcpStream, change: impl Fn(usize, &mut [u8])) {
    let mut buffer = [0; 4096];
    for nth in 0.. {
        let Ok(count @ 1..) = stream.read(&mut buffer) else { return };
        change(nth, &mut buffer[..count]);
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

fn temporary(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("stillthere-load-{}-{name}", std::process::id()))
}

/// A number of the JSON report, which is one line.
fn figure(json: &str, name: &str) -> f64 {
    let rest = json.split(&format!("\"{name}\":")).nth(1).unwrap_or_else(|| panic!("{name} is not in {json}"));
    rest.split([',', '}']).next().unwrap().parse().unwrap_or_else(|_| panic!("{name} is no number: {rest:.40}"))
}

#[test]
fn our_own_server_gives_no_trouble() {
    let server = Server::start(&[]);
    let (json, html) = (temporary("a.json"), temporary("a.html"));
    let pid = server.pid().to_string();
    let files = ["--json", json.to_str().unwrap(), "--html", html.to_str().unwrap(), "--pid", &pid];
    let options = ["--connections", "300", "--active", "20", "--time", "1s", "--size", "3000"];
    let output = load(server.address(), &[&options[..], &files].concat());
    check(&output, 0, &["300 of 300", "held                      300", "20 of them, 3000 bytes of echo", "no trouble"]);
    let text = std::fs::read_to_string(&json).unwrap();
    assert_eq!((figure(&text, "connected"), figure(&text, "lost"), figure(&text, "held")), (300.0, 0.0, 300.0));
    assert!(figure(&text, "exchanges") > 20.0 && figure(&text, "server_cpu") > 0.0);
    assert!(figure(&text, "server_private_at_start") > 0.0);
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("300 connections to 127.0.0.1") && page.matches("<svg").count() >= 3);
    for path in [json, html] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn at_most_so_many_are_opened_in_a_second() {
    let server = Server::start(&[]);
    let started = Instant::now();
    let options = ["--connections", "60", "--connect-rate", "50", "--speak", "none", "--time", "100ms"];
    check(&load(server.address(), &options), 0, &["60 of 60", "no trouble"]);
    assert!(started.elapsed() >= Duration::from_millis(59 * 1000 / 50), "{:?}", started.elapsed());
}

#[test]
fn one_wrong_byte_is_found() {
    // The fifth connection's third answer has one other byte, of a thousand.
    let liar = server(|stream, number| {
        echo(stream, |nth, bytes| {
            if (number, nth) == (4, 2) {
                bytes[700] = b'!';
            }
        });
    });
    let options = ["--connections", "10", "--size", "1000", "--time", "500ms"];
    let said =
        check(&load(liar, &options), 1, &["wrong bytes", "1; the first: at byte 700,", "1 connection in trouble"]);
    assert!(said.contains("\"!"), "{said}");
}

#[test]
fn the_right_bytes_of_another_exchange_are_wrong() {
    let stale = server(|mut stream, _| {
        let (mut first, mut next) = ([0; 64], [0; 64]);
        stream.read_exact(&mut first).unwrap();
        let _ = stream.write_all(&first);
        while stream.read_exact(&mut next).is_ok() && stream.write_all(&first).is_ok() {}
    });
    check(&load(stale, &["--connections", "3", "--time", "500ms"]), 1, &["wrong bytes", "3; the first: at byte"]);
}

#[test]
fn bytes_that_nobody_asked_for_are_wrong() {
    let talker = server(|mut stream, _| {
        let _ = stream.write_all(b"hello");
        thread::sleep(PATIENCE);
    });
    let said = check(&load(talker, &["--connections", "2", "--time", "300ms"]), 1, &["wrong bytes"]);
    assert!(said.contains("\"hello\" came, which nobody had asked for"), "{said}");
    let options = ["--connections", "2", "--time", "300ms", "--speak", "none"];
    check(&load(talker, &options), 0, &["unasked", "10 bytes came", "no trouble"]);
}

#[test]
fn refused_connections_are_counted_and_named() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = check(&load(nobody, &["--connections", "7", "--time", "1s"]), 1, &["0 of 7", "refused"]);
    assert!(said.contains("7; the first: Connection refused") && said.contains("7 connections in trouble"), "{said}");
}

#[test]
fn resets_and_closes_are_told_apart() {
    let server = server(|stream, number| match number {
        0 => {
            thread::sleep(Duration::from_millis(900));
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        1 => thread::sleep(Duration::from_millis(900)),
        _ => echo(stream, |_, _| ()),
    });
    let options = ["--connections", "5", "--active", "0", "--time", "1s"];
    check(
        &load(server, &options),
        1,
        &[
            "reset by the server       1; the first:",
            "closed by the server      1; the first: while it was idle",
            "2 connections in trouble",
        ],
    );
}

#[test]
fn a_server_that_never_answers_is_charged_for_it() {
    let silent = server(|_stream, _| thread::sleep(PATIENCE));
    let json = temporary("silent.json");
    let options = ["--connections", "4", "--time", "500ms", "--rate", "100", "--json", json.to_str().unwrap()];
    check(&load(silent, &options), 0, &["50 never answered"]);
    let text = std::fs::read_to_string(&json).unwrap();
    std::fs::remove_file(json).unwrap();
    assert_eq!((figure(&text, "exchanges"), figure(&text, "unanswered")), (0.0, 50.0));
    assert!(figure(text.split("\"latency\"").nth(1).unwrap(), "p50") > 2.0, "{text}");
}

/// The first answer takes half a second. At a fixed rate every question that had to wait behind it
/// is late; a generator that waited with its questions would find one late answer.
#[test]
fn a_stall_is_charged_to_every_question_that_was_due() {
    let stalls = server(|stream, _| {
        echo(stream, |nth, _| {
            if nth == 0 {
                thread::sleep(Duration::from_millis(500));
            }
        });
    });
    let latency = |options: &[&str], percentile: &str| {
        let json = temporary(&format!("stall{}.json", options.len()));
        let all = [&["--connections", "1", "--time", "1s", "--json", json.to_str().unwrap()], options].concat();
        check(&load(stalls, &all), 0, &["no trouble"]);
        let text = std::fs::read_to_string(&json).unwrap();
        std::fs::remove_file(json).unwrap();
        figure(text.split("\"latency\"").nth(1).unwrap(), percentile)
    };
    // Of 200 questions in a second, 100 were due in the stall: the 25th percentile from the top waited
    // for a quarter of a second.
    let late = latency(&["--rate", "200"], "p90");
    assert!((0.3..2.0).contains(&late), "p90 is {late} s");
    assert!(latency(&[], "p99") < 0.3, "a closed loop has one late answer among very many");
}

#[test]
fn ctrl_c_ends_it_with_the_report_so_far() {
    let server = Server::start(&[]);
    let json = temporary("interrupted.json");
    let options = ["--connections", "50", "--time", "10m", "--json", json.to_str().unwrap()];
    let child = start(server.address(), &options);
    thread::sleep(Duration::from_millis(1500));
    let started = Instant::now();
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    check(&output, 0, &["50 of 50", "exchanges", "interrupted; this is the report so far. no trouble"]);
    assert!(started.elapsed() < Duration::from_secs(5));
    let text = std::fs::read_to_string(&json).unwrap();
    std::fs::remove_file(json).unwrap();
    assert!(
        text.contains("\"interrupted\":true")
            && figure(&text, "exchanges") > 0.0
            && figure(&text, "exchanged_for") > 0.3
    );
}

#[test]
fn its_own_descriptor_limit_is_named() {
    let server = Server::start(&[]);
    let line = format!("ulimit -n 64; exec '{PROGRAM}' load {} --connections 100 --time 200ms", server.address());
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    check(&output, 1, &["48 of 100", "own limit: descriptors    52; the first:", "ulimit -n"]);
}

/// In a network of its own, with ten ports. Without user namespaces it is told that nothing was tested.
#[test]
fn its_own_ports_are_named() {
    let script = format!(
        "ip link set lo up && echo 40000 40009 > /proc/sys/net/ipv4/ip_local_port_range || exit 77
         '{PROGRAM}' serve 127.0.0.1:7007 --log off & server=$!
         sleep 0.5
         '{PROGRAM}' load 127.0.0.1:7007 --connections 15 --time 200ms; code=$?
         '{PROGRAM}' load 127.0.0.1:7007 --connections 15 --time 200ms --source 127.0.0.5,127.0.0.6 || code=78
         kill $server; exit $code"
    );
    let output = Command::new("unshare").args(["--user", "--map-root-user", "--net", "sh", "-c", &script]).output();
    match output {
        Ok(output) if !matches!(output.status.code(), Some(77)) && !output.stdout.is_empty() => {
            check(&output, 1, &["10 of 15", "own limit: ports          5; the first:", "15 of 15, from 2 addresses"]);
        }
        _ => eprintln!("NOT TESTED: no network namespaces here"),
    }
}

#[test]
fn what_cannot_be_done_is_said_before_it_is_begun() {
    let server = Server::start(&[]);
    check(&load(server.address(), &["--pid", "2147483647"]), 1, &["--pid 2147483647: cannot read"]);
    check(&load(server.address(), &["--json", "/nowhere/at/all"]), 1, &["cannot write /nowhere/at/all"]);
}

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
    check(
        &output,
        0,
        &["300 of 300", "held                      300", "20 connections, 3000 bytes of echo", "no trouble"],
    );
    let text = std::fs::read_to_string(&json).unwrap();
    assert_eq!((figure(&text, "connected"), figure(&text, "lost"), figure(&text, "held_least")), (300.0, 0.0, 300.0));
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
    assert!(said.contains("\"hello\" came, which was not expected"), "{said}");
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
            "held                      5 at the start, at least 3, 3 at the end",
            "5 connected, not known to be accepted",
            "2 connections in trouble",
        ],
    );
}

#[test]
fn a_server_that_never_answers_is_charged_for_it() {
    let silent = server(|_stream, _| thread::sleep(PATIENCE));
    let json = temporary("silent.json");
    let options = ["--connections", "4", "--time", "500ms", "--rate", "100", "--json", json.to_str().unwrap()];
    let parts = ["50 never answered, not within 2.0 s more", "not answered              4; the first: 64 bytes due"];
    let said = check(&load(silent, &options), 1, &parts);
    assert!(said.contains("which the server's kernel has acknowledged; 12 more behind it"), "{said}");
    assert!(
        said.contains("none was answered; they waited for 50 %") && said.contains("4 connections in trouble"),
        "{said}"
    );
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
    let latency = |options: &[&str], percentile: &str, parts: &[&str]| {
        let json = temporary(&format!("stall{}.json", options.len()));
        let all = [&["--connections", "1", "--time", "1s", "--json", json.to_str().unwrap()], options].concat();
        let said = check(&load(stalls, &all), 0, &["no trouble"]);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert_eq!(said.contains("a stall counts once per connection"), !parts.is_empty(), "{said}");
        let text = std::fs::read_to_string(&json).unwrap();
        std::fs::remove_file(json).unwrap();
        match percentile {
            "asked on" => figure(&text, "latency_p99_asked_on"),
            _ => figure(text.split("\"latency\"").nth(1).unwrap(), percentile),
        }
    };
    // Of 200 questions in a second, 100 were due in the stall: the 25th percentile from the top waited
    // for a quarter of a second.
    let late = latency(&["--rate", "200"], "p90", &[]);
    assert!((0.3..2.0).contains(&late), "p90 is {late} s");
    let noted = ["which sends nothing while it waits; at an unbroken pace, 99 % would be about", "--rate measures it"];
    assert!(latency(&[], "p99", &noted) < 0.3, "a closed loop has one late answer among very many");
    assert!(latency(&["--active", "1"], "asked on", &noted) > 0.3, "half of what it hides waited half a second");
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
         '{PROGRAM}' load 127.0.0.1:7007 --connections 15 --time 200ms --source 127.0.0.8; code=$?
         '{PROGRAM}' load 127.0.0.1:7007 --connections 25 --time 200ms || code=79
         echo 40003,40006-40007 > /proc/sys/net/ipv4/ip_local_reserved_ports
         '{PROGRAM}' load 127.0.0.1:7007 --connections 15 --time 200ms --source 127.0.0.9 && code=80
         '{PROGRAM}' load 127.0.0.1:7007 --connections 14 --time 200ms --source 127.0.0.5,127.0.0.6 || code=78
         kill $server; exit $code"
    );
    let output = Command::new("unshare").args(["--user", "--map-root-user", "--net", "sh", "-c", &script]).output();
    match output {
        Ok(output) if !matches!(output.status.code(), Some(77)) && !output.stdout.is_empty() => {
            check(
                &output,
                1,
                &[
                    "10 of 15",
                    "own limit: ports          5; the first: Cannot assign requested address (os error 99) from 127.0.0.8",
                    "25 of 25, from 3 addresses",
                    "7 of 15",
                    "14 of 14, from 2 addresses",
                ],
            );
        }
        _ => eprintln!("NOT TESTED: no network namespaces here"),
    }
}

/// A server that was stopped, in the middle: its kernel acknowledges, and nobody answers.
#[test]
fn a_stopped_server_is_trouble() {
    let server = Server::start(&[]);
    for rate in [&[][..], &["--rate", "1000"]] {
        let json = temporary("stopped.json");
        let options = ["--connections", "12", "--time", "3s", "--json", json.to_str().unwrap()];
        let child = start(server.address(), &[&options[..], rate].concat());
        thread::sleep(Duration::from_millis(1800));
        server.signal("STOP");
        let output = child.wait_with_output().unwrap();
        server.signal("CONT");
        let parts = ["12 of 12", "never answered, not within 2.0 s more", "not answered              10; the first:"];
        let said = check(&output, 1, &parts);
        assert!(said.contains("which the server's kernel has acknowledged"), "{said}");
        assert!(said.ends_with("10 connections in trouble\n") && said.contains("2 connected, not known"), "{said}");
        let text = std::fs::read_to_string(&json).unwrap();
        std::fs::remove_file(json).unwrap();
        assert!(text.contains("\"success\":false") && figure(&text, "unanswered") >= 10.0, "{text}");
    }
}

/// A listener whose backlog takes connections that nobody accepts.
#[test]
fn a_server_that_never_accepts_is_no_success() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let options = ["--connections", "7", "--active", "3", "--time", "300ms"];
    let parts =
        ["7 of 7", "7 connected, not known to be accepted: no byte came", "not answered              3; the first:"];
    let said = check(&load(address, &options), 1, &parts);
    assert!(said.contains("no answer was correct: does the server speak echo?"), "{said}");
    assert!(!said.contains("no trouble") && !said.contains("every byte"), "{said}");
    let options = ["--connections", "4", "--speak", "none", "--time", "300ms"];
    let said = check(&load(address, &options), 0, &["4 connected, not known to be accepted"]);
    assert!(said.ends_with("no trouble; connected, not known to be accepted: --speak none sends no requests\n"));
    let options = ["--connections", "4", "--active", "0", "--time", "300ms"];
    check(&load(address, &options), 0, &["no trouble; connected, not known to be accepted: no requests were sent"]);
}

/// The window shuts when nobody reads: the question itself cannot be sent.
#[test]
fn a_server_that_does_not_read_is_told_from_one_that_does_not_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = ["--connections", "1", "--time", "300ms", "--size", "16000000"];
    let said = check(&load(listener.local_addr().unwrap(), &options), 1, &["not answered              1; the first:"]);
    assert!(said.contains("which the server does not read: its window is shut"), "{said}");
}

/// What is cut off by the end has a rule: who waited for the grace is in trouble, who waited for less is not.
#[test]
fn who_was_cut_off_by_the_end_is_in_no_trouble() {
    for (grace, code, part) in [("20s", 0, "2 cut off by the end"), ("100ms", 1, "1 never answered, not within 0.1 s")]
    {
        let options = ["--connections", "2", "--time", "10m", "--grace", grace];
        let server = server(|stream, number| match number {
            0 => thread::sleep(PATIENCE),
            _ => echo(stream, |_, _| ()),
        });
        let child = start(server, &options);
        thread::sleep(Duration::from_millis(2000));
        assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
        check(&child.wait_with_output().unwrap(), code, &[part, "interrupted; this is the report so far."]);
    }
}

#[test]
fn a_closed_port_is_told_at_once() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let started = Instant::now();
    let said =
        check(&load(nobody, &["--connections", "7", "--time", "10m"]), 1, &["0 of 7", "7 connections in trouble"]);
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    assert!(!said.contains("held") && !said.contains("a second") && !said.contains("µs"), "{said}");
}

#[test]
fn when_all_are_lost_there_is_nobody_to_wait_for() {
    let server = server(|stream, _| {
        thread::sleep(Duration::from_millis(1500));
        drop(stream);
    });
    let started = Instant::now();
    let options = ["--connections", "3", "--active", "0", "--time", "10m"];
    let parts = ["held                      3 at the start, at least 0, 0 at the end", "no connection was left"];
    check(&load(server, &options), 1, &parts);
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

/// SYNs that a full backlog drops: the connections are on their way when Ctrl-C comes.
#[test]
fn interrupted_while_connecting_is_no_success() {
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    full.listen(1).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    for (grace, parts) in [
        ("1m", ["of 9 connected, 7 on their way. no trouble so far", "7 on their way when it was interrupted"]),
        ("100ms", ["7 connections in trouble", "no answer in time         7; the first: not connected after"]),
    ] {
        let child = start(address, &["--connections", "9", "--time", "1s", "--patience", "10m", "--grace", grace]);
        thread::sleep(Duration::from_millis(1500));
        assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
        let said = check(&child.wait_with_output().unwrap(), 1, &parts);
        assert!(said.contains("interrupted before the exchanges began, so nothing is known of them: 2 of 9"), "{said}");
        assert!(!said.contains("every byte"), "{said}");
        full.accept().unwrap();
        full.accept().unwrap();
        thread::sleep(Duration::from_millis(300));
        while full.set_nonblocking(true).is_ok() && full.accept().is_ok() {}
        full.set_nonblocking(false).unwrap();
    }
}

#[test]
fn the_wrong_language_gets_a_hint() {
    let ours = Server::start(&[]);
    let options = ["--connections", "3", "--time", "300ms", "--speak"];
    let said = check(&load(ours.address(), &[&options[..], &["redis"]].concat()), 1, &["wrong bytes"]);
    assert!(said.contains("no answer was correct: does the server speak redis? --speak also knows echo,"), "{said}");
    assert!(!said.contains("0.00 µs") && !said.contains("latency"), "{said}");
    for (answer, dialect) in [("ERROR\r\n", "memcached"), ("-ERR unknown command 'x'\r\n", "redis")] {
        let other = server(move |mut stream, _| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
            thread::sleep(PATIENCE);
        });
        let said = check(&load(other, &[&options[..], &["echo"]].concat()), 1, &["wrong bytes"]);
        assert!(said.contains(&format!("does the server speak echo? What came looks like {dialect}.")), "{said}");
    }
}

/// As redis does in its protected mode, whose sentence is longer than this.
#[test]
fn a_refusal_is_quoted_with_its_line() {
    let denies = server(|mut stream, _| {
        let _ = stream.write_all(b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n");
        thread::sleep(PATIENCE);
    });
    let options = ["--connections", "2", "--time", "300ms", "--speak", "redis"];
    let said = check(&load(denies, &options), 1, &["wrong bytes               2; the first:"]);
    assert!(
        said.contains("\"-DENIED Redis is running in protected mode because protected mode is enabled\" came"),
        "{said}"
    );
    assert!(!said.contains("hint"), "it speaks redis: {said}");
}

/// Some servers let in one address only, so no other is taken without need.
#[test]
fn many_connections_come_from_one_address_while_it_has_ports() {
    let server = Server::start(&[]);
    let options = ["--connections", "6000", "--connect-rate", "6000", "--time", "300ms"];
    let said = check(&load(server.address(), &options), 0, &["6000 of 6000\n", "no trouble"]);
    assert!(!said.contains("addresses"), "{said}");
}

/// `--pid` names a shell; the server is its child.
#[test]
fn children_of_the_process_are_counted() {
    let mut line = Command::new("sh");
    let program = Server::command(&[]);
    let arguments: Vec<_> = program.get_args().map(|argument| argument.to_str().unwrap()).collect();
    line.args(["-c", &format!("echo $$ >&2; '{PROGRAM}' {}; true", arguments.join(" "))]);
    let server = Server::start_with(line);
    let parent = server.log[0].1.clone();
    let json = temporary("children.json");
    let options = ["--connections", "50", "--time", "1s", "--pid", &parent, "--json", json.to_str().unwrap()];
    check(&load(server.address(), &options), 0, &["2 processes at once, all of them counted", "µs an exchange"]);
    let text = std::fs::read_to_string(&json).unwrap();
    std::fs::remove_file(json).unwrap();
    assert!(figure(&text, "server_cpu") > 0.0 && figure(&text, "server_processes") == 2.0, "{text}");
}

/// As nobody, of a process of root's. Only root can try it.
#[test]
fn a_process_of_somebody_else_is_a_sentence() {
    use std::os::unix::process::CommandExt;
    let mine = std::process::id().to_string();
    let mut command = Command::new(PROGRAM);
    match command.args(["load", "127.0.0.1:9", "--pid", &mine]).uid(65_534).gid(65_534).output() {
        Ok(output) => {
            drop(check(&output, 1, &["that process belongs to another user (user 0)", "as root, or leave out --pid"]))
        }
        Err(error) => eprintln!("NOT TESTED: cannot run {PROGRAM} as nobody: {error}"),
    }
}

#[test]
fn a_condition_that_comes_true_fails_the_run() {
    let server = Server::start(&[]);
    let options = ["--connections", "5", "--time", "300ms", "--fail-if"];
    let with = |conditions: &str| load(server.address(), &[&options[..], &[conditions]].concat());
    check(&with("p99>1h, errors>0, held<5"), 0, &["passed ", "no trouble, every byte correct; no condition"]);
    let parts =
        ["failed                    p50 is ", "; --fail-if p50>1ns\n", "failed by 1 of 2 conditions of --fail-if"];
    check(&with("p50>1ns,errors>0"), 1, &parts);
    check(&with("lateness-p99>1h"), 1, &["lateness-p99 is not known in this run, so --fail-if lateness-p99>1h fails"]);
    check(&with("p99>5"), 2, &["--fail-if p99>5: p99 is compared with a duration such as 5ms, and \"5\" is none"]);
    check(&with("speed>5"), 2, &["there is no figure \"speed\"; there are p50, p90"]);
}

#[test]
fn a_report_that_cannot_be_written_is_no_success() {
    let server = Server::start(&[]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["load", &server.address().to_string(), "--connections", "2", "--time", "100ms"]).stdout(full);
    check(&command.output().unwrap(), 1, &["cannot write to standard output: No space left on device"]);
}

#[test]
fn what_cannot_be_done_is_said_before_it_is_begun() {
    let server = Server::start(&[]);
    check(&load(server.address(), &["--pid", "2147483647"]), 1, &["--pid 2147483647: there is no such process"]);
    check(&load(server.address(), &["--json", "/nowhere/at/all"]), 1, &["cannot write /nowhere/at/all"]);
}

/// A reader that waits at a named pipe gets the report, and a report that was there stays until the
/// new one is complete.
#[test]
fn a_report_goes_to_a_pipe_and_replaces_nothing_before_it_is_complete() {
    let server = Server::start(&[]);
    let (pipe, old) = (temporary("report.pipe"), temporary("report.json"));
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let path = pipe.clone();
    let reader = thread::spawn(move || std::fs::read_to_string(path));
    let options = ["--connections", "2", "--time", "1s", "--json", pipe.to_str().unwrap()];
    check(&load(server.address(), &options), 0, &[]);
    assert!(reader.join().unwrap().unwrap().starts_with('{'));
    std::fs::remove_file(pipe).unwrap();
    std::fs::write(&old, "the old report").unwrap();
    let child = start(server.address(), &["--connections", "2", "--time", "1s", "--json", old.to_str().unwrap()]);
    let mut killed = start(server.address(), &["--connections", "2", "--json", old.to_str().unwrap()]);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "the old report");
    killed.kill().and_then(|()| killed.wait()).unwrap();
    check(&child.wait_with_output().unwrap(), 0, &[]);
    assert!(std::fs::read_to_string(&old).unwrap().starts_with('{'));
    std::fs::remove_file(&old).unwrap();
    let nowhere = old.with_file_name("none").join("new.json");
    let refused = load(server.address(), &["--connections", "2", "--time", "20s", "--html", nowhere.to_str().unwrap()]);
    check(&refused, 1, &["cannot write", "No such file or directory"]);
}

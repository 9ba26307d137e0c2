//! The program as a shell sees it: exit codes, and sentences for whoever typed the line.

mod common;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use common::Server;

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    command.args(arguments).stdin(Stdio::null()).output().expect("the program runs")
}

fn check(output: &Output, code: i32, parts: &[&str]) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{said:?} does not contain {part:?}");
    }
}

#[test]
fn help_and_version_are_for_stdout() {
    check(&run(&["--version"]), 0, &[concat!("stillthere ", env!("CARGO_PKG_VERSION"))]);
    let help = run(&["serve", "--help"]);
    check(&help, 0, &["--deadline DURATION"]);
    assert!(help.stderr.is_empty());
}

#[test]
fn a_line_that_makes_no_sense_is_2() {
    check(&run(&[]), 2, &["which command?"]);
    check(&run(&["serve", "--idle", "0s"]), 2, &["--idle 0s: the kernel takes whole seconds, 1s to 32767s"]);
}

#[test]
fn an_address_in_use_is_1_and_says_what_to_do() {
    let server = Server::start(&[]);
    let address = server.address().to_string();
    let port = server.address().port();
    check(&run(&["serve", &address]), 1, &[&address, "another socket has this address", &format!("sport = :{port}")]);
}

#[test]
fn an_address_of_another_machine_is_1_and_says_what_to_do() {
    check(&run(&["serve", "192.0.2.1:7007"]), 1, &["192.0.2.1:7007", "no interface of this machine", "0.0.0.0:7007"]);
}

#[test]
fn a_port_without_permission_is_1_and_says_what_to_do() {
    // Where unprivileged users may bind every port, there is nothing to see.
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    let allowed = first.trim().parse().unwrap_or(1024u32) <= 1;
    // As nobody, if this is root; setpriv is part of util-linux, like kill.
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    if rustix::process::getuid().is_root() {
        let directory = std::env::temp_dir().join(format!("stillthere-cli-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let copy = directory.join("stillthere");
        // By a program of its own: a descriptor that this one writes to could be inherited by what other
        // tests start meanwhile, and a file that somebody writes to cannot be run (execve(2) ETXTBSY).
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_stillthere")).arg(&copy).status();
        assert!(copied.is_ok_and(|status| status.success()));
        command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--clear-groups", "--inh-caps", "-all", "--bounding-set", "-all"]).arg(copy);
    }
    if allowed {
        eprintln!("NOT TESTED: every user may bind every port here");
        return;
    }
    let output = command.args(["serve", "127.0.0.1:1"]).stdin(Stdio::null()).output().expect("the program runs");
    let _ = std::fs::remove_dir_all(std::env::temp_dir().join(format!("stillthere-cli-{}", std::process::id())));
    check(&output, 1, &["127.0.0.1:1", "ports below 1024", "setcap"]);
}

#[test]
fn what_the_kernel_will_not_do_is_said_at_the_start() {
    let wanted = ["--backlog", "2000000000", "--user-timeout", "off", "--max-connections", "1000000000"];
    let mut server = Server::start(&wanted);
    server.signal("TERM");
    server.wait_for("stopped: ");
    for part in ["--backlog 2000000000: the kernel cuts it", "--user-timeout off: ", "max-connections 1000000000: "] {
        assert!(server.told().contains(part), "{part:?} is not in\n{}", server.told());
    }
}

/// A log that nobody can read any more must not end the server, nor cut off its peers.
#[test]
fn the_log_may_be_closed() {
    let mut command = Server::command(&[]);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut told, &mut line).unwrap();
    let address = line.split(" listens on ").nth(1).and_then(|rest| rest.split(',').next()).expect("an address");
    drop(told);
    for _ in 0..3 {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"hello").unwrap();
        std::io::Read::read_exact(&mut stream, &mut [0; 5]).expect("it serves without a log");
    }
    assert!(child.try_wait().unwrap().is_none(), "it ended because its log was closed");
    child.kill().unwrap();
    child.wait().unwrap();
}

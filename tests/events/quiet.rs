//! No system call while nothing happens, whatever the events go to. strace counts.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::Duration;

use crate::common::again::is_its_own;
use crate::common::{Server, exchange, status};
use crate::story::{Directory, pipe};

pub fn missing() -> Option<String> {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    match traced {
        Ok(status) if status.success() => None,
        Ok(_) => Some("strace may not trace here (see kernel.yama.ptrace_scope)".into()),
        Err(error) => Some(format!("strace cannot be run ({error}): `apt-get install strace` installs it")),
    }
}

/// The system calls that a process makes in five seconds.
fn calls(pid: u32, directory: &Directory) -> Vec<String> {
    let path = directory.path(&format!("calls-{pid}"));
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-e", "signal=none", "-o", &path, "-p", &pid.to_string()])
        .spawn()
        .expect("strace runs");
    while status(pid, "TracerPid") == 0 {
        sleep(Duration::from_millis(10));
    }
    sleep(Duration::from_secs(5));
    let interrupted = Command::new("kill").args(["-s", "INT", &strace.id().to_string()]).status();
    assert!(interrupted.is_ok_and(|status| status.success()));
    strace.wait().expect("strace ends");
    let text = std::fs::read_to_string(&path).expect("strace wrote its file");
    text.lines().filter(|line| is_its_own(line)).map(str::to_string).collect()
}

pub fn idle() {
    let directory = Directory::new();
    let (unix, tcp) = (directory.path("socket"), TcpListener::bind("127.0.0.1:0").unwrap());
    let listener = UnixListener::bind(&unix).unwrap();
    let (_reader, writer) = pipe();
    let places = [directory.path("events"), format!("unix:{unix}"), format!("tcp:{}", tcp.local_addr().unwrap())];
    let mut servers: Vec<_> = places.iter().map(|to| Server::start(&["--log", "info", "--events", to])).collect();
    let mut command = Server::command(&["--log", "info", "--events", "-"]);
    command.stdout(writer);
    servers.push(Server::start_with(command));
    let _held = (listener.accept().unwrap(), tcp.accept().unwrap());
    let mut peers: Vec<_> = servers.iter().flat_map(|server| (0..20).map(|_| server.connect())).collect();
    peers.iter_mut().for_each(exchange);
    drop(peers.split_off(70)); // some departures, too
    sleep(Duration::from_secs(3));
    thread::scope(|scope| {
        let directory = &directory;
        let counting: Vec<_> =
            servers.iter().map(Server::pid).map(|pid| scope.spawn(move || calls(pid, directory))).collect();
        for (counting, to) in counting.into_iter().zip(places.iter().map(String::as_str).chain(["-"])) {
            let calls = counting.join().unwrap();
            assert!(calls.is_empty(), "{to}: {calls:#?}");
        }
    });
}

//! What a supervisor is told (sd_notify(3)).

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Trials;
use crate::common::again::rests;
use crate::common::{Server, exchange, status};
use crate::supervisor::{Supervisor, path};

pub const TRIALS: Trials = &[
    ("a_supervisor_is_told_of_start_reload_and_stop", course),
    ("an_abstract_name_is_a_socket_as_well", abstract_name),
    ("an_upgrade_is_a_reload_and_a_refused_one_is_over_at_once", upgrade),
    ("without_a_watchdog_nothing_is_told_while_nothing_happens", quiet),
    ("a_watchdog_is_told_that_the_loop_turns_and_only_while_it_does", watchdog),
    ("a_watchdog_of_another_process_is_none", foreign_watchdog),
    ("a_supervisor_that_cannot_be_told_ends_nobody", unreachable),
];

fn supervised(supervisor: &str, variables: &[(&str, &str)], options: &[&str]) -> Server {
    let mut command = Server::command(options);
    command.env("NOTIFY_SOCKET", supervisor).envs(variables.iter().copied());
    Server::start_with(command)
}

fn course() {
    let supervisor = Supervisor::at_a_path();
    let mut server = supervised(&supervisor.name, &[], &[]);
    let address = server.address();
    // It says so when it listens, and not before.
    assert_eq!(supervisor.hears().1, format!("READY=1\nSTATUS=serves 0 peers on {address}\n"));
    let mut peer = server.connect();
    exchange(&mut peer);
    server.signal("HUP");
    let told = supervisor.expects("RELOADING=1\nMONOTONIC_USEC=");
    let moment: u64 = told.lines().nth(1).unwrap()["MONOTONIC_USEC=".len()..].parse().unwrap();
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000;
    assert!((now - 30_000_000..=now).contains(&moment), "{moment} of {now}");
    let told = supervisor.expects("READY=1\n");
    assert!(told.contains("STATUS=serves: 1 connected, 1 accepted, 0 departed"), "{told}");
    exchange(&mut peer);
    server.signal("TERM");
    let told = "STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000\nSTATUS=stops; peers have 10s to read their output\n";
    assert_eq!(supervisor.hears().1, told);
    assert!(supervisor.expects("STATUS=stopped: 0 connected, 1 accepted").contains("1 shut down by us"));
    assert!(server.wait().success());
    assert_eq!(supervisor.hears_within(Duration::from_millis(100)), None);
}

fn abstract_name() {
    let supervisor = Supervisor::by_an_abstract_name();
    let _server = supervised(&supervisor.name, &[], &[]);
    supervisor.expects("READY=1\n");
}

fn upgrade() {
    if cfg!(not(feature = "upgrade")) {
        return;
    }
    let program = path("program");
    fs::copy(env!("CARGO_BIN_EXE_stillthere"), &program).unwrap();
    let supervisor = Supervisor::at_a_path();
    let mut command = std::process::Command::new(&program);
    command.args(["serve", "127.0.0.1:0", "--log", "debug"]).env("NOTIFY_SOCKET", &supervisor.name);
    let mut server = Server::start_with(command);
    supervisor.expects("READY=1\n");
    let mut peer = server.connect();
    exchange(&mut peer);
    // The rehearsal says nothing; who reads this would take it for the server.
    server.signal("USR2");
    supervisor.expects("RELOADING=1\n");
    let told = supervisor.expects("READY=1\n");
    assert!(told.contains("serves 1 peer on 127.0.0.1:"), "{told}");
    exchange(&mut peer);
    fs::write(&program, "no program").unwrap_or_else(|_| {
        fs::remove_file(&program).unwrap();
        fs::write(&program, "no program").unwrap();
    });
    server.signal("USR2");
    supervisor.expects("RELOADING=1\n");
    assert!(supervisor.expects("READY=1\n").contains("serves: 1 connected"));
    server.wait_for("the upgrade is refused");
    exchange(&mut peer);
    let _ = fs::remove_file(&program);
    assert_eq!(supervisor.hears_within(Duration::from_millis(300)), None);
}

fn quiet() {
    let supervisor = Supervisor::at_a_path();
    let server = supervised(&supervisor.name, &[], &["--log", "info"]);
    supervisor.expects("READY=1\n");
    let mut peer = server.connect();
    exchange(&mut peer);
    sleep(Duration::from_secs(3));
    let woken = || status(server.pid(), "voluntary_ctxt_switches");
    assert!(rests(woken, Duration::from_secs(3)), "the loop sleeps");
    assert_eq!(supervisor.hears_within(Duration::ZERO), None);
}

fn watchdog() {
    let supervisor = Supervisor::at_a_path();
    let server = supervised(&supervisor.name, &[("WATCHDOG_USEC", "1000000")], &["--log", "info"]);
    supervisor.expects("READY=1\n");
    // The first one may tell how many peers there are, and the later ones only if that has changed.
    supervisor.expects("WATCHDOG=1\n");
    let since = Instant::now();
    for _ in 0..6 {
        assert_eq!(supervisor.hears().1, "WATCHDOG=1\n");
    }
    let took = since.elapsed();
    assert!((Duration::from_millis(2500)..Duration::from_secs(6)).contains(&took), "every half second: {took:?}");
    let mut peer = server.connect();
    exchange(&mut peer);
    let told = (0..4).map(|_| supervisor.hears().1).find(|told| told.contains("STATUS"));
    assert_eq!(told.as_deref(), Some("WATCHDOG=1\nSTATUS=serves 1 peer\n"));
    // The supervisor is to notice a loop that does not turn.
    server.signal("STOP");
    while supervisor.hears_within(Duration::from_millis(100)).is_some() {}
    assert_eq!(supervisor.hears_within(Duration::from_secs(2)), None);
    server.signal("CONT");
    supervisor.expects("WATCHDOG=1\n");
    exchange(&mut peer);
}

fn foreign_watchdog() {
    let supervisor = Supervisor::at_a_path();
    let _server = supervised(&supervisor.name, &[("WATCHDOG_USEC", "200000"), ("WATCHDOG_PID", "1")], &[]);
    supervisor.expects("READY=1\n");
    assert_eq!(supervisor.hears_within(Duration::from_secs(2)), None);
}

fn unreachable() {
    for (name, because) in [
        ("/nowhere/at/all", "No such file or directory"),
        ("vsock:2:1234", "neither a path that begins with / nor a name that begins with @"),
        ("@stillthere-nobody-is-here", "Connection refused"),
    ] {
        let server = supervised(name, &[("WATCHDOG_USEC", "200000")], &[]);
        let told = server.told();
        assert!(told.contains("the supervisor cannot be told anything") && told.contains(because), "{told}");
        exchange(&mut server.connect());
    }
    // One that goes away while peers are served.
    let supervisor = Supervisor::at_a_path();
    let mut server = supervised(&supervisor.name, &[], &[]);
    supervisor.expects("READY=1\n");
    let mut peer = server.connect();
    drop(supervisor);
    server.signal("HUP");
    server.wait_for("the supervisor was not told RELOADING=1: Connection refused");
    exchange(&mut peer);
    // One that does not read: its queue is full soon, and the loop turns on.
    let supervisor = Supervisor::at_a_path();
    let mut server = supervised(&supervisor.name, &[("WATCHDOG_USEC", "10000")], &[]);
    let mut peer = server.connect();
    server.wait_for("the supervisor was not told WATCHDOG=1");
    exchange(&mut peer);
    drop(supervisor);
}

//! The admin port has its own room: it answers when the server is full, and holds nobody else up.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{Server, exchange};
use crate::wire::{of, start};

pub fn full() {
    let watched = start(&["--max-connections", "2"]);
    let mut peers = [watched.server.connect(), watched.server.connect()];
    let _waits = watched.server.connect();
    peers.iter_mut().for_each(exchange);
    assert_eq!(watched.get("/healthz").text(), "ok\n");
    assert_eq!((watched.metric("stillthere_peers"), watched.metric("stillthere_peers_limit")), (2.0, 2.0));
    assert_eq!(watched.json("/peers")["total"], 2);
    drop(watched);

    // No descriptor is left for peers, and the port still has its own.
    let mut command = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_stillthere");
    let serve = "serve 127.0.0.1:0 --log debug --max-connections 10000 --admin 127.0.0.1:0";
    command.args(["-c", &format!("ulimit -n 140; exec {binary} {serve}")]);
    let mut server = Server::start_with(command);
    let mut peers: Vec<_> = (0..140).map(|_| server.connect()).collect();
    server.wait_for("connections is reached");
    exchange(&mut peers[0]);
    let watched = of(server);
    for _ in 0..20 {
        assert_eq!(watched.get("/healthz").text(), "ok\n");
    }
    let (open, most) = (watched.metric("process_open_fds"), watched.metric("process_max_fds"));
    assert!(watched.metric("stillthere_peers") < 80.0 && open + 90.0 > most, "{open} of {most}");
    exchange(&mut peers[0]);
}

/// As many clients as the port takes, which say nothing, and then one that asks.
pub fn crowd() {
    let watched = start(&[]);
    let mut peer = watched.server.connect();
    exchange(&mut peer);
    let _silent: Vec<_> = (0..64).map(|_| watched.client()).collect();
    std::thread::sleep(Duration::from_millis(1200));
    let started = Instant::now();
    assert_eq!(watched.get("/healthz").text(), "ok\n");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    exchange(&mut peer);
    assert_eq!(watched.json("/peers")["total"], 1);
}

//! Signals at the worst moments: many SIGUSR2, and SIGKILL.

use std::io::Read;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{PATIENCE, descriptors, exchange, http, raise_descriptor_limit};
use crate::crowd::Crowd;
use crate::look;
use crate::program::{Program, REFUSED, UPGRADED, count, signal, upgrade};
use crate::steady::CROWD;

/// An unblocked SIGUSR2 that comes while the new program starts would end the process.
pub fn flood() {
    raise_descriptor_limit(2000);
    let program = Program::new();
    let mut server = program.start(&["--admin", "localhost:0", "--log", "info"]);
    let admin = http::admin(&mut server);
    let crowd = Crowd::start(server.address(), &CROWD);
    let before = (look::peers(admin), descriptors(server.pid()));
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        signal(&server); // it panics if there is no such process
        sleep(Duration::from_millis(2));
    }
    sleep(Duration::from_secs(1));
    let told = look::upgrade(admin);
    println!("{told}");
    assert!(told["generation"].as_u64() > Some(3), "{told}");
    assert_eq!((told["pid"].as_u64(), told["refused"].as_u64()), (Some(server.pid().into()), Some(0)), "{told}");
    let after = look::peers(admin);
    for address in crowd.staying() {
        assert_eq!(before.0[&address].id, after[&address].id);
    }
    crowd.end().check();
    assert!(count(&mut server, UPGRADED) > 3 && count(&mut server, REFUSED) == 0, "{}", server.told());
}

/// Whenever it is killed, all of it is gone at once: no second process holds its peers or its port.
pub fn killed() {
    const ROUNDS: u32 = 60;
    let program = Program::new();
    let mut server = program.start(&["--log", "info"]);
    // How long one takes, on this machine as it is now.
    let once = (0..3).map(|_| {
        let since = Instant::now();
        upgrade(&mut server);
        since.elapsed()
    });
    let takes = once.max().expect("three of them");
    drop(server);
    let mut generations = 0;
    for round in 0..ROUNDS {
        let mut server = program.start(&["--log", "info"]);
        let (pid, address) = (server.pid(), server.address());
        let mut peers: Vec<_> = (0..20).map(|_| server.connect()).collect();
        peers.iter_mut().for_each(exchange);
        signal(&server);
        sleep(takes * 2 * round / ROUNDS + Duration::from_micros(u64::from(round * 7919 % 97)));
        kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).expect("it runs");
        let killed = Instant::now();
        server.wait();
        for mut peer in peers {
            let mut rest = Vec::new();
            let ended = peer.read_to_end(&mut rest);
            assert!(rest.is_empty() && !ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
        }
        while let Some(other) = running(&program.path()) {
            // The rehearsal may be under way: it ends by itself, and holds nobody meanwhile.
            assert!(killed.elapsed() < Duration::from_secs(2), "round {round}: {other} is left");
            sleep(Duration::from_millis(2));
        }
        // A process that ends gives up its program before its sockets (`do_exit` in Linux's kernel/exit.c).
        while std::net::TcpStream::connect(address).is_ok() {
            assert!(killed.elapsed() < Duration::from_secs(2), "round {round}: somebody still listens");
            sleep(Duration::from_millis(2));
        }
        generations += usize::from(server.wait_for_within(UPGRADED, Duration::from_millis(50)).is_some());
    }
    println!("an upgrade takes {takes:?}; {generations} of {ROUNDS} had been upgraded before they were killed");
    assert!(
        (3..ROUNDS as usize - 3).contains(&generations),
        "{generations}: the moments are not spread over an upgrade"
    );
}

/// A process that runs this file.
fn running(path: &str) -> Option<String> {
    let mut processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    processes.find_map(|process| {
        let exe = std::fs::read_link(process.path().join("exe")).ok()?;
        (exe.to_string_lossy().trim_end_matches(" (deleted)") == path).then(|| process.path().display().to_string())
    })
}

/// What is sent while an upgrade is under way is obeyed by whichever program is there then.
pub fn others() {
    let program = Program::new();
    for (round, pause) in (0..12).map(|round| (round, Duration::from_millis(round * 6))) {
        let mut server = program.start(&["--log", "info"]);
        let mut peer = server.connect();
        exchange(&mut peer);
        signal(&server);
        sleep(pause);
        server.signal("USR1");
        server.signal("TERM");
        let since = Instant::now();
        assert!(server.wait().success(), "round {round}: {}", server.told());
        assert!(since.elapsed() < PATIENCE / 2);
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).expect("an orderly end");
        server.wait_for("stopped: ");
    }
    // Two at once are one, or two; never none, and the server is there afterwards.
    let mut server = program.start(&["--log", "info"]);
    signal(&server);
    signal(&server);
    server.wait_for(UPGRADED);
    upgrade(&mut server);
    exchange(&mut server.connect());
}

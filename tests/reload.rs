//! SIGHUP: the configuration is read again while peers are served.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::common::again::fill;
use crate::common::{Server, again, connect, exchange};

mod common;

/// A server with a configuration file, which is removed with it.
struct Configured {
    server: Server,
    file: PathBuf,
}

impl Configured {
    /// `arguments` come before the file.
    fn start(name: &str, text: &str, arguments: &[&str]) -> Self {
        let file = std::env::temp_dir().join(format!("stillthere-reload-{name}-{}.conf", std::process::id()));
        fs::write(&file, text).expect("a file can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
        command.args(["serve", "127.0.0.1:0", "--config"]).arg(&file).args(arguments);
        Self { server: Server::start_with(command), file }
    }

    /// Writes the file anew and sends SIGHUP; the line that the server logs about it.
    fn reload(&mut self, text: &str) -> String {
        fs::write(&self.file, text).expect("a file can be written");
        self.hang_up()
    }

    fn hang_up(&mut self) -> String {
        self.server.signal("HUP");
        let line = self.server.wait_for(self.file.to_str().unwrap()).1;
        line[25..].to_string()
    }

    /// What a line about this file begins with.
    fn reloaded(&self, what: &str) -> String {
        format!("INFO  reloaded {}: {what}", self.file.display())
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

const UPGRADE: &str = if cfg!(feature = "upgrade") { "an upgrade (SIGUSR2)" } else { "a restart" };

#[test]
fn what_changes_is_told_and_nobody_leaves() {
    let mut configured = Configured::start("told", "log info\nmax-connections 2\n", &[]);
    let mut peer = configured.server.connect();
    exchange(&mut peer);
    assert_eq!(configured.hang_up(), configured.reloaded("nothing has changed"));
    assert_eq!(
        configured.reload("log debug\nmax-connections 3\ndeadline 60s\nlisten [::1]:1\n"),
        // The place is on the command line, which comes first.
        configured.reloaded(&format!(
            "log info → debug, max-connections 2 → 3; {UPGRADE} is wanted for deadline default → 60s"
        ))
    );
    // The level is the new one.
    let mut second = configured.server.connect();
    exchange(&mut second);
    configured.server.wait_for(" arrived");
    // What wants an upgrade is named each time, and what is given in another spelling, too.
    assert_eq!(
        configured.reload("log debug\nmax-connections 3\ndeadline 1m\n"),
        configured.reloaded(&format!("nothing changes at once; {UPGRADE} is wanted for deadline default → 1m"))
    );
    assert_eq!(configured.reload("max-connections 3"), configured.reloaded("log debug → default"));
    exchange(&mut peer);
    exchange(&mut second);
}

#[test]
fn a_file_that_is_wrong_changes_nothing() {
    let mut configured = Configured::start("wrong", "max-connections 2\n", &["--log", "info"]);
    let mut peer = configured.server.connect();
    exchange(&mut peer);
    let file = configured.file.display().to_string();
    let refused = |what: &str| format!("WARN  SIGHUP: the settings stay as they are: {what}");
    assert_eq!(
        configured.reload("max-connections 1\nstaled 60s\n"),
        refused(&format!(
            "{file}:2: there is no option staled; did you mean stalled?; `stillthere serve --help all` lists the options"
        ))
    );
    let line = configured.reload("max-connections 1\nstalled soon\nidle 0s\nlog loud");
    assert!(line.starts_with(&refused(&format!("{file}:2: stalled soon: it must be a duration"))), "{line}");
    assert!(line.ends_with(" (3 mistakes in all; --check names them)"), "{line}");
    fs::remove_file(&file).unwrap();
    let line = configured.hang_up();
    assert!(line.contains("cannot be read: No such file or directory"), "{line}");
    fs::create_dir(&file).unwrap();
    let line = configured.hang_up();
    fs::remove_dir(&file).unwrap();
    assert!(line.contains("it is a directory"), "{line}");
    // A FIFO that nobody writes to must not hold the loop.
    assert!(Command::new("mkfifo").arg(&file).status().is_ok_and(|status| status.success()));
    let line = configured.hang_up();
    assert!(line.contains("it is no regular file"), "{line}");
    fs::remove_file(&file).unwrap();
    // There is still room for two, which is what held before.
    let mut second = configured.server.connect();
    exchange(&mut second);
    exchange(&mut peer);
    assert_eq!(configured.reload("max-connections 2\n"), configured.reloaded("nothing has changed"));
}

#[test]
fn room_is_made_and_taken_away() {
    let mut configured = Configured::start("room", "max-connections 1\nwhen-full wait\n", &[]);
    let mut first = configured.server.connect();
    exchange(&mut first);
    // The second waits in the backlog; a reload gives it room at once.
    let mut second = configured.server.connect();
    second.write_all(b"hello").unwrap();
    configured.server.wait_for("the limit of 1 connection is reached");
    configured.reload("max-connections 2\nwhen-full refuse\n");
    second.read_exact(&mut [0; 5]).expect("it is served");
    // Less room than there are peers: they stay, and newcomers are refused.
    assert_eq!(
        configured.reload("max-connections 1\nwhen-full refuse\n"),
        configured.reloaded("max-connections 2 → 1")
    );
    let refused = |address| {
        let mut third = connect(address);
        let _ = third.write_all(b"x");
        matches!(again::read(&third, &mut [0]), Ok(0) | Err(_))
    };
    assert!(refused(configured.server.address()));
    exchange(&mut first);
    exchange(&mut second);
    drop(second);
    // One is left, and that is the limit. From one address there may be two, then one.
    assert!(refused(configured.server.address()));
    configured.reload("max-per-address 2\n");
    let mut second = configured.server.connect();
    exchange(&mut second);
    configured.reload("max-per-address 1\nmax-connections 9\n");
    assert!(refused(configured.server.address()), "two are there already");
    exchange(&mut second);
    configured.reload("max-per-address 3\n");
    exchange(&mut configured.server.connect());
}

/// Peers that came when no peer had to make room for another one do so from now on.
#[test]
fn the_oldest_idle_peer_makes_room_after_a_reload() {
    let mut configured = Configured::start("evict", "max-connections 2\n", &["--log", "info"]);
    let mut oldest = configured.server.connect();
    exchange(&mut oldest);
    std::thread::sleep(Duration::from_millis(200));
    let mut busy = configured.server.connect();
    exchange(&mut busy);
    configured.reload("max-connections 2\nwhen-full evict-oldest-idle\n");
    std::thread::sleep(Duration::from_millis(1200));
    exchange(&mut busy);
    exchange(&mut configured.server.connect());
    assert!(matches!(again::read(&oldest, &mut [0]), Ok(0) | Err(_)), "it was idle longest");
    exchange(&mut busy);
}

/// A peer that was stuck before there was a limit for that is found all the same, and one that moves is not.
#[test]
fn output_that_was_stuck_before_is_found() {
    let mut configured = Configured::start("stalled", "", &["--log", "info"]);
    let stuck = configured.server.connect();
    let mut living = configured.server.connect();
    exchange(&mut living);
    fill(&stuck, usize::MAX);
    assert_eq!(configured.reload("stalled 1s"), configured.reloaded("stalled default → 1s"));
    configured.server.wait_for("departed: 1 stalled");
    // The terms change for those that are looked at already: off, and on again.
    let stuck = configured.server.connect();
    fill(&stuck, usize::MAX);
    configured.reload("stalled off");
    let quiet = configured.server.wait_for_within("departed: 1 stalled", Duration::from_secs(3));
    assert_eq!(quiet, None, "it is allowed now");
    configured.reload("stalled 1500ms");
    configured.server.wait_for("departed: 1 stalled");
    exchange(&mut living);
}

/// What a reload cannot do, an upgrade does: with the same peers, and the same file.
#[cfg(feature = "upgrade")]
#[test]
fn an_upgrade_does_what_a_reload_names() {
    let mut configured = Configured::start("upgrade", "deadline 30s\nmax-connections 2\n", &["--log", "info"]);
    let mut peer = configured.server.connect();
    exchange(&mut peer);
    let line = configured.reload("deadline 60s\nmax-connections 1\n");
    assert_eq!(
        line,
        configured.reloaded(&format!("max-connections 2 → 1; {UPGRADE} is wanted for deadline 30s → 60s"))
    );
    configured.server.signal("USR2");
    configured.server.wait_for("a silent peer is gone 60.0 to ");
    configured.server.wait_for("upgraded from ");
    exchange(&mut peer);
    assert_eq!(configured.hang_up(), configured.reloaded("nothing has changed"));
    // A file that is wrong refuses an upgrade, and is told as a reload tells it.
    fs::write(&configured.file, "deadline 1s\n").unwrap();
    configured.server.signal("USR2");
    let line = configured.server.wait_for("refused").1;
    assert!(line.contains(&format!("{}:1: deadline 1s: ", configured.file.display())), "{line}");
    exchange(&mut peer);
    let line = configured.hang_up();
    assert!(line.contains(":1: deadline 1s: "), "{line}");
}

#[cfg(feature = "events")]
#[test]
fn the_events_are_opened_anew_whatever_the_file_says() {
    let events = std::env::temp_dir().join(format!("stillthere-reload-events-{}", std::process::id()));
    let rotated = events.with_extension("1");
    let path = events.to_str().unwrap().to_string();
    let mut configured = Configured::start("events", &format!("events {path}\n"), &["--log", "info"]);
    for text in [format!("events {path}\n"), format!("idle 0s\nevents {path}\n")] {
        fs::rename(&events, &rotated).unwrap();
        configured.reload(&text);
        let until = std::time::Instant::now() + common::PATIENCE;
        while !events.exists() {
            assert!(std::time::Instant::now() < until, "no new file; {}", configured.server.told());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let line = configured.reload("events /dev/null\n");
    assert!(line.contains(&format!("{UPGRADE} is wanted for events {path} → /dev/null")), "{line}");
    for file in [events, rotated] {
        let _ = fs::remove_file(file);
    }
}

#[test]
fn without_a_file_there_is_nothing_to_read() {
    let mut server = Server::start(&[]);
    server.signal("HUP");
    let line = server.wait_for("SIGHUP").1;
    assert!(
        line.contains("is ignored: no file is written to, and none was given by --config; SIGTERM stops"),
        "{line}"
    );
    exchange(&mut server.connect());
}

/// Peers that take every descriptor they can get do not keep the file from being opened.
#[test]
fn the_file_is_read_when_descriptors_are_short() {
    let file = std::env::temp_dir().join(format!("stillthere-reload-short-{}.conf", std::process::id()));
    fs::write(&file, "log info\n").expect("a file can be written");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40 && exec \"$0\" serve 127.0.0.1:0 --config \"$1\""]);
    command.arg(env!("CARGO_BIN_EXE_stillthere")).arg(&file);
    let mut configured = Configured { server: Server::start_with(command), file };
    let peers: Vec<_> = (0..40).map(|_| configured.server.connect()).collect();
    configured.server.wait_for("the limit of 20 connections is reached");
    assert_eq!(configured.reload("log debug\n"), configured.reloaded("log info → debug"));
    // One connection less, or as many as there are descriptors: both can be had later.
    assert_eq!(
        configured.reload("log debug\nmax-connections 19\n"),
        configured.reloaded("max-connections default → 19")
    );
    configured.reload("log debug\n");
    drop(peers);
    exchange(&mut configured.server.connect());
}

/// Many signals at once, while the server is busy: it goes on.
#[test]
fn a_storm_of_signals_is_survived() {
    let mut configured = Configured::start("storm", "log info\n", &[]);
    let mut peer = configured.server.connect();
    for nth in 0..100 {
        fs::write(&configured.file, format!("max-connections {}\nmax-output {}K\n", 10 + nth, 4 + nth)).unwrap();
        configured.server.signal("HUP");
        exchange(&mut peer);
    }
    let last = "max-connections 109, max-output 103K";
    let _ = last;
    assert_eq!(configured.reload("max-connections 9\n").split(": ").next(), configured.reloaded("").split(": ").next());
    exchange(&mut peer);
}

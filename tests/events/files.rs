//! Files: renamed, full, torn, and pipes with a name.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::Duration;

use crate::common::{PATIENCE, Server, connect, exchange};
use crate::peers::Written;
use crate::story::{Directory, Story, read_rest, read_until};

/// logrotate: rename, then SIGHUP. Events come all the while.
pub fn renamed() {
    let mut written = Written::start(&[]);
    let mode = fs::metadata(written.directory.path("events")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
    let path = |n: usize| written.directory.path(&if n == 0 { "events".to_string() } else { format!("events.{n}") });
    thread::scope(|scope| {
        let address = written.server.address();
        let visiting = scope.spawn(move || (0..500).for_each(|_| exchange(&mut connect(address))));
        for n in 1..=4 {
            sleep(Duration::from_millis(50));
            fs::rename(path(0), path(n)).unwrap();
            written.server.signal("HUP");
            // The new file is made at once, though there may be nothing to write.
            written.directory.wait_for("events", "");
            while !fs::exists(path(0)).unwrap() {
                sleep(Duration::from_millis(1));
            }
        }
        visiting.join().unwrap();
    });
    written.server.wait_for("is opened anew");
    written.server.signal("TERM");
    written.server.wait();
    let text: String = (1..=4).chain([0]).map(|n| fs::read_to_string(path(n)).unwrap()).collect();
    for n in 1..=4 {
        let text = fs::read_to_string(path(n)).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "a line goes into one file: {text}");
    }
    let story = Story::whole(&text);
    assert_eq!((story.count("arrival"), story.count("departure"), story.count("stop")), (500, 500, 1));
    // If the new file cannot be opened, the old one is written to. Without a file, the signal is ignored.
    let mut written = Written::start(&[]);
    let away = Directory::new();
    fs::rename(&written.directory.0, away.path("moved")).unwrap();
    written.server.signal("HUP");
    written.server.wait_for("cannot be opened anew");
    exchange(&mut written.server.connect());
    away.wait_for("moved/events", "\"departure\"");
    let mut server = Server::start(&[]);
    server.signal("HUP");
    server.wait_for("SIGHUP is ignored");
    exchange(&mut server.connect());
}

/// The disk is full: it is said once, lines wait, and are written when there is room again.
pub fn full() {
    let mut server = Server::start(&["--events", "/dev/full"]);
    server.wait_for("events to /dev/full: No space left");
    (0..100).for_each(|_| exchange(&mut server.connect()));
    sleep(Duration::from_secs(1));
    server.signal("TERM");
    let (_, told) = server.wait_for(" never written");
    assert!(told.contains("202 events"), "{told}");
    assert!(server.wait().success());
    assert_eq!(
        server.log.iter().filter(|(_, line)| line.contains("No space left") && line.contains(" WARN ")).count(),
        1
    );
    // A limit on the size of files stands for the disk: part of a line is written, and the rest later.
    let directory = Directory::new();
    let path = directory.path("events");
    let mut command = Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_stillthere");
    let script = format!("trap '' XFSZ; ulimit -S -f 1; exec {binary} serve 127.0.0.1:0 --log debug --events {path}");
    command.args(["-c", &script]);
    let mut server = Server::start_with(command);
    (0..20).for_each(|_| exchange(&mut server.connect()));
    server.wait_for("File too large");
    sleep(Duration::from_millis(300));
    let held = fs::metadata(&path).unwrap().len();
    assert!(held == 512 || held == 1024, "{held} bytes");
    let pid = rustix::process::Pid::from_raw(server.pid() as i32);
    let unlimited = rustix::process::Rlimit { current: None, maximum: None };
    rustix::process::prlimit(pid, rustix::process::Resource::Fsize, unlimited).expect("a soft limit can be raised");
    directory.wait_for("events", "\"seq\":41,");
    server.signal("TERM");
    server.wait();
    let story = Story::whole(&directory.wait_for("events", "\"stop\""));
    assert_eq!((story.count("departure"), story.count("left_out")), (20, 0));
}

pub fn torn() {
    // A writer that was killed in the middle of a line spoils that line, and not the next one as well.
    let directory = Directory::new();
    let path = directory.path("events");
    fs::write(&path, "{\"event\":\"arr").unwrap();
    let mut server = Server::start(&["--events", &path]);
    exchange(&mut server.connect());
    let text = directory.wait_for("events", "\"departure\"");
    let (torn, rest) = text.split_once('\n').unwrap();
    assert_eq!(torn, "{\"event\":\"arr");
    assert_eq!(Story::whole(rest).0.len(), 3);
    // copytruncate: what follows is at the beginning of the file, without a hole of zeros before it.
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    exchange(&mut server.connect());
    let text = directory.wait_for("events", "\"departure\"");
    assert_eq!(Story::of(&text).0.len(), 2, "{text:?}");
    server.signal("TERM");
    server.wait();
    // Two servers may append to one file.
    let path = directory.path("both");
    let mut servers = [Server::start(&["--events", &path]), Server::start(&["--events", &path])];
    thread::scope(|scope| {
        for address in servers.iter().map(Server::address) {
            scope.spawn(move || (0..300).for_each(|_| exchange(&mut connect(address))));
        }
    });
    for server in &mut servers {
        server.signal("TERM");
        server.wait();
    }
    assert_eq!(Story::of(&fs::read_to_string(path).unwrap()).0.len(), 2 * (2 * 300 + 2));
}

/// Nobody need read it when the server starts, and its reader may go and come back.
pub fn fifo() {
    let directory = Directory::new();
    let path = directory.path("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut server = Server::start(&["--events", &path]);
    server.wait_for("fifo: nobody reads it yet");
    exchange(&mut server.connect());
    let mut reader = File::open(&path).unwrap();
    let mut text = read_until(&mut reader, |text| text.contains("\"departure\""));
    drop(reader);
    server.wait_for("the reader has gone");
    exchange(&mut server.connect());
    let mut reader = File::open(&path).unwrap();
    text += &read_until(&mut reader, |text| text.contains("\"departure\""));
    server.signal("TERM");
    text += &read_rest(&mut reader);
    server.wait();
    assert_eq!(Story::whole(&text).count("stop"), 1);
}

pub fn said() {
    let directory = Directory::new();
    let unreadable = directory.path("no/such/directory");
    let socket = directory.path("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (to, said) in [
        (unreadable.as_str(), "No such file or directory"),
        (directory.0.to_str().unwrap(), "Is a directory"),
        (&socket, &format!("unix:{socket}")),
        ("tcp:no-such-name.invalid:5170", "no-such-name.invalid"),
        ("udp:127.0.0.1:514", "unix:PATH or tcp:ADDR:PORT"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
        let child =
            command.args(["serve", "127.0.0.1:0", "--events", to]).stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let mut text = String::new();
        let until = std::time::Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() {
            assert!(std::time::Instant::now() < until, "{to}: it should not start");
            sleep(Duration::from_millis(5));
        }
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(text.contains(said) && !child.wait().unwrap().success(), "{to}: {text:?} does not contain {said:?}");
    }
    let _ = std::io::stderr().flush();
}

//! Whoever reads what the program tells may be stuck, or go: no peer is to wait for that, and nothing is torn.

mod common;

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{PATIENCE, Server, connect, status};

/// The standard library has pipes since Rust 1.87.
fn pipe() -> io::Result<(File, File)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((reader.into(), writer.into()))
}

/// A server whose log is read by this test, or not.
struct Told<R> {
    child: Child,
    reader: R,
    address: SocketAddr,
    log: Vec<u8>,
}

impl<R: Read + AsFd> Told<R> {
    /// `writer` is the server's stderr, `reader` where it comes out.
    fn start(reader: R, writer: OwnedFd) -> Self {
        // An address of this test's own, because it is told in the log, which may be stuck.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = Server::command(&[&address.to_string()]);
        let child = command.stdin(Stdio::null()).stderr(writer).spawn().expect("the server starts");
        let mut told = Self { child, reader, address, log: Vec::new() };
        told.read_until("a silent peer is gone");
        told
    }

    fn read_until(&mut self, part: &str) {
        let mut piece = [0; 512];
        while !self.text().contains(part) {
            let count = self.reader.read(&mut piece).expect("the log can be read");
            assert!(count > 0, "the log ended without {part:?}:\n{}", self.text());
            self.log.extend_from_slice(&piece[..count]);
        }
    }

    /// Reads until the server has ended. A terminal then says EIO.
    fn read_rest(&mut self) {
        let mut piece = [0; 512];
        while let Ok(count @ 1..) = self.reader.read(&mut piece) {
            self.log.extend_from_slice(&piece[..count]);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.log).replace('\r', "")
    }

    /// So many come and go, each answered, and each two lines in the log.
    fn serve(&self, peers: usize) {
        for _ in 0..peers {
            let mut peer = connect(self.address);
            peer.write_all(b"hello").unwrap();
            peer.read_exact(&mut [0; 5]).expect("it serves, though nobody reads its log");
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "the server does not end");
            sleep(Duration::from_millis(10));
        }
    }

    /// The log has whole lines only, and tells of those that it does not have. How many it has, and not.
    fn count(&self) -> (u64, u64) {
        let text = self.text();
        assert!(text.ends_with('\n'), "torn at the end: {:?}", text.lines().last());
        let levels = [" INFO  ", " WARN  ", " DEBUG "];
        let (mut told, mut left_out) = (0, 0);
        for line in text.lines() {
            let whole = line.starts_with("20") && levels.iter().any(|level| line.contains(level));
            assert!(whole && line.matches("Z ").count() == 1, "torn: {line:?}");
            match line.split_once(" WARN  ").and_then(|(_, words)| words.split_once(" left out here")) {
                Some((count, _)) => {
                    left_out += count.split(' ').next().and_then(|count| count.parse::<u64>().ok()).expect("a number");
                }
                None => told += 1,
            }
        }
        (told, left_out)
    }

    /// What happens to a log that is not read: the peers are served, and later it is told what is missing.
    fn is_stuck_and_then_read(&mut self) {
        const PEERS: usize = 1500;
        self.serve(PEERS);
        // Slower than the server: lines fit again one by one.
        while !self.text().contains("lines were left out here") {
            let mut piece = [0; 100];
            let count = self.reader.read(&mut piece).unwrap();
            self.log.extend_from_slice(&piece[..count]);
            self.serve(1);
        }
        self.signal("TERM");
        self.read_rest();
        assert_eq!(self.wait().code(), Some(0));
        let (told, left_out) = self.count();
        assert!(told > 10 && left_out > 10, "{told} lines, and {left_out} left out");
        assert!(told + left_out >= 2 * PEERS as u64, "{told} lines, and {left_out} left out, of {}", 2 * PEERS);
    }
}

impl<R> Drop for Told<R> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status flags of an open file description (proc(5), fdinfo).
fn flags(of: &impl AsRawFd) -> u32 {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", of.as_raw_fd())).unwrap();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags");
    u32::from_str_radix(flags.trim(), 8).expect("an octal number")
}

#[test]
fn a_full_pipe_keeps_nobody_waiting() {
    let (reader, writer) = pipe().unwrap();
    let shared = writer.try_clone().unwrap();
    let before = flags(&shared);
    let mut told = Told::start(reader, writer.into());
    assert_eq!(flags(&shared), before, "others write to this pipe, too, and are not to be surprised");
    drop(shared);
    told.is_stuck_and_then_read();
}

/// What the pipe had not taken when another program went on is not lost, either.
#[test]
#[cfg(feature = "upgrade")]
fn a_full_pipe_is_told_of_what_is_missing_after_an_upgrade_too() {
    let (reader, writer) = pipe().unwrap();
    let mut told = Told::start(reader, writer.into());
    let mut stays = connect(told.address);
    // Each execve(2) has another one (AT_RANDOM and the vDSO are elsewhere).
    let path = format!("/proc/{}/auxv", told.child.id());
    let execution = || std::fs::read(&path).unwrap();
    for _ in 0..2 {
        told.serve(700);
        let before = execution();
        told.signal("USR2");
        let until = Instant::now() + PATIENCE;
        while execution() == before {
            assert!(Instant::now() < until, "no other program goes on");
            sleep(Duration::from_millis(10));
        }
        stays.write_all(b"hello").unwrap();
        stays.read_exact(&mut [0; 5]).expect("the peer stays");
    }
    told.is_stuck_and_then_read();
    let (lines, left_out) = told.count();
    assert!(lines + left_out >= 2 * (1400 + 1500), "{lines} lines, and {left_out} left out");
}

#[test]
fn a_full_socket_keeps_nobody_waiting() {
    let (reader, writer) = UnixStream::pair().unwrap();
    let shared = writer.try_clone().unwrap();
    let before = flags(&shared);
    // Room for few lines.
    socket2::SockRef::from(&shared).set_send_buffer_size(8192).unwrap();
    let mut told = Told::start(reader, writer.into());
    assert_eq!(flags(&shared), before);
    drop(shared);
    told.is_stuck_and_then_read();
}

/// A terminal emulator that does not read, or Ctrl-S.
fn terminal() -> (File, OwnedFd) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&own).unwrap();
    unlockpt(&own).unwrap();
    let name = ptsname(&own, Vec::new()).unwrap().into_string().unwrap();
    let other = File::options().read(true).write(true).open(name).unwrap();
    (own.into(), other.into())
}

#[test]
fn a_terminal_that_hangs_keeps_nobody_waiting() {
    let (reader, writer) = terminal();
    Told::start(reader, writer).is_stuck_and_then_read();
}

#[test]
fn a_terminal_that_is_stopped_keeps_nobody_waiting() {
    let (reader, writer) = terminal();
    let mut told = Told::start(reader, writer);
    told.reader.write_all(b"\x13").unwrap(); // Ctrl-S
    sleep(Duration::from_millis(100));
    told.serve(200);
    told.reader.write_all(b"\x11").unwrap(); // Ctrl-Q
    sleep(Duration::from_millis(100));
    told.serve(1);
    told.read_until("lines were left out here");
    told.read_until("departed: closed");
    told.serve(1);
    told.signal("TERM");
    told.read_rest();
    assert_eq!(told.wait().code(), Some(0));
    let (lines, left_out) = told.count();
    assert!(left_out > 300 && lines + left_out >= 404, "{lines} lines, and {left_out} left out");
}

#[test]
fn a_full_pipe_does_not_keep_it_from_ending() {
    let (reader, writer) = pipe().unwrap();
    let mut told = Told::start(reader, writer.into());
    told.serve(1500);
    let before = status(told.child.id(), "voluntary_ctxt_switches");
    sleep(Duration::from_millis(500));
    assert!(status(told.child.id(), "voluntary_ctxt_switches") - before < 20, "it does not try all the time");
    told.signal("TERM");
    assert_eq!(told.wait().code(), Some(0));
    told.read_rest();
    told.count(); // nothing is torn
    // Where the reader is only slow, the last that it reads is what it missed.
    let (reader, writer) = pipe().unwrap();
    let mut told = Told::start(reader, writer.into());
    told.serve(1500);
    told.signal("TERM");
    while TcpStream::connect(told.address).is_ok() {
        sleep(Duration::from_millis(10));
    }
    told.read_rest();
    assert_eq!(told.wait().code(), Some(0));
    let (lines, left_out) = told.count();
    assert!(lines + left_out >= 3000 && left_out > 100, "{lines} lines, and {left_out} left out");
}

const ONE_SHOT: &[&[&str]] = &[
    &["--help"],
    &["--version"],
    &["serve", "--help"],
    #[cfg(feature = "plan")]
    &["plan"],
    #[cfg(feature = "plan")]
    &["plan", "--json"],
    #[cfg(feature = "lab")]
    &["lab", "list"],
];

#[test]
fn a_reader_that_has_gone_ends_it_quietly() {
    for arguments in ONE_SHOT {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_stillthere"))
            .args(*arguments)
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(Child::wait_with_output)
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_written_for_another_reason_is_said() {
    for arguments in ONE_SHOT {
        let full = match File::options().write(true).open("/dev/full") {
            Ok(full) => full,
            Err(error) if error.kind() == ErrorKind::NotFound => return eprintln!("NOT TESTED: there is no /dev/full"),
            Err(error) => panic!("{error}"),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
        let output = command.args(*arguments).stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).spawn();
        let output = output.and_then(Child::wait_with_output).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("stillthere: cannot write to standard output: No space left"), "{said}");
    }
}

/// Nobody sees the verdict of a scene whose reader has gone: it ends, and says nothing. But not if a file is wanted.
#[cfg(feature = "lab")]
#[test]
fn a_scene_ends_with_its_reader() {
    let (mut reader, writer) = pipe().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_stillthere"))
        .args(["lab", "run", "idle/none", "--deadline", "10s"])
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let read = reader.read(&mut [0; 10]).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("the lab makes") {
        return eprintln!("NOT TESTED: {said}");
    }
    assert!(read > 0 && began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    assert_eq!((output.status.code(), &*said), (Some(1), ""));
}

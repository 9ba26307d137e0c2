//! What a test does that may run on a machine that is frozen for a moment: calls are made again, and what the freeze has caused is not
//! counted.
//!
//! A call on a socket with a timeout fails with EINTR without any signal handler when the process was stopped and goes on (signal(7)).
//! `write_all` and `read_exact` of the standard library make it again, `read` and `write` do not. `make stopped` runs all tests in that way.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

/// Whether this line of strace is a call that says something of the program: neither the wait that was under way when strace attached or
/// detached, nor one that ended because the machine was frozen for a moment.
pub fn is_its_own(line: &str) -> bool {
    !["<detached", "resumed>", "= -1 EINTR ("].iter().any(|mark| line.contains(mark))
}

/// Whether a program does nothing at all for a while, which a machine that is frozen for a moment disturbs: it is looked at several times.
pub fn rests<T: PartialEq>(mut figures: impl FnMut() -> T, a_while: Duration) -> bool {
    (0..4).any(|_| {
        let before = figures();
        thread::sleep(a_while);
        figures() == before
    })
}

fn again(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Waits for something to read, or the end. poll(2) goes on by itself when the process does.
pub fn has_more(from: &impl AsFd, patience: Duration) -> bool {
    let patience = patience.try_into().expect("no more than the kernel can count");
    poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&patience)).expect("it can be waited for") > 0
}

pub fn read(mut from: impl Read, into: &mut [u8]) -> io::Result<usize> {
    again(|| from.read(into))
}

pub fn write(mut to: impl Write, bytes: &[u8]) -> io::Result<usize> {
    again(|| to.write(bytes))
}

/// Runs the command, and stops it with all that it has started for a moment, again and again, until it has ended.
pub fn suspended(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    while child.try_wait().expect("a child can be waited for").is_none() {
        let family: Vec<_> = family(child.id()).iter().map(u32::to_string).collect();
        for signal in ["STOP", "CONT"] {
            // One that has ended meanwhile cannot be sent anything.
            let _ = Command::new("kill").args(["-s", signal]).args(&family).stderr(Stdio::null()).status();
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("its output can be read")
}

/// A process and all that it has started, and so on.
fn family(process: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> =
        children.flat_map(|all| all.split_whitespace().flat_map(str::parse).collect::<Vec<_>>()).collect();
    [process].into_iter().chain(children.into_iter().flat_map(family)).collect()
}

/// Writes up to `most` bytes, until neither the server nor the kernel has taken any for half a second. Returns how many were written.
pub fn fill(to: &TcpStream, most: usize) -> usize {
    const QUIET: Duration = Duration::from_millis(500);
    to.set_write_timeout(Some(QUIET)).expect("a timeout can be set");
    let (piece, mut written, mut moved) = ([b'x'; 16 * 1024], 0, Instant::now());
    while written < most {
        match (&*to).write(&piece[..piece.len().min(most - written)]) {
            Ok(count) => (written, moved) = (written + count, Instant::now()),
            // The time that was waited before an interruption counts.
            Err(error) if error.kind() == ErrorKind::Interrupted && moved.elapsed() < QUIET => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => break,
            Err(error) => panic!("the server cannot be written to: {error}"),
        }
    }
    written
}

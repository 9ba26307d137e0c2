//! Calls on sockets that have a timeout, made again when they are interrupted.
//!
//! Such a call fails with EINTR without any signal handler when the process was stopped and goes on (signal(7)): after a Ctrl-Z, and on a
//! machine that is frozen for a moment. `write_all` and `read_exact` of the standard library make it again, `read` and `write` do not.
//! `make stopped` runs all tests in that way.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

pub fn again(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

pub fn read(mut from: impl Read, into: &mut [u8]) -> io::Result<usize> {
    again(|| from.read(into))
}

pub fn write(mut to: impl Write, bytes: &[u8]) -> io::Result<usize> {
    again(|| to.write(bytes))
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

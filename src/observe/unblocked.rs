//! Descriptors that we were given, and to which no write may block.
//!
//! O_NONBLOCK belongs to the open file description (open(2)), which we share with the shell and with whoever else writes there:
//! to set it would change theirs. So a pipe or a terminal is opened once more. If that is impossible (a socket, another user's
//! terminal), poll(2) is asked before each write. A file never blocks.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a pipe takes as a whole or not at all, and what it takes at once if it has room (pipe(7), PIPE_BUF).
pub(super) const PIECE: usize = 4096;

/// A non-blocking open file description of our own, for what one of our descriptors leads to: `/proc/self/fd/2`.
///
/// # Errors
/// Those of open(2): a socket cannot be opened, nor can another user's terminal.
pub(super) fn open_once_more(descriptor: &str) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(descriptor)
}

/// Whether a write would find room within this time, or an error.
pub(super) fn takes_more(descriptor: &impl AsFd, within: Duration) -> bool {
    becomes(descriptor, PollFlags::OUT, within)
}

/// Whether a read would find something within this time, or the end, or an error.
#[cfg(feature = "events")]
pub(super) fn has_more(descriptor: &impl AsFd, within: Duration) -> bool {
    becomes(descriptor, PollFlags::IN, within)
}

fn becomes(descriptor: &impl AsFd, what: PollFlags, within: Duration) -> bool {
    // `as _`: the type of the nanoseconds depends on the architecture.
    let within = Timespec { tv_sec: within.as_secs() as i64, tv_nsec: within.subsec_nanos() as _ };
    poll(&mut [PollFd::new(descriptor, what)], Some(&within)).is_ok_and(|ready| ready > 0)
}

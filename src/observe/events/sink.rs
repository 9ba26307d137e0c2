//! What events are written to: one value for each kind, opened, written to and closed alike.
//!
//! Owns how each is opened without waiting, and how it is kept from blocking. Knows no lines, and does not decide when to try again.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use mio::net::UnixStream;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::keepalive::Keepalive;
use crate::observe::events::collector::Collector;
use crate::observe::unblocked::{PIECE, has_more, open_once_more, takes_more};
use crate::reactor::Moment;

const STDOUT: &str = "/proc/self/fd/1";
/// Whoever may read the log may read the events; nobody else.
const MODE: u32 = 0o640;
/// The most that is written at once to what takes more than a pipe.
const LARGE_PIECE: usize = 32 * 1024;

/// Where lines are written to.
#[derive(Debug)]
pub(super) enum Sink {
    /// A file, or a device like one: it always takes all, or fails. epoll does not know it.
    File(File),
    /// A pipe, a FIFO or a terminal, with an open file description of our own, which does not block.
    Pipe(File),
    /// A descriptor whose description others share. It is asked before each write whether it would block.
    Shared(File),
    Unix(UnixStream),
    Tcp(Collector),
}

/// What was found when a sink was opened, beside the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Lines can be written.
    Ready,
    /// A file whose last line has no end: a writer died, or the disk was full.
    Torn,
    /// The connection is being made.
    Connecting,
}

impl Sink {
    /// Standard output, whatever it is.
    pub(super) fn stdout(registry: &Registry, token: Token) -> io::Result<Self> {
        let shared = || io::Result::Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
        let is_file = std::fs::metadata(STDOUT).is_ok_and(|stdout| stdout.is_file());
        let sink = match open_once_more(STDOUT) {
            // A file is not opened once more: its offset belongs to the description, and others may write there, too.
            _ if is_file => Self::File(shared()?),
            Ok(own) => Self::Pipe(own),
            Err(_) => Self::Shared(shared()?),
        };
        sink.registered(registry, token)
    }

    /// A file, which is made if there is none; or a FIFO that somebody reads.
    pub(super) fn file(path: &Path, registry: &Registry, token: Token) -> io::Result<(Self, Found)> {
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(flags).open(path)?;
        let found = if is_torn(&file, path) { Found::Torn } else { Found::Ready };
        Ok((Self::Pipe(file).registered(registry, token)?, found))
    }

    pub(super) fn unix(path: &Path, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut stream = UnixStream::connect(path)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self::Unix(stream))
    }

    pub(super) fn tcp(
        address: SocketAddr,
        keepalive: &mut Keepalive,
        now: Moment,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        Ok(Self::Tcp(Collector::connect(address, keepalive, now, registry, token)?))
    }

    /// The same, known to epoll; what epoll does not know (EPERM) never blocks (epoll_ctl(2)).
    fn registered(self, registry: &Registry, token: Token) -> io::Result<Self> {
        let registered = registry.register(&mut SourceFd(&self.as_fd().as_raw_fd()), token, Interest::WRITABLE);
        match (self, registered) {
            (Self::Pipe(file) | Self::Shared(file) | Self::File(file), Err(error))
                if error.raw_os_error() == Some(libc::EPERM) =>
            {
                Ok(Self::File(file))
            }
            (sink, registered) => registered.map(|()| sink),
        }
    }

    /// How much is written in one call. A pipe takes that as a whole or not at all, so several may write to it.
    pub(super) fn piece(&self) -> usize {
        if let Self::Pipe(_) | Self::Shared(_) = self { PIECE } else { LARGE_PIECE }
    }

    /// Writes, and never blocks.
    ///
    /// # Errors
    /// `WouldBlock`: there is no room now. Anything else is the end of a connection; a file may take more later.
    pub(super) fn write(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Shared(file) if !takes_more(file, Duration::ZERO) => Err(io::ErrorKind::WouldBlock.into()),
            Self::File(file) | Self::Pipe(file) | Self::Shared(file) => file.write_vectored(pieces),
            Self::Unix(stream) => stream.write_vectored(pieces),
            Self::Tcp(collector) => collector.write(pieces),
        }
    }

    /// Reads what nobody asked for, and throws it away. How many bytes; `None` if this end cannot be read.
    ///
    /// # Errors
    /// `WouldBlock`: there is no more. `UnexpectedEof`: the reader has gone.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<usize>> {
        let count = match self {
            Self::Unix(stream) => stream.read(scratch)?,
            Self::Tcp(collector) => collector.read(scratch)?,
            Self::File(_) | Self::Pipe(_) | Self::Shared(_) => return Ok(None),
        };
        match self {
            // A unix socket tells apart whether the other end is closed, or only sends no more.
            Self::Unix(_) if count == 0 => Err(io::ErrorKind::WouldBlock.into()),
            _ if count == 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(Some(count)),
        }
    }

    /// Ends a connection whose other end sends, too. If a socket is closed with something unread, the kernel resets the connection
    /// (RFC 9293 §3.10.4), and what is on its way is lost. So it is read until the other end closes, but not longer than this.
    pub(super) fn end(&mut self, until: Instant, scratch: &mut [u8]) {
        let _ = SockRef::from(&*self).shutdown(Shutdown::Write); // one that is no socket, or is gone
        while has_more(self, until.saturating_duration_since(Instant::now())) && Instant::now() < until {
            match self.read(scratch) {
                Ok(Some(_)) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }

    /// What can fail for a while, and is not closed for it.
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    pub(super) fn collector(&mut self) -> Option<&mut Collector> {
        if let Self::Tcp(collector) = self { Some(collector) } else { None }
    }

    /// Closes it. epoll would go on reporting a description that others have open, too.
    pub(super) fn close(self, registry: &Registry) {
        if let Self::Shared(file) = &self {
            let _ = registry.deregister(&mut SourceFd(&file.as_raw_fd())); // nothing else can be done
        }
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::File(file) | Self::Pipe(file) | Self::Shared(file) => file.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(collector) => collector.as_fd(),
        }
    }
}

/// Whether the last line of a file has no end. One that we may not read is taken for whole.
fn is_torn(file: &File, path: &Path) -> bool {
    let length = file.metadata().ok().filter(|file| file.is_file()).map_or(0, |file| file.len());
    let mut last = [b'\n'];
    let is_read = length > 0 && File::open(path).is_ok_and(|file| file.read_exact_at(&mut last, length - 1).is_ok());
    is_read && last != *b"\n"
}

/// Nobody reads this FIFO yet (fifo(7)).
pub(super) fn is_unread_fifo(error: &io::Error, path: &Path) -> bool {
    error.raw_os_error() == Some(libc::ENXIO) && std::fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo())
}

pub(super) fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

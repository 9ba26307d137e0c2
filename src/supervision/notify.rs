//! What the supervisor is told (sd_notify(3)): datagrams with lines `NAME=value`, to the socket that NOTIFY_SOCKET names.
//!
//! Owns that socket, and how long a message may wait for room. A message that is not taken is a warning, and never an end.
//!
//! The socket is connected once, at the start: a sandbox may forbid it later.

use std::borrow::Cow;
use std::env;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use crate::told::warn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// How long a message may wait that is needed: without READY=1 the supervisor ends the server.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is added to the time in which a server has stopped: the last words take a moment, and so does a busy machine.
const TO_SPARE: Duration = Duration::from_secs(5);

/// Somebody who wants to be told, or nobody. Two of them that are [the same](Notifier::same) tell the same one.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
}

impl Notifier {
    /// Whoever the environment names. If it names somebody who cannot be reached, that is a warning.
    pub fn from_environment() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return Self::default() };
        let socket = connect(&name).inspect_err(|error| {
            warn!("the supervisor cannot be told anything: NOTIFY_SOCKET is {}: {error}", name.to_string_lossy());
        });
        Self { socket: socket.ok() }
    }

    /// Another one for the same supervisor.
    pub fn same(&self) -> Self {
        Self { socket: self.socket.as_ref().and_then(|socket| socket.try_clone().ok()) }
    }

    /// Somebody listens, as far as is known.
    pub fn is_heard(&self) -> bool {
        self.socket.is_some()
    }

    /// The server serves. `status` is for people.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\n{}", in_one_line(status)), PATIENCE);
    }

    /// The settings are read again, or the program changes: until the next [`Notifier::ready`].
    pub fn reloading(&self, status: &str) {
        // systemd compares the moment with that of its own request.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let microseconds = now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\n{}", in_one_line(status)), PATIENCE);
    }

    /// The server stops, and has done so within this time. The supervisor must not end it before, however soon it ends others
    /// (`TimeoutStopSec=`); afterwards it may.
    pub fn stopping(&self, status: &str, within: Duration) {
        // Numbers of 128 bits are printed by 1 kB of their own.
        let within = u64::try_from(within.saturating_add(TO_SPARE).as_micros()).unwrap_or(u64::MAX);
        self.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={within}\n{}", in_one_line(status)), Duration::ZERO);
    }

    /// What happens, for people.
    pub fn status(&self, status: &str) {
        self.tell(&in_one_line(status), Duration::ZERO);
    }

    /// The loop turns. Without a status, that stays as it was.
    pub(super) fn alive(&self, status: Option<&str>) {
        let status = status.map(in_one_line).unwrap_or_default();
        self.tell(&format!("WATCHDOG=1\n{status}"), Duration::ZERO);
    }

    fn tell(&self, lines: &str, within: Duration) {
        if let Err(error) = self.send(lines, &[], within) {
            let what = lines.lines().next().unwrap_or_default();
            warn!("the supervisor was not told {what}: {error}");
        }
    }

    /// Sends lines with descriptors. Nobody to tell is no error.
    ///
    /// # Errors
    /// Those of sendmsg(2), `WouldBlock` if there was no room within this time.
    pub(super) fn send(&self, lines: &str, descriptors: &[BorrowedFd<'_>], within: Duration) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let until = Instant::now() + within;
        loop {
            let error = match send(socket, lines.as_bytes(), descriptors) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock if Instant::now() < until => wait_for_room(socket, until),
                _ => return Err(error),
            }
        }
    }
}

/// One message with descriptors, now or not at all.
pub(super) fn send(socket: &impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(descriptors.len()))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(ErrorKind::InvalidInput.into());
    }
    sendmsg(socket, &[io::IoSlice::new(bytes)], &mut control, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
    Ok(())
}

fn wait_for_room(socket: &UnixDatagram, until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos() as _ };
    // Whatever comes of it, the message is tried again.
    let _ = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&left));
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => {
            let because = "it is neither a path that begins with / nor a name that begins with @";
            return Err(io::Error::new(ErrorKind::InvalidInput, because));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

/// `STATUS=` with a text, in which a line break would begin another assignment.
fn in_one_line(status: &str) -> String {
    let status: Cow<'_, str> = if status.contains('\n') { status.replace('\n', " ").into() } else { status.into() };
    format!("STATUS={status}\n")
}

#[cfg(test)]
impl Notifier {
    /// One that is heard at the other end of a pair.
    pub(super) fn pair() -> (Self, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        (Self { socket: Some(ours) }, theirs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn what_is_told_is_a_line_each() {
        let (notifier, supervisor) = Notifier::pair();
        notifier.ready("serves 2 peers\nREADY=0");
        assert_eq!(heard(&supervisor), "READY=1\nSTATUS=serves 2 peers READY=0\n");
        notifier.same().stopping("stops", Duration::from_secs(10));
        assert_eq!(heard(&supervisor), "STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000\nSTATUS=stops\n");
        notifier.alive(None);
        assert_eq!(heard(&supervisor), "WATCHDOG=1\n");
        notifier.reloading("reads");
        let told = heard(&supervisor);
        let moment = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().strip_suffix("\nSTATUS=reads\n");
        assert!(moment.unwrap().parse::<u64>().unwrap() > 0, "{told}");
    }

    /// Nobody reads: what can wait is dropped at once, and the rest after a bounded time.
    #[test]
    fn a_supervisor_that_does_not_read_holds_nobody_for_long() {
        let (notifier, _supervisor) = Notifier::pair();
        let begun = Instant::now();
        while notifier.send("STATUS=x", &[], Duration::ZERO).is_ok() {}
        assert!(begun.elapsed() < PATIENCE);
        let error = notifier.send("READY=1", &[], Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(begun.elapsed() >= Duration::from_millis(100));
    }

    #[test]
    fn other_kinds_of_names_are_refused_in_words() {
        let error = connect(OsStr::new("vsock:2:1234")).unwrap_err();
        assert!(error.to_string().contains("neither a path"), "{error}");
        assert!(connect(OsStr::new("/nowhere/at/all")).is_err());
        assert!(connect(OsStr::new(&format!("/{}", "x".repeat(200)))).is_err());
        assert!(connect(OsStr::new("@stillthere-nobody-listens-here")).is_err());
    }
}

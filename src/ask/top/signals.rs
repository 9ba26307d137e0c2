//! Signals, noted when they come and taken by the loop; and the bell that other threads ring to wake it.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::{flag, low_level};

/// A signal that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// The terminal has another size.
    Resized,
    /// The process was stopped, and the shell has had the terminal meanwhile.
    Continued,
    /// This one ends the process.
    Ends(i32),
}

impl Signal {
    /// Ends the process as if the signal had not been caught, so that its parent sees what it died of.
    pub(super) fn act(self) {
        if let Self::Ends(number) = self {
            let _ = low_level::emulate_default_handler(number);
        }
    }
}

/// In the order in which they are taken: an end first.
const CAUGHT: [i32; 6] = [SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGCONT, SIGWINCH];

#[derive(Debug)]
pub(super) struct Signals {
    seen: [Arc<AtomicBool>; CAUGHT.len()],
    bell: UnixStream,
    listener: UnixStream,
}

impl Signals {
    /// Catches them from now on.
    pub(super) fn caught() -> io::Result<Self> {
        let (bell, listener) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        listener.set_nonblocking(true)?;
        let seen = CAUGHT.map(|_| Arc::new(AtomicBool::new(false)));
        for (number, seen) in CAUGHT.into_iter().zip(&seen) {
            // The flag before the bell: who wakes finds it.
            flag::register(number, Arc::clone(seen))?;
            low_level::pipe::register(number, bell.try_clone()?)?;
        }
        Ok(Self { seen, bell, listener })
    }

    /// What another thread may write a byte to.
    pub(super) fn bell(&self) -> Result<UnixStream, String> {
        self.bell.try_clone().map_err(|error| format!("no descriptor is left: {error}"))
    }

    /// The bell has been heard.
    pub(super) fn hush(&self) {
        let mut rung = [0; 64];
        while matches!((&self.listener).read(&mut rung), Ok(count) if count == rung.len()) {}
    }

    pub(super) fn take(&self) -> Option<Signal> {
        let number = CAUGHT.into_iter().zip(&self.seen).find(|(_, seen)| seen.swap(false, Ordering::SeqCst))?.0;
        Some(match number {
            SIGWINCH => Signal::Resized,
            SIGCONT => Signal::Continued,
            number => Signal::Ends(number),
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

//! Signals as a source of the loop. The signal handlers write to a pipe that the loop reads; no thread is started.
//!
//! Owns the pipe, and decides what each signal means. Knows nothing of ports and peers: it only makes requests of the loop.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use libc::c_int;
use log::{info, trace, warn};
use mio::event::Event;
use mio::{Interest, Registry};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXFSZ,
};

#[cfg(any(feature = "config", feature = "upgrade"))]
use crate::reactor::Ask;
use crate::reactor::source::{Names, Request, Source, Turn};
use crate::seconds::InWords;

/// Signals that end a process by default (signal(7)) and are often sent without that intention: when a terminal
/// hangs up, when a log is rotated, to reload a configuration, by an inherited timer. They are logged and otherwise ignored.
const UNHEEDED: [i32; 7] = [SIGHUP, SIGQUIT, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO];

const OBEYED: [c_int; 3] = [SIGTERM, SIGINT, SIGUSR1];

/// Unblocks these signals in this thread. A program inherits the signal mask of its parent, which may have
/// blocked some (sigprocmask(2), execve(2)), and a blocked signal is not delivered.
///
/// # Errors
/// Those of sigprocmask(2).
pub(crate) fn unblock(signals: &[c_int]) -> io::Result<()> {
    let signals: SigSet = signals.iter().filter_map(|&signal| Signal::try_from(signal).ok()).collect();
    Ok(sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&signals), None)?)
}

/// SIGTERM and SIGINT stop the loop: the first in an orderly way, the second at once. SIGUSR1 makes it log its figures.
pub struct Signals {
    pipe: signal_hook_mio::v1_0::Signals,
    pending: bool,
    grace: Duration,
    stopping: bool,
    /// SIGHUP is for the program.
    #[cfg(any(feature = "config", feature = "upgrade"))]
    asks: bool,
}

impl Signals {
    /// Installs the handlers, and registers their pipe under `names`. When the loop is stopped, peers have `grace` to
    /// receive their output.
    ///
    /// # Errors
    /// The handlers cannot be installed, or the pipe cannot be made or registered.
    pub fn open(grace: Duration, registry: &Registry, names: Names) -> io::Result<Self> {
        let pipe = signal_hook_mio::v1_0::Signals::new(OBEYED)?;
        Self::join(pipe, grace, registry, names)
    }

    /// The same for a server, which must end only on request. Signals that would end it and are often sent without
    /// that intention (SIGHUP and others) are ignored; all of them but SIGXFSZ are logged.
    ///
    /// # Errors
    /// The handlers cannot be installed, or the pipe cannot be made or registered.
    pub fn open_and_outlive_the_others(grace: Duration, registry: &Registry, names: Names) -> io::Result<Self> {
        let pipe = signal_hook_mio::v1_0::Signals::new(OBEYED.iter().chain(&UNHEEDED))?;
        // SIGXFSZ: the log has reached RLIMIT_FSIZE. The write fails in any case, and logging the signal would be one more write.
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        unblock(&UNHEEDED)?; // the program before has blocked them, so that none of them ends this one before it is ready
        Self::join(pipe, grace, registry, names)
    }

    fn join(
        mut pipe: signal_hook_mio::v1_0::Signals,
        grace: Duration,
        registry: &Registry,
        names: Names,
    ) -> io::Result<Self> {
        unblock(&OBEYED)?; // after the handlers are installed: a pending signal is obeyed, and does not kill the process
        registry.register(&mut pipe, names.token(0), Interest::READABLE)?;
        Ok(Self {
            pipe,
            pending: false,
            grace,
            stopping: false,
            #[cfg(any(feature = "config", feature = "upgrade"))]
            asks: false,
        })
    }

    /// SIGHUP asks the program to read its configuration again, and SIGUSR2 to have another program go on (feature `upgrade`): [`Reactor::run`](crate::reactor::Reactor::run) returns
    /// [`Ending::Asked`](crate::reactor::Ending::Asked), and is called again by a program that wants to go on.
    #[cfg(any(feature = "config", feature = "upgrade"))]
    #[must_use]
    pub fn that_ask(mut self) -> Self {
        self.asks = true;
        self
    }
}

impl Source for Signals {
    fn latch(&mut self, _key: usize, _event: &Event) {
        trace!("a signal is pending");
        self.pending = true;
    }

    fn drive(&mut self, turn: &mut Turn<'_>) {
        if !std::mem::take(&mut self.pending) {
            return;
        }
        for signal in self.pipe.pending() {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            let request = match signal {
                SIGUSR1 => Request::Figures,
                #[cfg(any(feature = "config", feature = "upgrade"))]
                SIGHUP if self.asks => Request::Program(Ask::Reload),
                #[cfg(feature = "upgrade")]
                SIGUSR2 if self.asks => Request::Program(Ask::Upgrade),
                #[cfg(feature = "events")]
                SIGHUP => Request::Reopen,
                _ if UNHEEDED.contains(&signal) => {
                    info!("{name} is ignored; SIGTERM stops the server, SIGUSR1 logs the figures");
                    continue;
                }
                _ if self.stopping => {
                    warn!("{name} while stopping: ends at once");
                    Request::Abort
                }
                _ => {
                    info!("{name}: stops; peers have {} to read their output", InWords(self.grace));
                    self.stopping = true;
                    Request::Stop { grace: self.grace }
                }
            };
            turn.requests.push(request);
        }
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("grace", &self.grace).finish_non_exhaustive()
    }
}

//! Signals as a source of the loop: they are blocked, and read from a descriptor (signalfd(2)). No handler runs, and no thread.
//!
//! Owns that descriptor, and decides what each signal means. Knows nothing of ports and peers: it only makes requests of the loop.
//!
//! A blocked signal that nobody has read stays pending, also across execve(2), so that none can hit a program between two of its
//! versions. The price: every thread must block them, because the kernel gives a signal to any thread that does not.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use log::trace;
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use nix::sys::signal::Signal::{self, *};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

#[cfg(any(feature = "config", feature = "upgrade"))]
use crate::reactor::Ask;
use crate::reactor::source::{Names, Request, Source, Turn};
use crate::seconds::InWords;
use crate::told::{info, warn};

/// Signals that end a process by default (signal(7)) and are often sent without that intention: when a terminal
/// hangs up, when a log is rotated, to reload a configuration, by an inherited timer. They are logged and otherwise ignored.
const UNHEEDED: [Signal; 7] = [SIGHUP, SIGQUIT, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO];

/// How often reading a signal may fail in a turn. The kernel announces it once, so giving up means that it is not obeyed until the
/// next one comes.
const READ_TRIES: usize = 16;

const OBEYED: [Signal; 3] = [SIGTERM, SIGINT, SIGUSR1];

/// SIGTERM and SIGINT stop the loop: the first in an orderly way, the second at once. SIGUSR1 makes it log its figures.
///
/// They stay blocked when this is dropped, and in all threads and programs that this thread starts from now on. A program
/// that should be ended by SIGTERM is started with an empty mask: `pre_exec` of its `Command` unblocks them.
pub struct Signals {
    pending: SignalFd,
    is_announced: bool,
    grace: Duration,
    stopping: bool,
    /// A stop closes the peers one by one, over this time.
    #[cfg(feature = "upgrade")]
    over: Duration,
    /// SIGHUP is for the program.
    #[cfg(any(feature = "config", feature = "upgrade"))]
    asks: bool,
    /// SIGTERM is for the program.
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    hands_over: bool,
}

impl Signals {
    /// Blocks the signals, and registers the descriptor under `names`. When the loop is stopped, peers have `grace` to
    /// receive their output.
    ///
    /// Call it before any other thread is started.
    ///
    /// # Errors
    /// Another thread runs already: it may not block the signals, and one that it receives ends the program at once. Or the
    /// errors of sigprocmask(2), signalfd(2) and epoll_ctl(2).
    pub fn open(grace: Duration, registry: &Registry, names: Names) -> io::Result<Self> {
        Self::read(&OBEYED, &[], grace, registry, names)
    }

    /// The same for a server, which must end only on request. Signals that would end it and are often sent without
    /// that intention (SIGHUP and others) are ignored; all of them but SIGXFSZ are logged.
    ///
    /// # Errors
    /// As of [`Signals::open`].
    pub fn open_and_outlive_the_others(grace: Duration, registry: &Registry, names: Names) -> io::Result<Self> {
        Self::read(&OBEYED, &UNHEEDED, grace, registry, names)
    }

    fn read(
        obeyed: &[Signal],
        unheeded: &[Signal],
        grace: Duration,
        registry: &Registry,
        names: Names,
    ) -> io::Result<Self> {
        let signals: SigSet = obeyed.iter().chain(unheeded).copied().collect();
        let mut blocked = signals;
        if !unheeded.is_empty() {
            // The log has reached RLIMIT_FSIZE. The write fails in any case, and logging the signal would be one more write: it
            // is blocked and never read.
            blocked.add(SIGXFSZ);
        }
        if !IS_THE_SERVER_ALONE && other_threads() > 0 && !others_block(&signals) {
            return Err(io::Error::other(
                "the program has other threads already; one that receives such a signal is ended by it, with the whole program: \
                 let the loop obey signals before other threads are started",
            ));
        }
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), None)?;
        let pending = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        registry.register(&mut SourceFd(&pending.as_raw_fd()), names.token(0), Interest::READABLE)?;
        Ok(Self {
            pending,
            is_announced: false,
            grace,
            stopping: false,
            #[cfg(feature = "upgrade")]
            over: Duration::ZERO,
            #[cfg(any(feature = "config", feature = "upgrade"))]
            asks: false,
            #[cfg(all(feature = "notify", feature = "upgrade"))]
            hands_over: false,
        })
    }

    /// The first SIGTERM or SIGINT has the peers closed one by one, evenly over this time, so that not all of them come to the next
    /// server at once. Each has the grace from then on.
    #[cfg(feature = "upgrade")]
    #[must_use]
    pub fn that_stop_evenly(mut self, over: Duration) -> Self {
        self.over = over;
        self
    }

    /// SIGHUP asks the program to read its configuration again, and SIGUSR2 to have another program go on (feature `upgrade`):
    /// [`Reactor::run`](crate::reactor::Reactor::run) returns [`Ending::Asked`](crate::reactor::Ending::Asked), and is called again by a
    /// program that wants to go on.
    #[cfg(any(feature = "config", feature = "upgrade"))]
    #[must_use]
    pub fn that_ask(mut self) -> Self {
        self.asks = true;
        self
    }

    /// The first SIGTERM asks the program to leave its peers with a supervisor, and does not stop the loop. If that fails, the program stops
    /// it ([`Reactor::stop_within`](crate::reactor::Reactor::stop_within)).
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    #[must_use]
    pub fn that_hand_over(mut self) -> Self {
        self.hands_over = true;
        self
    }
}

/// The program that serves, without all that is for observers: it starts no thread before, and to look for them takes 5.4 kB.
const IS_THE_SERVER_ALONE: bool = cfg!(all(feature = "serve", not(feature = "observe")));

/// How many threads this process has besides this one: each has a directory in this one, which has two names of its own
/// (`proc_task_getattr`, fs/proc/base.c). Without /proc it cannot be known, and is 0.
fn other_threads() -> u64 {
    fs::metadata("/proc/self/task").map_or(0, |tasks| tasks.nlink().saturating_sub(3))
}

/// Whether all other threads block these signals, so that none of them can be ended by one: qemu, which runs programs of another
/// architecture, has such a thread in each of them. What cannot be read counts as a no.
fn others_block(signals: &SigSet) -> bool {
    let (Ok(own), Ok(tasks)) = (fs::read_link("/proc/thread-self"), fs::read_dir("/proc/self/task")) else {
        return false;
    };
    tasks
        .flatten()
        .filter(|task| Some(&*task.file_name()) != own.file_name())
        .all(|task| fs::read_to_string(task.path().join("status")).is_ok_and(|status| blocks(&status, signals)))
}

/// Whether a thread blocks these signals, by its status (proc(5)).
fn blocks(status: &str, signals: &SigSet) -> bool {
    let wanted = signals.iter().fold(0, |mask, signal| mask | 1 << (signal as u32 - 1));
    let blocked = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigBlk:\t")?, 16).ok());
    blocked.is_some_and(|blocked| blocked & wanted == wanted)
}

impl Source for Signals {
    fn latch(&mut self, _key: usize, _event: &Event) {
        trace!("a signal is pending");
        self.is_announced = true;
    }

    fn drive(&mut self, turn: &mut Turn<'_>) {
        if !std::mem::take(&mut self.is_announced) {
            return;
        }
        let mut failures = 0;
        loop {
            match self.pending.read_signal() {
                Ok(Some(caught)) => self.obey(caught.ssi_signo, turn),
                Ok(None) => return,
                Err(_) if failures < READ_TRIES => failures += 1,
                // nix has words of its own for each errno: 12 kB.
                Err(errno) => {
                    return warn!("a signal cannot be read, and waits for the next one: {}", io::Error::from(errno));
                }
            }
        }
    }
}

impl Signals {
    fn obey(&mut self, number: u32, turn: &mut Turn<'_>) {
        let Ok(signal) = Signal::try_from(number as i32) else { return };
        let name = signal.as_str();
        let request = match signal {
            SIGUSR1 => Request::Figures,
            #[cfg(any(feature = "config", feature = "upgrade"))]
            SIGHUP if self.asks => Request::Program(Ask::Reload),
            #[cfg(feature = "upgrade")]
            SIGUSR2 if self.asks => Request::Program(Ask::Upgrade),
            #[cfg(feature = "events")]
            SIGHUP => Request::Reopen,
            _ if UNHEEDED.contains(&signal) => {
                return info!("{name} is ignored; SIGTERM stops the server, SIGUSR1 logs the figures");
            }
            _ if self.stopping => {
                warn!("{name} while stopping: ends at once");
                Request::Abort
            }
            #[cfg(all(feature = "notify", feature = "upgrade"))]
            SIGTERM if self.hands_over => {
                self.stopping = true;
                Request::Program(Ask::HandOver)
            }
            #[cfg(feature = "upgrade")]
            _ if !self.over.is_zero() => {
                let (over, grace) = (self.over, self.grace);
                info!(
                    "{name}: drains; the peers are closed one by one over {}, and each then has {} to read its output",
                    InWords(over),
                    InWords(grace)
                );
                self.stopping = true;
                Request::StopEvenly { over, grace }
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

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("grace", &self.grace).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As qemu has one, which runs a program of another architecture.
    #[test]
    fn a_thread_that_blocks_the_signals_is_none_that_could_take_them() {
        let signals: SigSet = OBEYED.iter().copied().collect();
        let (ready, blocked) = std::sync::mpsc::channel();
        let here = std::thread::spawn(move || {
            sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signals), None).unwrap();
            let own = fs::read_link("/proc/thread-self").unwrap();
            ready.send(own.file_name().unwrap().to_owned()).unwrap();
            std::thread::park();
        });
        let blocking = blocked.recv().unwrap();
        assert!(blocks(
            &fs::read_to_string(format!("/proc/self/task/{}/status", blocking.display())).unwrap(),
            &signals
        ));
        assert!(!blocks(&fs::read_to_string("/proc/thread-self/status").unwrap(), &signals));
        here.thread().unpark();
        here.join().unwrap();
    }

    /// The test harness has a thread for each test, and its own.
    #[test]
    #[cfg_attr(all(feature = "serve", not(feature = "observe")), ignore = "the server alone does not look for threads")]
    fn a_thread_that_could_take_the_signals_is_told_of_and_nothing_is_blocked() {
        let poll = mio::Poll::new().unwrap();
        let before = SigSet::thread_get_mask().unwrap();
        let error = Signals::open(Duration::ZERO, poll.registry(), Names::of_source(0)).unwrap_err();
        assert!(error.to_string().contains("before other threads are started"), "{error}");
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}

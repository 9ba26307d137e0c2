//! Ctrl-C, and every other way of being asked to stop.
//!
//! Owns the flag that the whole lab polls. Cleaning up is left to the owners: each returns when the flag is set, and removes what
//! it has made.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

/// How often something is polled that announces nothing by itself.
pub const GLANCE: Duration = Duration::from_millis(20);

/// Whether the lab was asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens to SIGINT, SIGTERM and SIGHUP from now on.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
        for signal in signals {
            signal_hook::flag::register(signal as i32, Arc::clone(&interrupt.0))?;
        }
        // The lab may have been started with a mask that blocks them (execve(2) keeps it).
        SigSet::from_iter(signals).thread_unblock()?;
        Ok(interrupt)
    }

    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks the others to stop: one of several jobs cannot go on.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Checks a condition every [`GLANCE`], for `patience` at most. `None`: the lab was asked to stop, or the time is over.
    pub fn wait_for<T>(&self, patience: Duration, mut is_so: impl FnMut() -> Option<T>) -> Option<T> {
        let until = Instant::now() + patience;
        loop {
            if let Some(found) = is_so() {
                return Some(found);
            }
            if self.is_asked() || Instant::now() >= until {
                return None;
            }
            thread::sleep(GLANCE);
        }
    }
}

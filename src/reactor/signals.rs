//! Signals as a source of the loop. A handler writes to a pipe; no thread is started.

use std::io;
use std::time::Duration;

use log::{info, trace, warn};
use mio::event::Event;
use mio::{Interest, Registry};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use crate::reactor::source::{Names, Request, Source, Turn};

/// SIGTERM and SIGINT stop the loop, a second one at once; SIGUSR1 asks for the figures.
pub struct Signals {
    pipe: signal_hook_mio::v1_0::Signals,
    pending: bool,
    grace: Duration,
    stopping: bool,
}

impl Signals {
    /// Joins the loop under `names`. Peers are given `grace` to take their output when it stops.
    ///
    /// # Errors
    /// The handlers or their pipe cannot be made or registered.
    pub fn open(grace: Duration, registry: &Registry, names: Names) -> io::Result<Self> {
        let mut pipe = signal_hook_mio::v1_0::Signals::new([SIGTERM, SIGINT, SIGUSR1])?;
        registry.register(&mut pipe, names.token(0), Interest::READABLE)?;
        Ok(Self { pipe, pending: false, grace, stopping: false })
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
                _ if self.stopping => {
                    warn!("{name} again: ends at once");
                    Request::Abort
                }
                _ => {
                    info!("{name}: stops; peers have {} to take their output", humantime::format_duration(self.grace));
                    self.stopping = true;
                    Request::Stop { grace: self.grace }
                }
            };
            turn.requests.push(request);
        }
    }
}

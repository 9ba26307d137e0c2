//! What the program does between two turns, when a signal asks for it.
//!
//! Owns which signals ask, and that the loop runs on.

use std::io;

#[cfg(not(feature = "config"))]
use log::info;

use crate::reactor::{Ask, Ending, Reactor, Signals};
use crate::serve::ServeSettings;
#[cfg(feature = "config")]
use crate::serve::reload::Reload;
#[cfg(feature = "upgrade")]
use crate::serve::upgrading::Upgrade;

/// What the program can do when it is asked.
pub(super) struct Program<'a> {
    #[cfg(feature = "config")]
    pub reload: Reload<'a>,
    #[cfg(not(feature = "config"))]
    pub reload: std::marker::PhantomData<&'a ()>,
    #[cfg(feature = "upgrade")]
    pub upgrade: Upgrade<'a>,
}

/// Signals, of which SIGHUP asks for the program.
pub(super) fn obey_signals(reactor: &mut Reactor, settings: &ServeSettings) -> io::Result<()> {
    reactor.add(|registry, names| {
        let signals = Signals::open_and_outlive_the_others(settings.grace, registry, names)?.that_ask();
        #[cfg(feature = "upgrade")]
        let signals = signals.that_stop_evenly(settings.drain);
        Ok(signals)
    })
}

impl Program<'_> {
    /// Does what is asked for, and runs the loop on, until it ends.
    pub(super) fn run_on(&mut self, mut ending: io::Result<Ending>, reactor: &mut Reactor) -> io::Result<Ending> {
        while let Ok(Ending::Asked(ask)) = ending {
            match ask {
                #[cfg(feature = "config")]
                Ask::Reload => self.reload.reload(reactor),
                #[cfg(not(feature = "config"))]
                Ask::Reload => {
                    if !reactor.reopen() {
                        info!(
                            "SIGHUP is ignored: no file is written to; SIGTERM stops the server, SIGUSR1 logs the figures"
                        );
                    }
                }
                #[cfg(feature = "upgrade")]
                Ask::Upgrade => self.upgrade.asked(reactor),
            }
            ending = reactor.run();
        }
        ending
    }
}

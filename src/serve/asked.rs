//! What the program does between two turns, when a signal asks for it.
//!
//! Owns which signals ask, and that the loop runs on.

use std::io;
use std::time::Duration;

use log::info;

use crate::reactor::{Ask, Ending, Reactor, Signals};
#[cfg(feature = "upgrade")]
use crate::{serve::upgrading::upgrade, upgrade::Upgrading};

/// Signals, of which SIGHUP asks for the program.
pub(super) fn obey_signals(reactor: &mut Reactor, grace: Duration) -> io::Result<()> {
    reactor.add(|registry, names| Ok(Signals::open_and_outlive_the_others(grace, registry, names)?.that_ask()))
}

/// Does what the program is asked for, and runs the loop on, until it ends.
pub(super) fn run_on(
    mut ending: io::Result<Ending>,
    reactor: &mut Reactor,
    #[cfg(feature = "upgrade")] mut upgrading: Option<&mut Upgrading>,
) -> io::Result<Ending> {
    while let Ok(Ending::Asked(ask)) = ending {
        match ask {
            Ask::Reload => reload(reactor),
            #[cfg(feature = "upgrade")]
            Ask::Upgrade => upgrade(upgrading.as_deref_mut(), reactor),
        }
        ending = reactor.run();
    }
    ending
}

fn reload(reactor: &mut Reactor) {
    if !reactor.reopen() {
        info!("SIGHUP is ignored: no file is written to; SIGTERM stops the server, SIGUSR1 logs the figures");
    }
}

//! What the program does between two turns, when a signal asks for it.
//!
//! Owns which signals ask, and that the loop runs on.

use std::io;
#[cfg(all(feature = "notify", feature = "upgrade"))]
use std::time::Duration;

use crate::reactor::{Ask, Ending, Reactor, Signals};
use crate::serve::ServeSettings;
#[cfg(feature = "config")]
use crate::serve::reload::Reload;
#[cfg(feature = "notify")]
use crate::serve::supervised::Supervised;
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
    #[cfg(feature = "notify")]
    pub supervised: &'a Supervised,
    /// Over which time the peers are let go when it stops, and the grace of each.
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    pub stop: (Duration, Duration),
}

/// Signals, of which SIGHUP asks for the program.
pub(super) fn obey_signals(reactor: &mut Reactor, settings: &ServeSettings) -> io::Result<()> {
    reactor.add(|registry, names| {
        let signals = Signals::open_and_outlive_the_others(settings.grace, registry, names)?.that_ask();
        #[cfg(feature = "upgrade")]
        let signals = signals.that_stop_evenly(settings.drain);
        #[cfg(all(feature = "notify", feature = "upgrade"))]
        let signals = if settings.keeps_peers { signals.that_hand_over() } else { signals };
        Ok(signals)
    })
}

impl Program<'_> {
    /// Does what is asked for, and runs the loop on, until it ends.
    pub(super) fn run_on(&mut self, mut ending: io::Result<Ending>, reactor: &mut Reactor) -> io::Result<Ending> {
        while let Ok(Ending::Asked(ask)) = ending {
            match ask {
                #[cfg(feature = "config")]
                Ask::Reload => {
                    #[cfg(feature = "notify")]
                    self.supervised.reloads("reads its configuration again");
                    self.reload.reload(reactor);
                    #[cfg(feature = "notify")]
                    self.supervised.serves_on(reactor);
                }
                #[cfg(not(feature = "config"))]
                Ask::Reload => {
                    if !reactor.reopen() {
                        info!(
                            "SIGHUP is ignored: no file is written to; SIGTERM stops the server, SIGUSR1 logs the figures"
                        );
                    }
                }
                #[cfg(all(feature = "notify", feature = "upgrade"))]
                Ask::HandOver => {}
                #[cfg(feature = "upgrade")]
                Ask::Upgrade => {
                    #[cfg(feature = "notify")]
                    if !reactor.upgrade_is_under_way() {
                        self.supervised.reloads("tries the program that is to go on");
                    }
                    self.upgrade.asked(reactor);
                    // It was refused.
                    #[cfg(feature = "notify")]
                    if !reactor.upgrade_is_under_way() {
                        self.supervised.serves_on(reactor);
                    }
                }
            }
            #[cfg(all(feature = "notify", feature = "upgrade"))]
            if ask == Ask::HandOver {
                match self.supervised.keep(reactor) {
                    Ok(()) => return ending,
                    Err(because) => {
                        warn!("the peers are not kept: {because}; stops in order");
                        let (over, grace) = self.stop;
                        reactor.stop_within(over, grace);
                    }
                }
            }
            ending = reactor.run();
        }
        ending
    }
}

//! A server with a supervisor: where it listens if sockets were passed on to it, and what the supervisor is told and when.
//!
//! Owns the words of the status. Nothing is told while nothing happens: the loop must not wake for it.

use std::fmt::Write;

use crate::count::so_many;
use crate::place::Place;
use crate::reactor::{Listening, Reactor};
#[cfg(feature = "upgrade")]
use crate::serve::HandedOver;
use crate::serve::{Passed, ServeSettings};
use crate::supervision::notify::Notifier;
#[cfg(feature = "upgrade")]
use crate::supervision::store;
use crate::supervision::watchdog::Watchdog;
#[cfg(feature = "admin")]
use crate::{admin_place::AdminPlace, supervision::activation::At};

/// Tells the supervisor, if there is one.
#[derive(Debug)]
pub(super) struct Supervised {
    notifier: Notifier,
}

/// Finds the supervisor.
pub(super) fn begin(
    reactor: &mut Reactor,
    settings: &ServeSettings,
    passed: &mut Passed,
) -> Result<Supervised, String> {
    for complaint in passed.take_complaints() {
        warn!("{complaint}");
    }
    #[cfg(feature = "upgrade")]
    let notifier = if reactor.is_rehearsal() { Notifier::default() } else { Notifier::from_environment() };
    #[cfg(not(feature = "upgrade"))]
    let notifier = Notifier::from_environment();
    #[cfg(feature = "upgrade")]
    if settings.keeps_peers && !notifier.is_heard() && !reactor.is_rehearsal() {
        warn!("--keep-peers-over-restart keeps nobody: there is no supervisor (NOTIFY_SOCKET)");
    }
    if notifier.is_heard() {
        let watchdog = Watchdog::open(notifier.same(), settings.grace);
        reactor.add(|_, _| Ok(watchdog)).map_err(|error| error.to_string())?;
    }
    Ok(Supervised { notifier })
}

/// A fresh start goes on with what the supervisor has kept, if it has: then this is a restart.
#[cfg(feature = "upgrade")]
pub(super) fn or_kept(handed_over: HandedOver, passed: &mut Passed) -> (HandedOver, bool) {
    if handed_over.is_some() {
        return (handed_over, false);
    }
    if !passed.has_stored() {
        return (None, false);
    }
    let kept = store::take(passed, &Notifier::from_environment()).unwrap_or_else(|sentence| {
        error!("{sentence}");
        None
    });
    let is_restart = kept.is_some();
    (kept, is_restart)
}

/// Where nothing is said about where to listen, it is where sockets were passed on.
pub fn complete(settings: &mut ServeSettings, passed: &Passed) {
    let addresses = passed.addresses();
    if !settings.are_places_given && !addresses.is_empty() {
        settings.places = addresses.into_iter().map(Place::Address).collect();
    }
    #[cfg(feature = "admin")]
    if settings.admin.place.is_none() {
        settings.admin.place = passed.admin().map(|at| match at {
            At::Address(address) => AdminPlace::Tcp(Place::Address(*address)),
            At::Path(path) => AdminPlace::Unix(path.clone()),
        });
    }
}

impl Supervised {
    /// All ports are open.
    pub(super) fn serves(&self, passed: &mut Passed, bound: &[Listening], reactor: &Reactor) {
        for sentence in passed.close_the_others() {
            warn!("{sentence}");
        }
        let mut status = format!("serves {}", so_many(reactor.tally().connected, "peer"));
        for (nth, listening) in bound.iter().enumerate() {
            let _ = write!(status, "{} {}", if nth == 0 { " on" } else { "," }, listening.address);
        }
        self.notifier.ready(&status);
    }

    /// Until [`Supervised::serves_on`], or until another program says that it serves.
    #[cfg(any(feature = "config", feature = "upgrade"))]
    pub(super) fn reloads(&self, what: &str) {
        self.notifier.reloading(what);
    }

    /// It is as before.
    #[cfg(any(feature = "config", feature = "upgrade"))]
    pub(super) fn serves_on(&self, reactor: &Reactor) {
        self.notifier.ready(&format!("serves: {}", reactor.tally()));
    }

    /// The supervisor keeps the peers, and this program is to end.
    ///
    /// # Errors
    /// A sentence: it does not; nothing has changed.
    #[cfg(feature = "upgrade")]
    pub(super) fn keep(&self, reactor: &mut Reactor) -> Result<(), String> {
        let state = reactor.write_down(env!("CARGO_PKG_VERSION")).map_err(|because| because.to_string())?;
        store::keep(&self.notifier, state).map_err(|error| error.to_string())?;
        let connected = reactor.tally().connected;
        let verb = if connected == 1 { "waits" } else { "wait" };
        let peers = format!("{} {verb}", so_many(connected, "peer"));
        info!("SIGTERM: ends; {peers} with the supervisor for the next start");
        self.notifier.stopping(&format!("ends; {peers} for the next start"), std::time::Duration::ZERO);
        Ok(())
    }

    /// Nobody is served any more.
    pub(super) fn has_stopped(&self, reactor: &Reactor) {
        self.notifier.status(&format!("stopped: {}", reactor.tally()));
    }
}

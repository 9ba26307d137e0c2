//! `stillthere serve`: from settings to a running loop, and what is logged on the way.
#![forbid(unsafe_code)]

use std::fmt;

use log::Level;

use crate::count::so_many;
use crate::malloc;
use crate::observe::log::Logger;
use crate::reactor::{Ending, Reactor, SCRATCH};
use crate::serve::announce::announce;
use crate::serve::listening::listen_everywhere;

#[cfg(feature = "admin")]
pub use self::admin::AdminSettings;

#[cfg(feature = "config")]
pub use self::configuration::Configuration;
#[cfg(feature = "config")]
pub use self::in_words::{in_words, try_out};
#[cfg(feature = "config")]
pub use self::reload::ReadAgain;
pub use self::settings::{Beats, ServeSettings, ServiceName};
#[cfg(feature = "notify")]
pub use self::supervised::complete;

// Above the modules, which use them, too.
macro_rules! info {
    ($($words:tt)+) => { $crate::serve::tell(log::Level::Info, format_args!($($words)+)) };
}

macro_rules! warn {
    ($($words:tt)+) => { $crate::serve::tell(log::Level::Warn, format_args!($($words)+)) };
}

#[cfg(feature = "upgrade")]
macro_rules! error {
    ($($words:tt)+) => { $crate::serve::tell(log::Level::Error, format_args!($($words)+)) };
}

#[cfg(feature = "admin")]
mod admin;
mod announce;
#[cfg(any(feature = "config", feature = "upgrade"))]
mod asked;
#[cfg(feature = "config")]
pub mod configuration;
#[cfg(feature = "sandbox")]
mod confining;
#[cfg(feature = "config")]
mod in_words;
mod listening;
#[cfg(any(feature = "admin", feature = "events"))]
mod observers;
#[cfg(feature = "config")]
mod reload;
mod settings;
#[cfg(feature = "notify")]
mod supervised;
#[cfg(feature = "upgrade")]
pub mod upgrading;

/// The one place of this folder that logs: each use of log's own macros takes 100 bytes.
#[inline(never)]
fn tell(level: Level, words: fmt::Arguments<'_>) {
    log::log!(level, "{words}");
}

/// What another program has handed over to this one, if one has.
#[cfg(feature = "upgrade")]
pub type HandedOver = Option<crate::reactor::State>;
/// Nothing can be handed over.
#[cfg(not(feature = "upgrade"))]
pub type HandedOver = ();

/// Sockets that a supervisor has opened for this program.
#[cfg(feature = "notify")]
pub type Passed = crate::supervision::activation::Passed;
/// Nobody passes anything on.
#[cfg(not(feature = "notify"))]
#[derive(Debug, Default)]
pub struct Passed;

/// What a server starts with, beside its settings.
#[allow(missing_debug_implementations)]
pub struct Start<'a> {
    pub log: &'a Logger,
    /// Reads the settings again.
    #[cfg(feature = "config")]
    pub again: &'a ReadAgain<'a>,
    pub handed_over: HandedOver,
    pub passed: Passed,
}

fn new_reactor(limit: usize) -> Result<Reactor, String> {
    Reactor::new(limit).map_err(|error| format!("cannot make an epoll instance: {error}"))
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// A sentence that says what could not be done, why, and what to do about it.
pub fn run(settings: &ServeSettings, start: Start<'_>) -> Result<Ending, String> {
    let Start { log, handed_over, mut passed, .. } = start;
    malloc::give_back_large_tables(SCRATCH);
    let limit = settings.max_connections.unwrap_or(Reactor::NO_LIMIT);
    let mut reactor = new_reactor(limit)?;
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    let (handed_over, is_restart) = supervised::or_kept(handed_over, &mut passed);
    #[cfg(not(all(feature = "notify", feature = "upgrade")))]
    let is_restart = false;
    #[cfg(feature = "upgrade")]
    let upgrade = match upgrading::begin(&mut reactor, settings, handed_over, log) {
        // The supervisor has nothing more of them, and newcomers are to be served.
        Err(sentence) if is_restart => {
            error!("the peers that the supervisor has kept are lost: {sentence}");
            reactor = new_reactor(limit)?;
            upgrading::begin(&mut reactor, settings, None, log)?
        }
        begun => begun?,
    };
    #[cfg(not(feature = "upgrade"))]
    let _ = (handed_over, is_restart);
    #[cfg(feature = "notify")]
    let supervised = supervised::begin(&mut reactor, settings, &mut passed)?;
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    let upgrade = upgrade.with_passed(passed.save());
    #[cfg(any(feature = "config", feature = "upgrade"))]
    let obeyed = asked::obey_signals(&mut reactor, settings);
    #[cfg(not(any(feature = "config", feature = "upgrade")))]
    let obeyed = reactor.obey_signals(settings.grace);
    obeyed.map_err(|error| format!("cannot obey signals: {error}"))?;
    reactor.limit_per_address(settings.max_per_address).map_err(|unfit| unfit.to_string())?;
    if let Some(bytes) = settings.max_memory {
        reactor.limit_memory(bytes).map_err(|unfit| unfit.to_string())?;
    }
    let bound = listen_everywhere(&mut reactor, settings, &mut passed)?;
    #[cfg(any(feature = "admin", feature = "events"))]
    #[cfg_attr(not(all(feature = "notify", feature = "upgrade")), allow(unused_variables))]
    let observers = observers::open(
        &mut reactor,
        settings,
        &bound,
        log,
        &mut passed,
        #[cfg(feature = "upgrade")]
        &upgrade,
    )?;
    #[cfg(all(feature = "admin", feature = "upgrade"))]
    let upgrade = upgrade.with_admin_socket(observers.admin_socket());
    #[cfg(not(feature = "admin"))]
    let _ = log;
    #[cfg(all(feature = "sandbox", feature = "upgrade"))]
    let mut upgrade = upgrade;
    #[cfg(feature = "sandbox")]
    {
        #[cfg(feature = "upgrade")]
        upgrade.confine(&reactor, settings, &bound, is_restart)?;
        #[cfg(not(feature = "upgrade"))]
        confining::InForce::default().put_in_force(settings, &bound, None)?;
    }
    announce(settings, &bound, reactor.within_reach());
    #[cfg(feature = "upgrade")]
    if reactor.is_rehearsal() {
        return Ok(Ending::Orderly);
    } else {
        upgrading::take_over(&mut reactor, is_restart);
    }
    #[cfg(feature = "notify")]
    supervised.serves(&mut passed, &bound, &reactor);
    #[cfg(not(feature = "notify"))]
    let _ = &mut passed;
    let ending = reactor.run();
    #[cfg(any(feature = "config", feature = "upgrade"))]
    let mut program = asked::Program {
        #[cfg(feature = "config")]
        reload: reload::Reload::new(settings, &bound, log, start.again),
        #[cfg(not(feature = "config"))]
        reload: std::marker::PhantomData,
        #[cfg(feature = "upgrade")]
        upgrade,
        #[cfg(feature = "notify")]
        supervised: &supervised,
        #[cfg(all(feature = "notify", feature = "upgrade"))]
        stop: (settings.drain, settings.grace),
    };
    #[cfg(any(feature = "config", feature = "upgrade"))]
    let ending = program.run_on(ending, &mut reactor);
    let ending = ending.map_err(|error| format!("the loop cannot go on: {error}"))?;
    #[cfg(feature = "notify")]
    if matches!(ending, Ending::Orderly | Ending::Aborted { .. }) {
        supervised.has_stopped(&reactor);
    }
    match ending {
        #[cfg(all(feature = "notify", feature = "upgrade"))]
        Ending::Asked(crate::reactor::Ask::HandOver) => {
            #[cfg(any(feature = "admin", feature = "events"))]
            observers.outlive();
            return Ok(Ending::Orderly);
        }
        #[cfg(any(feature = "config", feature = "upgrade"))]
        Ending::Asked(_) => {} // run_on has seen to it
        Ending::Orderly => info!("stopped: {}", reactor.tally()),
        Ending::Aborted { cut_off } => {
            warn!("stopped at once, {} cut off: {}", so_many(cut_off, "peer"), reactor.tally())
        }
    }
    Ok(ending)
}

//! `stillthere serve`: from settings to a running loop, and what is logged on the way.
#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use log::Level;
use socket2::{Domain, Socket, Type};

use crate::count::so_many;
use crate::keepalive::{Guard, Keepalive, State};
#[cfg(feature = "events")]
use crate::observe::events::EventsTo;
#[cfg(feature = "notify")]
use crate::observe::log::Format as LogFormat;
use crate::observe::log::{Levels, Logger};
use crate::place::Place;
use crate::reactor::{Ending, Limits, Listening, Reactor, SCRATCH, WhenFull};
use crate::seconds::{InWords, Seconds};
use crate::serve::listening::listen_everywhere;
use crate::tcp_info::TcpInfo;
use crate::{malloc, sysctl};

#[cfg(feature = "admin")]
pub use self::admin::AdminSettings;

#[cfg(feature = "config")]
pub use self::configuration::Configuration;
#[cfg(feature = "config")]
pub use self::in_words::{in_words, try_out};
#[cfg(feature = "config")]
pub use self::reload::ReadAgain;
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
#[cfg(feature = "notify")]
mod supervised;
#[cfg(feature = "upgrade")]
pub mod upgrading;

/// No machine has the memory for more connections: a higher limit is none.
const NO_LIMIT: usize = 1 << 24;

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

/// The checked settings of `serve`.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    pub places: Vec<Place>,
    /// They are not only the default.
    #[cfg(feature = "notify")]
    pub are_places_given: bool,
    pub keepalive: Keepalive,
    pub backlog: u32,
    pub reuse_port: bool,
    /// `None`: as many as the descriptor limit allows.
    pub max_connections: Option<usize>,
    pub service: ServiceName,
    /// With the service `heartbeat`: the silence after which a peer is asked, and how long its
    /// answer may take.
    pub heartbeat: Beats,
    /// A peer that sends nothing for this long is let go.
    pub expect: Option<Duration>,
    pub limits: Limits,
    /// `None`: as many from one address as there is room for.
    pub max_per_address: Option<usize>,
    /// How much memory waiting output may take, for all peers together; `None`: a quarter of the memory that there is.
    pub max_memory: Option<usize>,
    pub grace: Duration,
    /// SIGTERM leaves the peers with the supervisor, for the next start.
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    pub keeps_peers: bool,
    #[cfg(feature = "notify")]
    pub log_format: LogFormat,
    /// Over how long the closes of a stop are spread.
    #[cfg(feature = "upgrade")]
    pub drain: Duration,
    pub log: Levels,
    /// Who the server becomes when all is open: `NAME` or `NAME:GROUP`.
    #[cfg(feature = "sandbox")]
    pub user: Option<String>,
    /// It gives up what it does not need any more.
    #[cfg(feature = "sandbox")]
    pub sandbox: bool,
    /// The admin port, if there is to be one.
    #[cfg(feature = "admin")]
    pub admin: AdminSettings,
    /// Where the events go, if anywhere.
    #[cfg(feature = "events")]
    pub events: Option<EventsTo>,
    /// The configuration file, if there is one.
    #[cfg(feature = "config")]
    pub configuration: Option<Configuration>,
    /// What a profile has set, in words.
    #[cfg(feature = "config")]
    pub profile: Option<String>,
}

/// The services that are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceName {
    Echo,
    Discard,
    Heartbeat,
}

impl ServiceName {
    pub const ALL: [Self; 3] = [Self::Echo, Self::Discard, Self::Heartbeat];
    /// In the order of [`ServiceName::ALL`].
    pub const NAMES: [&'static str; 3] = ["echo", "discard", "heartbeat"];

    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// When a silent peer is asked, and when it is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beats {
    pub after: Duration,
    pub timeout: Duration,
}

impl Default for Beats {
    fn default() -> Self {
        Self { after: Duration::from_secs(30), timeout: Duration::from_secs(10) }
    }
}

impl ServeSettings {
    /// The backlog by default.
    pub const BACKLOG: u32 = 4096;
    /// The grace by default.
    pub const GRACE: Duration = Duration::from_secs(10);
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            places: vec![Place::DEFAULT],
            #[cfg(feature = "notify")]
            are_places_given: false,
            keepalive: Keepalive::default(),
            backlog: Self::BACKLOG,
            reuse_port: false,
            max_connections: None,
            service: ServiceName::Echo,
            heartbeat: Beats::default(),
            expect: None,
            limits: Limits::default(),
            max_per_address: None,
            max_memory: None,
            grace: Self::GRACE,
            #[cfg(all(feature = "notify", feature = "upgrade"))]
            keeps_peers: false,
            #[cfg(feature = "notify")]
            log_format: LogFormat::default(),
            #[cfg(feature = "upgrade")]
            drain: Duration::ZERO,
            log: Levels::default(),
            #[cfg(feature = "sandbox")]
            user: None,
            #[cfg(feature = "sandbox")]
            sandbox: false,
            #[cfg(feature = "admin")]
            admin: AdminSettings::default(),
            #[cfg(feature = "events")]
            events: None,
            #[cfg(feature = "config")]
            configuration: None,
            #[cfg(feature = "config")]
            profile: None,
        }
    }
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
    #[cfg(all(feature = "sandbox", feature = "upgrade"))]
    let mut upgrade = upgrade;
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
    #[cfg(not(feature = "admin"))]
    let _ = log;
    #[cfg(feature = "sandbox")]
    {
        #[cfg(feature = "upgrade")]
        upgrade.confine(&reactor, settings, &bound)?;
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

/// Logs the addresses, the deadline in words, and which settings will not hold.
fn announce(settings: &ServeSettings, bound: &[Listening], limit: usize) {
    #[cfg(feature = "config")]
    if let Some(profile) = &settings.profile {
        info!("{profile}");
    }
    let service = settings.service.name();
    for Listening { address, .. } in bound {
        info!("{service} listens on {address}, for {} (pid {})", Limit(limit), std::process::id());
    }
    let falls_back = |keepalive: &&Keepalive| keepalive.guard() != settings.keepalive.guard();
    let fallback = bound.iter().map(|listening| &listening.keepalive).find(falls_back);
    let keepalive = fallback.unwrap_or(&settings.keepalive);
    if let Some(idle) = keepalive.predict(State::Idle) {
        info!(
            "a silent peer is gone {idle} after its last sign of life: {}, the first after {}, then every {}",
            so_many(keepalive.count(), "probe"),
            InWords(keepalive.idle()),
            InWords(keepalive.interval()),
        );
    }
    match (keepalive.guard(), keepalive.predict(State::InFlight)) {
        (Guard::Loop { rto_max }, Some(prediction)) => info!(
            "the same with data unacknowledged or its window shut: {prediction} (the kernel tries again at least every {}, by \
             {})",
            InWords(keepalive.pace()),
            if rto_max.is_some() { "TCP_RTO_MAX_MS" } else { "a user timeout that slides" }
        ),
        (Guard::UserTimeout(timeout), Some(prediction)) => info!(
            "with data unacknowledged or its window shut it is gone {prediction} after that began (user timeout {})",
            InWords(timeout)
        ),
        _ => {}
    }
    let in_words = InWords;
    if settings.service == ServiceName::Heartbeat {
        let Beats { after, timeout } = settings.heartbeat;
        info!(
            "a peer that sends nothing for {} is sent a PING, and dropped if nothing comes back within {}",
            in_words(after),
            in_words(timeout)
        );
    }
    if let Some(within) = settings.expect {
        info!("a peer that sends nothing for {} is dropped", in_words(within));
    }
    if let Some(shortfall) = keepalive.shortfall(&settings.keepalive) {
        warn!("{shortfall}");
    }
    let retries = sysctl::number("net/ipv4/tcp_retries2").unwrap_or(15) as u32;
    if let Some(after) = keepalive.given_up_after(retries) {
        warn!(
            "net.ipv4.tcp_retries2 is {retries} here: with data unacknowledged or its window shut the kernel itself gives up a \
             silent peer after {} s, before the deadline; 15 keeps it",
            Seconds(after)
        );
    }
    let asks_the_kernel =
        settings.limits.stalled().is_some() || settings.limits.when_full() == WhenFull::EvictOldestIdle;
    if asks_the_kernel && !is_tcp_info_told() {
        warn!("TCP_INFO reports nothing here: --stalled and --when-full evict-oldest-idle find no peer");
    }
    for warning in keepalive.warnings() {
        warn!("--{warning}");
    }
    if let Some(most) = sysctl::number("net/core/somaxconn").filter(|most| *most < settings.backlog.into()) {
        warn!(
            "--backlog {}: the kernel cuts it to {most}; `sysctl net.core.somaxconn` sets its limit",
            settings.backlog
        );
    }
}

/// A limit of connections, in words.
struct Limit(usize);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            NO_LIMIT.. => f.write_str("as many connections as there is memory for"),
            limit => write!(f, "{} at most", so_many(limit, "connection")),
        }
    }
}

/// Whether this kernel has figures of a connection. A sandboxed one may succeed and fill in nothing.
fn is_tcp_info_told() -> bool {
    Socket::new(Domain::IPV4, Type::STREAM, None).is_ok_and(|socket| TcpInfo::is_told(&socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_a_sentence() {
        let told = [1, 19_968, NO_LIMIT, usize::MAX].map(|limit| Limit(limit).to_string());
        let all = "as many connections as there is memory for";
        assert_eq!(told, ["1 connection at most", "19968 connections at most", all, all]);
    }
}

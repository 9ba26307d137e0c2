//! The checked settings of `serve`, and what holds by default.

use std::time::Duration;

use crate::keepalive::Keepalive;
#[cfg(feature = "events")]
use crate::observe::events::EventsTo;
#[cfg(feature = "notify")]
use crate::observe::log::Format as LogFormat;
use crate::observe::log::Levels;
use crate::place::Place;
use crate::reactor::Limits;
#[cfg(feature = "admin")]
use crate::serve::AdminSettings;
#[cfg(feature = "config")]
use crate::serve::Configuration;

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

//! `stillthere serve`: from settings to a running loop, and what a person is told on the way.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use log::{info, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_getres};
use socket2::{Domain, Socket, Type};

use crate::keepalive::{Guard, Keepalive, State, TimerWheel};
use crate::malloc;
use crate::observe::log::Levels;
use crate::reactor::{Ending, Limits, Listen, Listening, Reactor, Service, WhenFull};
use crate::service::{Discard, Echo, Expect, Heartbeat, Ping};
use crate::tcp_info::TcpInfo;

/// Descriptors that are not for peers: the standard three, epoll, the signals' pipe, listeners, and
/// some to spare.
const RESERVE: usize = 32;

/// What `serve` was asked for, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    pub addresses: Vec<SocketAddr>,
    pub keepalive: Keepalive,
    pub backlog: u32,
    pub reuse_port: bool,
    /// `None`: as many as the descriptor limit allows.
    pub max_connections: Option<usize>,
    pub service: ServiceName,
    /// With the service `heartbeat`: the silence after which a peer is asked, and how long its
    /// answer may take.
    pub heartbeat: Beats,
    /// A peer that sends nothing for so long is let go.
    pub expect: Option<Duration>,
    pub limits: Limits,
    /// `None`: as many from one address as there is room for.
    pub max_per_address: Option<usize>,
    /// How much memory output that waits may take, for all peers together; `None`: a quarter of what there is.
    pub max_memory: Option<usize>,
    pub grace: Duration,
    pub log: Levels,
}

/// The services that are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceName {
    Echo,
    Discard,
    Heartbeat,
}

impl ServiceName {
    pub const ALL: [(&'static str, Self); 3] =
        [("echo", Self::Echo), ("discard", Self::Discard), ("heartbeat", Self::Heartbeat)];
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

impl Default for Settings {
    fn default() -> Self {
        Self {
            addresses: vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 7007)],
            keepalive: Keepalive::default(),
            backlog: 4096,
            reuse_port: false,
            max_connections: None,
            service: ServiceName::Echo,
            heartbeat: Beats::default(),
            expect: None,
            limits: Limits::default(),
            max_per_address: None,
            max_memory: None,
            grace: Duration::from_secs(10),
            log: Levels::default(),
        }
    }
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// A sentence that says what could not be done, why, and what to do about it.
pub fn run(settings: &Settings) -> Result<Ending, String> {
    malloc::give_back_large_tables();
    let limit = connection_limit(settings.max_connections);
    let mut reactor = Reactor::new(limit).map_err(|error| format!("cannot make an epoll instance: {error}"))?;
    reactor.obey_signals(settings.grace).map_err(|error| format!("cannot install signal handlers: {error}"))?;
    reactor.limit_per_address(settings.max_per_address).map_err(|error| error.to_string())?;
    if let Some(bytes) = settings.max_memory {
        reactor.limit_memory(bytes).map_err(|unfit| unfit.to_string())?;
    }
    let mut bound = Vec::new();
    for &address in &settings.addresses {
        bound.push(listen(&mut reactor, settings, address).map_err(|error| cannot_listen(address, &error))?);
    }
    announce(settings, &bound, limit);
    let ending = reactor.run().map_err(|error| format!("the loop cannot go on: {error}"))?;
    match ending {
        Ending::Orderly => info!("stopped: {}", reactor.tally()),
        Ending::Aborted { cut_off } => warn!("stopped at once, {cut_off} peers cut off: {}", reactor.tally()),
    }
    Ok(ending)
}

fn listen(reactor: &mut Reactor, settings: &Settings, address: SocketAddr) -> io::Result<Listening> {
    // Where both families were asked for on one port, the IPv6 socket must leave IPv4 alone.
    let has_v4 = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port() && address.port() != 0;
    let listen = Listen::on(address)
        .backlog(settings.backlog)?
        .reuse_port(settings.reuse_port)
        .only_v6(settings.addresses.iter().any(has_v4))
        .keepalive(settings.keepalive.clone())
        .limits(settings.limits);
    match settings.service {
        ServiceName::Echo => listen_with(reactor, settings, listen, Echo),
        ServiceName::Discard => listen_with(reactor, settings, listen, Discard),
        ServiceName::Heartbeat => {
            let Beats { after, timeout } = settings.heartbeat;
            // Two servers that are started together need not ask in step.
            let seed = u64::from(std::process::id());
            listen_with(reactor, settings, listen, Heartbeat::new(Ping::default(), after, timeout, seed)?)
        }
    }
}

fn listen_with<V: Service + 'static>(
    reactor: &mut Reactor,
    settings: &Settings,
    listen: Listen,
    service: V,
) -> io::Result<Listening> {
    match settings.expect {
        None => reactor.listen(listen, service),
        Some(within) => reactor.listen(listen, Expect::new(service, within)?),
    }
}

/// Says what is listened on, the deadline in words, and what will not be as it was asked for.
fn announce(settings: &Settings, bound: &[Listening], limit: usize) {
    let service =
        ServiceName::ALL.iter().find(|(_, service)| *service == settings.service).map_or("", |(name, _)| name);
    for Listening { address, .. } in bound {
        info!("{service} listens on {address}, for {limit} connections at most (pid {})", std::process::id());
    }
    let falls_back = |keepalive: &&Keepalive| keepalive.guard() != settings.keepalive.guard();
    let fallback = bound.iter().map(|listening| &listening.keepalive).find(falls_back);
    let keepalive = fallback.unwrap_or(&settings.keepalive);
    if let Some(idle) = keepalive.predict(State::Idle) {
        info!(
            "a silent peer is gone {idle} after its last sign of life: {} probes, the first after {}, then every {}",
            keepalive.count(),
            humantime::format_duration(keepalive.idle()),
            humantime::format_duration(keepalive.interval()),
        );
    }
    match (keepalive.guard(), keepalive.predict(State::InFlight)) {
        (Guard::Loop { rto_max }, Some(prediction)) => info!(
            "the same with data unacknowledged or its window shut: {prediction} (the kernel asks every {} at least, by \
             {})",
            humantime::format_duration(keepalive.pace()),
            if rto_max.is_some() { "TCP_RTO_MAX_MS" } else { "a user timeout that slides" }
        ),
        (Guard::UserTimeout(timeout), Some(prediction)) => info!(
            "with data unacknowledged or its window shut it is gone {prediction} after that began (user timeout {})",
            humantime::format_duration(timeout)
        ),
        _ => {}
    }
    let in_words = humantime::format_duration;
    if settings.service == ServiceName::Heartbeat {
        let Beats { after, timeout } = settings.heartbeat;
        info!(
            "a peer that says nothing for {} is asked (PING), and let go if nothing comes back within {}",
            in_words(after),
            in_words(timeout)
        );
    }
    if let Some(within) = settings.expect {
        info!("a peer that sends nothing for {} is let go", in_words(within));
    }
    if let Some(shortfall) = keepalive.shortfall(&settings.keepalive) {
        warn!("{shortfall}");
    }
    let asks_the_kernel =
        settings.limits.stalled().is_some() || settings.limits.when_full() == WhenFull::EvictOldestIdle;
    if asks_the_kernel && !is_tcp_info_told() {
        warn!(
            "TCP_INFO tells nothing here: --stalled finds nobody, and --when-full evict-oldest-idle takes everybody \
             for busy"
        );
    }
    for warning in keepalive.warnings() {
        warn!("--{warning}");
    }
    if let Some(most) = somaxconn().filter(|most| *most < settings.backlog) {
        warn!(
            "--backlog {}: the kernel cuts it to {most}; `sysctl net.core.somaxconn` sets its limit",
            settings.backlog
        );
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "; another socket has this address: `ss -ltnp sport = :{}` shows whose. Stop it, or choose another port \
             (--reuse-port shares it between processes that all ask for that)",
            address.port()
        ),
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "; ports below 1024 want root or CAP_NET_BIND_SERVICE. Choose a higher one, or \
             `setcap cap_net_bind_service=+ep` the program"
                .to_string()
        }
        io::ErrorKind::AddrNotAvailable => {
            let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
            let any = SocketAddr::new(any, address.port());
            format!("; no interface of this machine has this address: `ip address` lists them, {any} means all of them")
        }
        _ => match error.raw_os_error() {
            Some(libc::EAFNOSUPPORT) => "; this kernel has no support for this kind of address".to_string(),
            _ => String::new(),
        },
    };
    format!("cannot listen on {address}: {error}{advice}")
}

/// Raises the soft descriptor limit to the hard one, and says how many connections that allows.
fn connection_limit(wanted: Option<usize>) -> usize {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        warn!("the descriptor limit cannot be raised to {:?}: {error}", limit.maximum);
    }
    let descriptors = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
    let allowed = descriptors - RESERVE.min(descriptors / 2);
    match wanted {
        None => allowed.min(u32::MAX as usize),
        Some(wanted) => {
            if wanted > allowed {
                warn!(
                    "--max-connections {wanted}: the limit of {descriptors} descriptors allows {allowed}; \
                     `ulimit -n {}` before the start raises it",
                    wanted.saturating_add(RESERVE)
                );
            }
            wanted
        }
    }
}

/// The timer wheel of the running kernel. A coarse clock's resolution is its tick, 1/HZ
/// (clock_getres(2)).
pub fn timer_wheel() -> TimerWheel {
    let tick = clock_getres(ClockId::MonotonicCoarse);
    match Duration::try_from(tick) {
        Ok(tick) if (1..=20).contains(&tick.as_millis()) => TimerWheel::with_tick(tick),
        _ => TimerWheel::default(),
    }
}

/// Whether this kernel says anything of a connection. A sandboxed one may answer and tell nothing.
fn is_tcp_info_told() -> bool {
    Socket::new(Domain::IPV4, Type::STREAM, None).is_ok_and(|socket| TcpInfo::is_told(&socket))
}

fn somaxconn() -> Option<u32> {
    let mut text = [0; 16];
    let count = File::open("/proc/sys/net/core/somaxconn").ok()?.read(&mut text).ok()?;
    std::str::from_utf8(&text[..count]).ok()?.trim().parse().ok()
}

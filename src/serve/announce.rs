//! What the first lines of the log say: the addresses, the deadline in words, and which settings will not hold.

use std::fmt;

use socket2::{Domain, Socket, Type};

use crate::count::so_many;
use crate::keepalive::{Guard, Keepalive, State};
use crate::reactor::{Listening, WhenFull};
use crate::seconds::{InWords, Seconds};
use crate::serve::{Beats, ServeSettings, ServiceName};
use crate::sysctl;
use crate::tcp_info::TcpInfo;

/// No machine has the memory for more connections: a higher limit is none.
const NO_LIMIT: usize = 1 << 24;

/// Logs the addresses, the deadline in words, and which settings will not hold.
pub(super) fn announce(settings: &ServeSettings, bound: &[Listening], limit: usize) {
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

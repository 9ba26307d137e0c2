//! From places to listening sockets, and the advice if one cannot be opened.
//!
//! Owns the order in which addresses are tried, and the advice.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::place::Place;
use crate::reactor::{Listen, Listening, Reactor, Service};
#[cfg(feature = "upgrade")]
use crate::serve::upgrading::{goes_on, keep_the_others};
use crate::serve::{Beats, Passed, ServeSettings, ServiceName};
use crate::service::{Discard, Echo, Expect, Heartbeat, Ping};
use crate::sysctl;

/// Listens on each address of each place. Names are resolved now, and never again. A name may have
/// addresses that this machine cannot listen on, such as the IPv6 one of `localhost`: one that works is enough.
pub(super) fn listen_everywhere(
    reactor: &mut Reactor,
    settings: &ServeSettings,
    passed: &mut Passed,
) -> Result<Vec<Listening>, String> {
    let mut places = Vec::new();
    #[cfg_attr(not(feature = "upgrade"), allow(unused_mut))]
    let mut all_found = true;
    for place in &settings.places {
        let addresses = place.addresses();
        #[cfg(feature = "upgrade")]
        let addresses = addresses.or_else(|sentence| {
            all_found = false;
            goes_on(reactor, sentence).map(|()| Vec::new())
        });
        places.push((place, addresses?));
    }
    let (mut bound, mut taken) = (Vec::new(), Vec::new());
    for (place, addresses) in &places {
        let mut is_served = false;
        for &address in addresses {
            // Port 0 is a different port each time.
            if address.port() != 0 && taken.contains(&address) {
                warn!("{place}: {address} was given before, and is listened on once");
                is_served = true;
                continue;
            }
            // If both families were given for one port, the IPv6 socket must not take IPv4.
            let has_v4 = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port() && address.port() != 0;
            let only_v6 = places.iter().any(|(_, addresses)| addresses.iter().any(has_v4));
            match listen(reactor, settings, address, only_v6, passed) {
                Ok(listening) => {
                    bound.push(listening);
                    taken.push(address);
                    is_served = true;
                }
                Err(error) => {
                    let sentence = cannot_listen(place, address, &error, &bound);
                    if !place.is_name() || !is_absent(&error) {
                        #[cfg(feature = "upgrade")]
                        goes_on(reactor, sentence)?;
                        #[cfg(not(feature = "upgrade"))]
                        return Err(sentence);
                    } else {
                        warn!("{sentence}");
                    }
                }
            }
        }
        if !is_served && all_found {
            let sentence = format!("cannot listen on {place}: none of its addresses is this machine's");
            #[cfg(feature = "upgrade")]
            goes_on(reactor, sentence)?;
            #[cfg(not(feature = "upgrade"))]
            return Err(sentence);
        }
    }
    #[cfg(feature = "upgrade")]
    keep_the_others(reactor, settings, all_found)?;
    Ok(bound)
}

/// Goes on with an address that the program before has listened on; nobody more is accepted if `is_closed`.
#[cfg(feature = "upgrade")]
pub(super) fn retain(
    reactor: &mut Reactor,
    settings: &ServeSettings,
    address: SocketAddr,
    is_closed: bool,
) -> io::Result<Listening> {
    let listen = listen_on(settings, address, false)?;
    serve_at(reactor, settings, if is_closed { listen.closed() } else { listen })
}

fn listen(
    reactor: &mut Reactor,
    settings: &ServeSettings,
    address: SocketAddr,
    only_v6: bool,
    passed: &mut Passed,
) -> io::Result<Listening> {
    let listen = listen_on(settings, address, only_v6)?;
    #[cfg(feature = "notify")]
    let listen = match passed.take(&(&address).into(), false) {
        Some(listener) => listen.inherited(listener),
        None => listen,
    };
    #[cfg(not(feature = "notify"))]
    let Passed = passed;
    serve_at(reactor, settings, listen)
}

fn listen_on(settings: &ServeSettings, address: SocketAddr, only_v6: bool) -> io::Result<Listen> {
    Ok(Listen::on(address)
        .backlog(settings.backlog)?
        .reuse_port(settings.reuse_port)
        .only_v6(only_v6)
        .keepalive(settings.keepalive.clone())
        .limits(settings.limits))
}

fn serve_at(reactor: &mut Reactor, settings: &ServeSettings, listen: Listen) -> io::Result<Listening> {
    match settings.service {
        ServiceName::Echo => listen_with(reactor, settings, listen, Echo),
        ServiceName::Discard => listen_with(reactor, settings, listen, Discard),
        ServiceName::Heartbeat => {
            let Beats { after, timeout } = settings.heartbeat;
            // So that two servers which are started together do not ask in step.
            let seed = u64::from(std::process::id());
            listen_with(reactor, settings, listen, Heartbeat::new(Ping::default(), after, timeout, seed)?)
        }
    }
}

fn listen_with<V: Service + 'static>(
    reactor: &mut Reactor,
    settings: &ServeSettings,
    listen: Listen,
    service: V,
) -> io::Result<Listening> {
    match settings.expect {
        None => reactor.listen(listen, service),
        Some(within) => reactor.listen(listen, Expect::new(service, within)?),
    }
}

/// This machine has no such address, or does not support its family.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

fn cannot_listen(place: &Place, address: SocketAddr, error: &io::Error, bound: &[Listening]) -> String {
    let port = address.port();
    let any_v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    let covers = |other: &SocketAddr| other.port() == port && other.ip().is_unspecified();
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => match bound
            .iter()
            .find(|other| covers(&other.address) || other.address.port() == port && address.ip().is_unspecified())
        {
            Some(other) => {
                format!("; {} was given as well, and one of them covers the other: leave one out", other.address)
            }
            None => format!(
                "; another socket has this address: `ss -ltnp sport = :{port}` shows whose. Stop it, or choose another \
                 port (--reuse-port shares it)"
            ),
        },
        io::ErrorKind::PermissionDenied if port < 1024 => {
            "; ports below 1024 need root or CAP_NET_BIND_SERVICE. Choose a higher one, or \
             `setcap cap_net_bind_service=+ep` the program"
                .to_string()
        }
        #[cfg(feature = "sandbox")]
        io::ErrorKind::PermissionDenied => {
            "; only a sandbox forbids such a port: --sandbox since the start (start the server anew), or the system's"
                .to_string()
        }
        _ if address.is_ipv6() && is_absent(error) && !has_ipv6(error) => {
            format!("; this machine has no IPv6: {any_v4} means all of its addresses")
        }
        io::ErrorKind::AddrNotAvailable => {
            let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
            let any = SocketAddr::new(any, port);
            format!("; no interface of this machine has this address: `ip address` lists them, {any} means all of them")
        }
        io::ErrorKind::InvalidInput if matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0) =>
        {
            format!(
                "; a link-local address needs its interface, such as [{}%eth0]:{port}: `ip -6 address` lists them",
                address.ip()
            )
        }
        _ => match error.raw_os_error() {
            Some(libc::EAFNOSUPPORT) => "; this kernel has no support for this kind of address".to_string(),
            _ => String::new(),
        },
    };
    let of = if place.is_name() { format!("{place}: ") } else { String::new() };
    format!("{of}cannot listen on {address}: {error}{advice}")
}

/// The kernel has no IPv6, or no interface has an address of it (`net.ipv6.conf.all.disable_ipv6`).
fn has_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() != Some(libc::EAFNOSUPPORT) && sysctl::beginning("/proc/net/if_inet6", &mut [0]) == Some(1)
}

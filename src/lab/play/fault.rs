//! How each fault is produced.
//!
//! Owns the commands that break a network. Knows neither the state of the connection nor what happens to it.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crate::lab::cast::peer::ScriptedPeer;
use crate::lab::play::scene::Fault;
use crate::lab::stage::namespaces::{feed, ip};
use crate::lab::stage::network::{Family, INTERFACE, Network};
use crate::lab::stage::programs::installed;

/// Long enough for a packet to cross the network.
const CROSSING: Duration = Duration::from_millis(50);

/// A description of what was done, and when.
pub(in crate::lab) struct Struck {
    pub at: SystemTime,
    pub words: String,
}

/// Why a fault cannot be produced on this machine; `None` if it can.
pub(in crate::lab) fn is_missing(fault: Fault, family: Family) -> Option<String> {
    if fault == Fault::QueueFull && installed("tc").is_none() {
        return Some("filling a transmit queue needs `tc`, which is not installed; `apt install iproute2`".to_string());
    }
    let what = match fault {
        Fault::Lossy10 | Fault::Lossy30 => "losing a share of the packets",
        Fault::HostUnreachable if family == Family::V6 => "a router that reports a host of IPv6 as unreachable",
        _ => return None,
    };
    let is_there = installed("nft").is_some();
    (!is_there).then(|| format!("{what} needs `nft`, which is not installed; `apt install nftables`"))
}

/// Produces the fault. `port` is the client's, for a fault that affects only one connection.
///
/// # Errors
/// A sentence: what could not be done, and why.
pub(in crate::lab) fn strike(
    fault: Fault,
    network: &Network,
    peer: &mut ScriptedPeer,
    port: u16,
) -> Result<Struck, String> {
    let (client, server) = (network.client_address, network.server_address);
    let route = |kind: &str, to| format!("route add {kind} {to}");
    let middle = |lines: &[String]| ip(Some(&network.middle), lines);
    let both = [route("blackhole", client), route("blackhole", server)];
    let mut words = fault.explanation().to_string();
    let mut at = SystemTime::now();
    match fault {
        Fault::BlackHole => middle(&both)?,
        Fault::InDead => middle(&[route("blackhole", server)])?,
        Fault::OutDead => middle(&[route("blackhole", client)])?,
        Fault::HostUnreachable if network.family == Family::V6 => {
            // For IPv6, an `unreachable` route sends another error, "no route", and not "address unreachable".
            filter(
                network,
                &format!("ip6 saddr {client} drop\nip6 daddr {client} reject with icmpv6 type addr-unreachable"),
            )?;
        }
        Fault::HostUnreachable => middle(&["link set client down".to_string(), route("unreachable", client)])?,
        Fault::AdminProhibited => middle(&["link set client down".to_string(), route("prohibit", client)])?,
        Fault::LinkDown => middle(&["link set server down".to_string()])?,
        Fault::ArpGone => {
            middle(&["link set client down".to_string()])?;
            // As if the server's entry for its neighbour had expired: it must resolve the address again.
            ip(Some(&network.server), &[format!("neighbour flush dev {INTERFACE}")])?;
        }
        Fault::QueueFull => {
            queue(network, "replace", " pfifo limit 0")?;
            at = SystemTime::now();
            middle(&both)?;
        }
        Fault::NatForgot if installed("nft").is_some() => filter(
            network,
            &["saddr {client} tcp sport", "daddr {client} tcp dport"]
                .map(|packet| {
                    format!("{} {} {port} drop", table(network), packet.replace("{client}", &client.to_string()))
                })
                .join("\n"),
        )?,
        Fault::NatForgot => {
            words += " (without `nft`, all of the client's)";
            middle(&both)?;
        }
        Fault::Lossy10 | Fault::Lossy30 => {
            let loss = fault.loss().unwrap_or_default();
            filter(network, &format!("numgen random mod 100 < {loss} drop"))?;
        }
        Fault::Rebooted => {
            // The client's socket vanishes without notice: the RST of its reset is lost on the way.
            middle(&both)?;
            peer.tell("reset")?;
            peer.kill();
            middle(&both.map(|line| line.replace("route add", "route delete")))?;
            at = SystemTime::now();
        }
        Fault::Killed => peer.kill(),
        Fault::Closed => peer.begin("close")?,
        Fault::Reset => peer.tell("reset")?,
        Fault::HalfCloseThenCut => {
            peer.tell("finish")?;
            sleep(CROSSING);
            middle(&both)?;
        }
        Fault::Frozen => peer.freeze(),
        Fault::Nothing => {}
    }
    Ok(Struck { at, words })
}

/// Makes the server's transmit queue accept packets again.
///
/// # Errors
/// A sentence: what `tc` said.
pub(in crate::lab) fn unstick(network: &Network) -> Result<(), String> {
    queue(network, "delete", "")
}

fn queue(network: &Network, verb: &str, rest: &str) -> Result<(), String> {
    let tc = installed("tc").ok_or("`tc` is not installed; `apt install iproute2`")?;
    let inside = || {
        let mut command = Command::new(tc);
        command.args(["-batch", "-"]);
        Ok(feed(command, &format!("qdisc {verb} dev {INTERFACE} root{rest}\n")))
    };
    network.server.within(inside).map_err(|error| format!("cannot enter the server's namespace: {error}"))?
}

/// The name of the family in `nft`, for tables and in rules.
fn table(network: &Network) -> &'static str {
    if network.family == Family::V4 { "ip" } else { "ip6" }
}

fn filter(network: &Network, rules: &str) -> Result<(), String> {
    let nft = installed("nft").ok_or("`nft` is not installed; `apt install nftables`")?;
    let table = table(network);
    let chain = format!(
        "table {table} lab {{ chain forward {{\ntype filter hook forward priority 0; policy accept;\n{rules}\n}}\n}}"
    );
    let inside = || {
        let mut command = Command::new(nft);
        command.args(["-f", "-"]);
        Ok(feed(command, &chain))
    };
    network.middle.within(inside).map_err(|error| format!("cannot enter the router's namespace: {error}"))?
}

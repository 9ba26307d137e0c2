//! Middleboxes that forget silent connections.
//!
//! Owns the table of limits, each with its source, how one is named on the command line, and what happens to a silent
//! connection there. Knows no peer; the limits are those of the date below, and most
//! can be configured.

use std::time::Duration;

use crate::keepalive::Keepalive;

/// Where the limit comes from, and what resets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MiddleboxKind {
    /// Forwards packets: each one, a probe too, starts its clock anew.
    Forwards,
    /// Ends TCP on both sides: it answers probes itself, and only bytes start its clock anew.
    Proxy,
}

/// The source of the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureSource {
    /// Read in the document that is named.
    Read(&'static str),
    /// From a secondary source; the original was not read.
    SecondHand(&'static str),
    /// Given by `--nat-timeout`.
    Given,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Middlebox {
    /// For the command line.
    pub key: &'static str,
    pub name: &'static str,
    pub limit: Duration,
    pub kind: MiddleboxKind,
    pub source: FigureSource,
}

const fn forwards(key: &'static str, name: &'static str, seconds: u64, source: &'static str) -> Middlebox {
    Middlebox {
        key,
        name,
        limit: Duration::from_secs(seconds),
        kind: MiddleboxKind::Forwards,
        source: FigureSource::Read(source),
    }
}

const fn proxy(key: &'static str, name: &'static str, seconds: u64, source: &'static str) -> Middlebox {
    Middlebox { kind: MiddleboxKind::Proxy, ..forwards(key, name, seconds, source) }
}

const fn second_hand(one: Middlebox) -> Middlebox {
    match one.source {
        FigureSource::Read(source) => Middlebox { source: FigureSource::SecondHand(source), ..one },
        _ => one,
    }
}

/// Defaults as they were documented in November 2026, the shortest first.
pub const MIDDLEBOXES: &[Middlebox] = &[
    proxy(
        "aws-alb",
        "AWS Application Load Balancer",
        60,
        "docs.aws.amazon.com, edit-load-balancer-attributes: 60 s, 1 to 4000",
    ),
    proxy("aws-clb", "AWS Classic Load Balancer", 60, "docs.aws.amazon.com, config-idle-timeout: 60 s, 1 to 3600"),
    forwards(
        "azure-lb",
        "Azure Load Balancer",
        240,
        "learn.microsoft.com, load-balancer-tcp-idle-timeout: 4 min, 4 to 100",
    ),
    forwards("azure-nat", "Azure NAT gateway", 240, "learn.microsoft.com, NAT gateway profile: 4 min, 4 to 120"),
    forwards(
        "mobile",
        "a French mobile carrier",
        270,
        "blog.wirelessmoves.com, 2020, measured: more than 270 s failed",
    ),
    forwards(
        "digitalocean-nat",
        "DigitalOcean NAT gateway",
        300,
        "docs.digitalocean.com, doctl vpc-nat-gateway: 300 s",
    ),
    proxy(
        "oracle-lb",
        "Oracle Load Balancer",
        300,
        "docs.oracle.com, Balance/connectionreuse: 300 s to its backends, not to be changed",
    ),
    forwards(
        "aws-nlb",
        "AWS Network Load Balancer",
        350,
        "docs.aws.amazon.com, update-idle-timeout: 350 s, 60 to 6000",
    ),
    forwards(
        "aws-gwlb",
        "AWS Gateway Load Balancer",
        350,
        "docs.aws.amazon.com, update-idle-timeout: 350 s, 60 to 6000",
    ),
    second_hand(forwards(
        "aws-nat",
        "AWS NAT gateway",
        350,
        "what is said of nat-gateway-troubleshooting: 350 s, not to be changed",
    )),
    forwards("aws-firewall", "AWS Network Firewall", 350, "docs.aws.amazon.com, FlowTimeouts: 350 s, 60 to 6000"),
    forwards(
        "aws-nitro6",
        "AWS security group on Nitro v6",
        350,
        "docs.aws.amazon.com, ConnectionTrackingConfiguration: 350 s, 60 to 432000; 5 days before",
    ),
    forwards("oracle-nlb", "Oracle Network Load Balancer", 360, "docs.oracle.com, configure-idle-timeout: 360 s"),
    proxy(
        "cloudflare",
        "Cloudflare to the client",
        400,
        "developers.cloudflare.com, connection-limits: 400 s, not to be changed",
    ),
    forwards("gcp-vpc", "Google Cloud VPC", 600, "cloud.google.com, compute troubleshooting: tracked for 10 min"),
    proxy("nginx", "nginx stream", 600, "nginx.org, ngx_stream_proxy_module, proxy_timeout: 10 min"),
    proxy(
        "cloudflare-origin",
        "Cloudflare to the origin",
        900,
        "developers.cloudflare.com, connection-limits: proxy idle timeout 900 s, not to be changed",
    ),
    forwards("ipvs", "Linux IPVS", 900, "Linux, net/netfilter/ipvs/ip_vs_proto_tcp.c: 15 min; ipvsadm --set"),
    forwards(
        "kube-proxy",
        "kube-proxy with IPVS",
        900,
        "kubernetes.io, kube-proxy --ipvs-tcp-timeout: leaves it to IPVS, 15 min",
    ),
    forwards("gcp-nat", "Google Cloud NAT", 1200, "Compute API, tcpEstablishedIdleTimeoutSec: 1200 s"),
    forwards("fortiadc", "FortiADC firewall", 3600, "docs.fortinet.com, config firewall global: 3600 s, 1 to 86400"),
    forwards("kaspersky", "Kaspersky NGFW", 3600, "support.kaspersky.com, timeouts tcp established: 3600 s"),
    forwards("cisco-asa", "Cisco ASA", 3600, "cisco.com, ASA, timeout conn 1:00:00, 0:05:00 to 1193:00:00"),
    proxy("envoy", "Envoy TCP proxy", 3600, "envoyproxy.io, timeouts: idle_timeout 1 h"),
    forwards("rfc5382", "what RFC 5382 asks of a NAT", 7440, "RFC 5382 REQ-5: not less than 2 h 4 min"),
    second_hand(forwards("openwrt", "OpenWrt (home routers)", 7440, "copies of its sysctl-nf-conntrack.conf: 7440 s")),
    forwards("netfilter", "Linux netfilter", 432_000, "kernel.org, nf_conntrack-sysctl: 5 days"),
];

/// What happens to a silent connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Survives,
    /// It survives while no more than this many probes or pings in a row are lost on the way to the middlebox.
    Barely(u32),
    Forgotten,
}

impl Middlebox {
    /// By its key, in any case.
    pub fn named(key: &str) -> Option<Self> {
        MIDDLEBOXES.iter().find(|one| one.key.eq_ignore_ascii_case(key)).copied()
    }

    /// A NAT or another middlebox of which only the time-out is known.
    pub fn given(limit: Duration) -> Self {
        Self { key: "nat-timeout", name: "a NAT", limit, kind: MiddleboxKind::Forwards, source: FigureSource::Given }
    }

    /// Under keepalive; `None` for a proxy, which no probe passes.
    pub fn under_probes(&self, keepalive: &Keepalive) -> Option<Fate> {
        (self.kind == MiddleboxKind::Forwards).then(|| self.after(keepalive.silences().into_iter()))
    }

    /// With heartbeats: a ping after this much silence, sent again at these moments after the first time.
    pub fn under_heartbeats(&self, silence: Duration, tries: &[Duration]) -> Fate {
        self.after(tries.iter().map(|try_at| silence + *try_at))
    }

    /// `silences`: of a connection if no probe is lost, if one is, and so on.
    fn after(&self, silences: impl Iterator<Item = Duration>) -> Fate {
        let mut lost = None;
        for (n, silence) in silences.enumerate() {
            if silence >= self.limit {
                return lost.map_or(Fate::Forgotten, Fate::Barely);
            }
            lost = Some(n as u32);
        }
        Fate::Survives
    }
}

impl std::fmt::Display for FigureSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(source) => f.write_str(source),
            Self::SecondHand(source) => write!(f, "second-hand: {source}"),
            Self::Given => f.write_str("--nat-timeout"),
        }
    }
}

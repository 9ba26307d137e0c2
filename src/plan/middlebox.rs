//! What stands on the way and forgets silent connections.
//!
//! Owns the table of limits, each with whoever documents it. Knows no peer; the limits are those of
//! the date below, and most can be configured.

use std::time::Duration;

use crate::keepalive::Keepalive;

/// Where the limit comes from, and what resets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Forwards packets: each one, a probe too, starts its clock anew.
    Forwards,
    /// Ends TCP on both sides: it answers probes itself, and only bytes start its clock anew.
    Proxy,
}

#[derive(Clone, Copy, Debug)]
pub struct Middlebox {
    pub name: &'static str,
    pub limit: Duration,
    pub kind: Kind,
    pub source: &'static str,
}

const fn forwards(name: &'static str, seconds: u64, source: &'static str) -> Middlebox {
    Middlebox { name, limit: Duration::from_secs(seconds), kind: Kind::Forwards, source }
}

const fn proxy(name: &'static str, seconds: u64, source: &'static str) -> Middlebox {
    Middlebox { name, limit: Duration::from_secs(seconds), kind: Kind::Proxy, source }
}

/// Defaults as they were documented in November 2026, the shortest first.
pub const MIDDLEBOXES: &[Middlebox] = &[
    proxy("AWS Classic Load Balancer", 60, "AWS API reference, LoadBalancer idle timeout: 60 s"),
    forwards("Azure Load Balancer", 240, "learn.microsoft.com, load-balancer-tcp-reset: 4 min, 4 to 30"),
    forwards("Azure NAT gateway", 240, "learn.microsoft.com, NAT gateway profile: 4 min, 4 to 120"),
    forwards("a French mobile carrier", 270, "blog.wirelessmoves.com, 2020, measured: more than 270 s failed"),
    forwards("AWS Network Load Balancer", 350, "docs.aws.amazon.com, update-idle-timeout: 350 s, 60 to 6000"),
    forwards("AWS Gateway Load Balancer", 350, "docs.aws.amazon.com, update-idle-timeout: 350 s, 60 to 6000"),
    forwards("AWS NAT gateway", 350, "repost.aws, lambda-vpc-timeout: keepalive below 350 s"),
    forwards("AWS Network Firewall", 350, "docs.aws.amazon.com, FlowTimeouts: 350 s, 60 to 6000"),
    forwards("AWS security group, Nitro v6", 350, "docs.aws.amazon.com, ConnectionTrackingConfiguration: 350 s"),
    forwards("Google Cloud VPC", 600, "cloud.google.com, compute troubleshooting: tracked for 10 min"),
    proxy("nginx, stream", 600, "nginx.org, ngx_stream_proxy_module, proxy_timeout: 10 min"),
    forwards("Google Cloud NAT", 1200, "Compute API, tcpEstablishedIdleTimeoutSec: 1200 s"),
    forwards("FortiADC firewall", 3600, "docs.fortinet.com, config firewall global: 3600 s"),
    forwards("Kaspersky NGFW", 3600, "support.kaspersky.com, timeouts tcp established: 3600 s"),
    forwards("Cisco ASA", 3600, "ASA configuration, timeout conn 1:00:00"),
    proxy("Envoy, TCP proxy", 3600, "envoyproxy.io, timeouts: idle_timeout 1 h"),
    forwards("what RFC 5382 asks of a NAT", 7440, "RFC 5382 REQ-5: not less than 2 h 4 min"),
    forwards("OpenWrt (home routers)", 7440, "OpenWrt, sysctl-nf-conntrack.conf: 7440 s"),
    forwards("Linux netfilter", 432_000, "kernel.org, nf_conntrack-sysctl: 5 days"),
];

/// How a silent connection fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Survives,
    /// Only while no probe is lost on the way to it.
    Barely,
    Forgotten,
}

impl Middlebox {
    /// Under keepalive; `None` for a proxy, which no probe passes.
    pub fn under_probes(&self, keepalive: &Keepalive) -> Option<Fate> {
        if self.kind == Kind::Proxy {
            return None;
        }
        let [first, last] = keepalive.longest_silences();
        Some(self.after(first, last))
    }

    /// Under heartbeats: a lost one is sent again at once.
    pub fn under_heartbeats(&self, silence: Duration) -> Fate {
        self.after(silence, silence)
    }

    fn after(&self, silence: Duration, longest: Duration) -> Fate {
        match self.limit {
            limit if silence >= limit => Fate::Forgotten,
            limit if longest >= limit => Fate::Barely,
            _ => Fate::Survives,
        }
    }
}

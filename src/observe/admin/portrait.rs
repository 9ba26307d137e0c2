//! A peer as JSON: what the loop and the kernel know of it.
//!
//! Owns the names and units. Knows neither who asks nor which peers there are.

use std::fmt::{Display, Write};
use std::time::Duration;

use crate::reactor::{Moment, PeerId, Seen};
use crate::tcp_info::TcpInfo;

/// TCP states in words, by the kernel's numbers, which begin with 1 (`include/net/tcp_states.h`).
const STATES: [&str; 12] = [
    "established",
    "syn_sent",
    "syn_received",
    "fin_wait_1",
    "fin_wait_2",
    "time_wait",
    "closed",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "new_syn_received",
];

/// What is told of each peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portrait<'a> {
    pub id: PeerId,
    pub seen: &'a Seen,
    pub now: Moment,
    /// How long it may be silent.
    pub deadline: Duration,
}

impl Portrait<'_> {
    /// As it stands in a list.
    pub(super) fn tell(&self, text: &mut String) {
        self.begin(text);
        text.push('}');
    }

    /// The whole story.
    pub(super) fn tell_all(&self, text: &mut String) {
        self.begin(text);
        let info = self.info();
        let state = info.and_then(|info| STATES.get(usize::from(info.state) - 1));
        match state {
            Some(state) => member(text, "state", format_args!("\"{state}\"")),
            None => member(text, "state", "null"),
        }
        let mut add = |name, figure: fn(&TcpInfo) -> u64| number(text, name, info.as_ref().map(figure));
        add("retransmits", |info| info.retransmits.into());
        add("rto_us", |info| info.rto.as_micros() as u64);
        add("not_sent", |info| info.not_sent.into());
        add("pure_acks", |info| info.pure_acks.into());
        add("sent_ms", |info| milliseconds(info.sent));
        add("received_ms", |info| milliseconds(info.received));
        number(text, "window", info.and_then(|info| info.window.map(u64::from)));
        text.push('}');
    }

    fn begin(&self, text: &mut String) {
        let Self { id, seen, now, deadline } = self;
        // Writing to a string cannot fail. Neither an id nor an address needs escapes.
        let _ = write!(text, "{{\"id\":\"{id}\",\"peer\":\"{}\"", seen.address);
        match seen.local {
            Some(local) => member(text, "local", format_args!("\"{local}\"")),
            None => member(text, "local", "null"),
        }
        number(text, "connected_ms", Some(milliseconds(now.since(seen.arrived))));
        let info = self.info();
        number(text, "silent_ms", info.map(|info| milliseconds(info.silent)));
        number(text, "probes", info.map(|info| info.probes.into()));
        number(text, "bytes_in", info.map(|info| info.bytes_in()));
        number(text, "bytes_out", info.and_then(|info| info.bytes_out()));
        number(text, "bytes_unacknowledged", info.and_then(|info| info.bytes_unacknowledged()));
        let measured = info.filter(|info| !info.round_trip.is_zero());
        number(text, "round_trip_us", measured.map(|info| info.round_trip.as_micros() as u64));
        number(text, "retransmissions", info.map(|info| info.retransmitted.into()));
        number(text, "waiting", Some(seen.waiting as u64));
        number(text, "deadline_ms", Some(milliseconds(*deadline)));
    }

    fn info(&self) -> Option<TcpInfo> {
        told(self.seen)
    }
}

/// The kernel's figures, if it has any: a sandboxed one succeeds and fills nothing in.
pub(super) fn told(seen: &Seen) -> Option<TcpInfo> {
    seen.info.filter(|info| info.state != 0)
}

pub(super) fn milliseconds(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

fn number(text: &mut String, name: &str, value: Option<u64>) {
    match value {
        Some(value) => member(text, name, value),
        None => member(text, name, "null"),
    }
}

fn member(text: &mut String, name: &str, value: impl Display) {
    let _ = write!(text, ",\"{name}\":{value}");
}

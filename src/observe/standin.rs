//! Stand-in until main has the library's news.
#![allow(dead_code)]
use std::net::SocketAddr;
use std::time::Duration;

use crate::reactor::{Departure, Moment, PeerId};
use crate::tcp_info::TcpInfo;

#[derive(Clone, Debug)]
pub struct News {
    pub at: Moment,
    pub what: Happening,
}

#[derive(Clone, Debug)]
pub enum Happening {
    Arrived { id: PeerId, peer: SocketAddr, local: Option<SocketAddr> },
    Departed(Departed),
    Refused { peer: SocketAddr, departure: Departure },
    LimitReached { limit: usize },
    AcceptPaused { errno: i32 },
    Stopping,
    LeftOut { count: u64 },
}

#[derive(Clone, Copy, Debug)]
pub struct Departed {
    pub id: PeerId,
    pub peer: SocketAddr,
    pub local: Option<SocketAddr>,
    pub departure: Departure,
    pub reason: Option<&'static str>,
    pub connected: Duration,
    pub info: Option<TcpInfo>,
}

impl Departure {
    pub const WORDS: [&'static str; Self::REASONS] = [
        "closed",
        "reset",
        "probes_unanswered",
        "data_unacknowledged",
        "window_shut",
        "unreachable",
        "unresponsive",
        "stalled",
        "evicted",
        "full",
        "too_many_from_address",
        "shut_down",
        "outbox_full",
        "memory_limit",
        "out_of_memory",
        "by_service",
        "failed",
    ];
    pub fn word(self) -> &'static str {
        Self::WORDS[self.index()]
    }
    pub fn errno(self) -> Option<i32> {
        match self {
            Self::ProbesUnanswered => Some(110),
            Self::Unreachable(cause) | Self::Failed(cause) => Some(cause.errno()),
            _ => None,
        }
    }
}

//! What does not change while the server runs, and what others count: for those who ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the admin port tells of the server beside what the loop knows.
#[derive(Clone, Debug)]
pub struct About {
    /// How long a silent peer may be kept.
    pub deadline: Duration,
    /// By when the latest silent peer should be gone.
    pub latest: Duration,
    /// The silence before the first probe.
    pub idle: Duration,
    /// From one probe to the next.
    pub interval: Duration,
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    pub left_out: LeftOut,
    /// Why the last upgrade was refused, if one was.
    #[cfg(feature = "upgrade")]
    pub refusal: crate::upgrade::Refusal,
}

/// Lines that were not taken by their readers, as their writers count them.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    pub log: Arc<AtomicU64>,
    pub events: Arc<AtomicU64>,
}

impl LeftOut {
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.log.load(Ordering::Relaxed), self.events.load(Ordering::Relaxed))
    }
}

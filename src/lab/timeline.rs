//! What happened in a scene, in order: packets, the fault, what the server did.
//!
//! Owns the one data model that a scene fills and that the terminal, the capture file, the figure and the report read. Knows no namespace and no socket.

use std::time::{Duration, SystemTime};

/// The source of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The scripted peer.
    Client,
    Server,
    /// The network between them, including ICMP messages of a router.
    Path,
    /// The lab itself: the fault, the verdict.
    Lab,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct TimelineEntry {
    pub at: SystemTime,
    pub who: Who,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// A packet as the server's namespace saw it, with its link-layer header.
    Packet { frame: Vec<u8>, words: String },
    /// What was broken.
    Fault(String),
    /// The server dropped the peer: the errno and the event bits, as far as they are known.
    Departure { words: String },
    /// Any other event: a state was reached, a program was stopped.
    Note(String),
}

/// A scene's entries, and the moment that counts as zero.
#[derive(Clone, Debug)]
pub struct Timeline {
    pub entries: Vec<TimelineEntry>,
    /// The moment of the fault; without a fault, the end of the preparations.
    pub origin: SystemTime,
}

impl Timeline {
    /// Seconds from the origin; negative before it.
    pub fn seconds(&self, entry: &TimelineEntry) -> f64 {
        match entry.at.duration_since(self.origin) {
            Ok(after) => after.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        }
    }
}

/// How a scene ended, and how that compares with the prediction.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The scene's name: `window-shut/black-hole`.
    pub scene: String,
    /// The interval in which the peer must be dropped, counted from the origin; `None`: it must be kept.
    pub predicted: Option<(Duration, Duration)>,
    /// When the peer was dropped; `None`: it was still there after `watched`.
    pub measured: Option<Duration>,
    pub watched: Duration,
    /// `ETIMEDOUT` and the like; empty if it was not reported.
    pub errno: String,
    /// The source of that: the server's log, or the socket table. For a peer that was kept: which process has its socket open.
    pub said_by: String,
    /// The program sent the first FIN: its own time-out closed the connection, and not the kernel's keepalive.
    pub own_time_out: bool,
    /// The program has closed its descriptor, but the kernel had not finished with the socket.
    pub orphan: bool,
    /// How many living peers on a lossy path were dropped, and of how many. With so much loss some drops are expected, so this
    /// neither keeps nor breaks the promise.
    pub dropped: Option<(usize, usize)>,
    pub kept_its_promise: bool,
}

//! What happened in a scene, in order: packets, the fault, what the server did.
//!
//! Owns the one data model that the engine fills and that the terminal, the capture file, the
//! figure and the report read. Knows no namespace and no socket.

use std::time::{Duration, SystemTime};

/// Who did it, or where it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The scripted peer.
    Client,
    Server,
    /// The network between them, a router's ICMP messages among it.
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
    /// The server let the peer go: the errno and the event bits, as far as they are known.
    Departure { words: String },
    /// Anything else that is worth a line: a state that was reached, a program that was stopped.
    Note(String),
}

/// A scene's entries, and the moment from which a person counts.
#[derive(Clone, Debug)]
pub struct Timeline {
    pub entries: Vec<TimelineEntry>,
    /// The fault, or where none comes, the end of the preparations.
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
    /// When it must be gone, from the origin; `None`: it must be kept.
    pub predicted: Option<(Duration, Duration)>,
    /// When it was gone; `None`: it was still there after `watched`.
    pub measured: Option<Duration>,
    pub watched: Duration,
    /// `ETIMEDOUT`, or empty where nobody said.
    pub errno: String,
    /// Who said so: the server's log, the socket table. Of one that was still there, who has it open.
    pub said_by: String,
    /// The program sent the first FIN: it closed by a time-out of its own, and not the kernel by its keepalive.
    pub own_time_out: bool,
    /// The program has closed its descriptor, and the kernel still wanted to finish with the socket.
    pub orphan: bool,
    /// How many living peers on a lossy path were dropped, and of how many. Its loss makes some of that
    /// likely: it is neither a promise kept nor one broken.
    pub dropped: Option<(usize, usize)>,
    pub kept_its_promise: bool,
}

//! Whether there is memory for the admin port.
//!
//! Answers are made with allocations that cannot fail: without memory for them the program would end, and with it every peer. So
//! before anything is done there must be room for more than the largest answer takes; if there is none, the port does nothing, and lets
//! its clients go.

use std::time::Duration;

use log::warn;

use crate::malloc;
use crate::reactor::Moment;

/// More than is allocated in one turn: a sorted list has 4 MiB at most, and grows by doubling.
const MOST: usize = 16 << 20;
/// How long the warning is not repeated.
const QUIET: Duration = Duration::from_secs(60);

/// Whether there was room, as of a turn.
#[derive(Debug, Default)]
pub(super) struct Room {
    at: Moment,
    is_there: bool,
    /// There was none, and somebody follows who has missed something for that.
    pub(super) has_failed: bool,
    warned: Option<Moment>,
}

impl Room {
    /// Whether there is room in the turn that woke then. Asked of the C library once a turn.
    pub(super) fn is_there(&mut self, now: Moment) -> bool {
        if self.at != now {
            (self.at, self.is_there) = (now, malloc::has_room(MOST));
        }
        if !self.is_there {
            self.has_failed = true;
            if self.warned.is_none_or(|warned| now.since(warned) >= QUIET) {
                self.warned = Some(now);
                warn!("the admin port answers nobody: it wants {} MiB of memory to be free", MOST >> 20);
            }
        }
        self.is_there
    }
}

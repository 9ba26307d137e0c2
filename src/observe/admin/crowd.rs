//! All peers at a glance, for those who watch: what was seen of each in the latest sweep.
//!
//! Owns that table, the sweeps that keep it fresh, and which of its entries a watcher has not been told yet. A sweep looks at
//! all peers, a slice of them in a turn, once a second while anybody watches; how many watch makes no difference to it. Each watcher
//! walks through the table at its own pace. Knows no watcher.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::Bound;

use crate::observe::admin::listing::SLICE;
use crate::observe::admin::portrait::told;
use crate::reactor::{Look, Orders, PeerId};

/// How many peers are in the table at most.
const MOST_PEERS: usize = 100_000;
/// A silence is known to a tick of the kernel, so that a sign of life seems to move a little from sweep to sweep.
const JITTER: u64 = 50;
/// How many entries a walk passes in one call.
const STEP: usize = 1024;

/// What was seen of all peers.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    peers: BTreeMap<PeerId, Sighting>,
    /// The number of the sweep that is going on, or was the last.
    sweep: u32,
    /// The number of the last one that is complete.
    complete: u32,
    /// A sweep is going on.
    is_sweeping: bool,
    /// The sweep that is going on is not wanted any more.
    is_abandoned: bool,
}

/// What was seen of a peer.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    address: SocketAddr,
    /// When the last sign of life came, in milliseconds since 1970.
    heard: u64,
    waiting: u32,
    probes: u8,
    /// The sweep in which it was seen last, and the one in which it was last seen to have changed.
    seen: u32,
    changed: u32,
}

/// How far a watcher has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walk {
    /// Of which sweep it tells; 0: it has not begun.
    sweep: u32,
    /// The last peer that it has passed.
    after: Option<PeerId>,
    /// Everything is told; otherwise what has changed in a later sweep than this one.
    since: Option<u32>,
}

impl Crowd {
    /// Begins a sweep, unless one is going on.
    pub(super) fn sweep(&mut self, orders: &mut Orders) {
        // If there is no room for the order, the next second will do.
        if !self.is_sweeping && orders.look_onwards(None, SLICE, None).is_ok() {
            self.sweep += 1;
            self.is_sweeping = true;
        }
    }

    /// A peer was looked at. `now` is in milliseconds since 1970. True when the sweep is complete.
    pub(super) fn looked(&mut self, look: &Look, now: u64, orders: &mut Orders) -> bool {
        if self.is_abandoned {
            if look.left == 0 {
                (self.is_sweeping, self.is_abandoned) = (false, false);
            }
            return false;
        }
        if let Some(seen) = &look.seen {
            let info = told(seen);
            let heard = now.saturating_sub(info.map_or(0, |info| info.silent.as_millis() as u64));
            let probes = info.map_or(0, |info| info.probes);
            let waiting = u32::try_from(seen.waiting).unwrap_or(u32::MAX);
            self.see(look.peer, Sighting { address: seen.address, heard, waiting, probes, seen: 0, changed: 0 });
        }
        if look.left > 0 {
            return false;
        }
        // The answer about nobody: there are no more.
        let is_end = look.seen.is_none();
        if !is_end && orders.look_onwards(Some(look.peer), SLICE, None).is_ok() {
            return false;
        }
        self.is_sweeping = false;
        if is_end {
            self.end_sweep();
        }
        is_end
    }

    fn end_sweep(&mut self) {
        self.complete = self.sweep;
        // Those whose departure was not told, because there was no memory for the news.
        let sweep = self.sweep;
        self.peers.retain(|_, sighting| sighting.seen >= sweep);
    }

    fn see(&mut self, peer: PeerId, new: Sighting) {
        let (sweep, is_full) = (self.sweep, self.peers.len() >= MOST_PEERS);
        match self.peers.get_mut(&peer) {
            Some(old) => {
                let same =
                    (old.waiting, old.probes) == (new.waiting, new.probes) && old.heard.abs_diff(new.heard) <= JITTER;
                old.seen = sweep;
                if !same {
                    *old = Sighting { seen: sweep, changed: sweep, ..new };
                }
            }
            None if is_full => {}
            None => {
                self.peers.insert(peer, Sighting { seen: sweep, changed: sweep, ..new });
            }
        }
    }

    /// A peer has arrived. A sweep that is going on may have passed its place.
    pub(super) fn arrived(&mut self, peer: PeerId, address: SocketAddr, now: u64) {
        self.see(peer, Sighting { address, heard: now, waiting: 0, probes: 0, seen: 0, changed: 0 });
    }

    pub(super) fn departed(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
    }

    /// Nobody watches any more. A sweep that is going on ends with the answers that are still to come.
    pub(super) fn clear(&mut self) {
        let Self { sweep, is_sweeping, .. } = *self;
        *self = Self { sweep, is_sweeping, is_abandoned: is_sweeping, ..Self::default() };
    }

    /// There is something that this watcher was not told yet.
    pub(super) fn has_more(&self, walk: &Walk) -> bool {
        walk.sweep > 0 || self.complete > walk.since.unwrap_or(0)
    }

    /// The next part of what this watcher was not told yet, at most about `most` bytes.
    pub(super) fn tell(&self, walk: &mut Walk, most: usize, text: &mut String) {
        if !self.has_more(walk) {
            return;
        }
        if walk.sweep == 0 {
            walk.sweep = self.complete;
        }
        let begin = text.len();
        // Writing to a string cannot fail.
        let _ =
            write!(text, "event: peers\ndata: {{\"sweep\":{},\"full\":{},\"last\":", walk.sweep, walk.since.is_none());
        let last = text.len();
        text.push_str("false,\"peers\":[");
        let from = walk.after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.peers.range((from, Bound::Unbounded));
        let mut is_first = true;
        for (peer, sighting) in rest.by_ref().take(STEP) {
            walk.after = Some(*peer);
            if walk.since.is_some_and(|since| sighting.changed <= since) {
                continue;
            }
            let comma = if std::mem::take(&mut is_first) { "" } else { "," };
            let Sighting { address, heard, waiting, probes, .. } = sighting;
            let _ = match walk.since {
                None => write!(text, "{comma}[\"{peer}\",\"{address}\",{heard},{probes},{waiting}]"),
                Some(_) => write!(text, "{comma}[\"{peer}\",{heard},{probes},{waiting}]"),
            };
            if text.len() - begin > most {
                break;
            }
        }
        text.push_str("]}\n\n");
        let is_last = rest.next().is_none();
        if is_last {
            text.replace_range(last..last + "false".len(), "true");
            *walk = Walk { since: Some(walk.sweep), ..Walk::default() };
        } else if is_first {
            text.truncate(begin); // none of these has changed
        }
    }
}

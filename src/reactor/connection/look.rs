//! What the kernel knows of a peer that was written to: does it live, and does its output move?
//!
//! Owns the judgement of the kernel's figures; when to look is the port's affair.

use std::time::Duration;

use log::trace;

use crate::reactor::connection::Connection;
use crate::reactor::connection::wire::{Phase, Watched};
use crate::reactor::stream::Stream;

/// What the kernel's figures of the past may be short of.
const TICK: Duration = Duration::from_millis(10);
/// How long the answer to a probe of the window may take before it is asked for again.
const PROBE_ANSWER: Duration = Duration::from_millis(500);

/// What [`Connection::look`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The peer has acknowledged everything: it need not be watched.
    Acknowledged,
    /// It owes an ACK, and was last heard of so long ago.
    Heard { ago: Duration },
    /// It owes an ACK and was not heard of for the deadline: it is dead.
    None,
}

impl<S: Stream> Connection<S> {
    /// True, once, after something was written to a peer that is not watched yet.
    pub fn wants_watching(&mut self) -> bool {
        let wants = self.wire.watched == Watched::Wanted;
        if wants {
            self.wire.watched = Watched::Yes;
        }
        wants
    }

    /// Looks for a sign of life of a watched peer. After [`Sign::None`] it must be driven.
    pub fn look(&mut self, deadline: Duration) -> Sign {
        if self.wire.watched != Watched::Yes || self.wire.phase.is_ending() {
            return Sign::Acknowledged;
        }
        let info = self.wire.stream.info();
        trace!("{}: looked for a sign of life: {info:?}", self.wire.peer);
        match info {
            Some(info) if !info.owes() && self.wire.outbox.is_none() => {
                self.wire.watched = Watched::No;
                Sign::Acknowledged
            }
            Some(info) if info.silent >= deadline => {
                self.wire.declare_dead(info);
                Sign::None
            }
            Some(info) => Sign::Heard { ago: info.silent },
            // The kernel would not say: it is asked again, and nobody is taken for dead meanwhile.
            None => Sign::Heard { ago: Duration::ZERO },
        }
    }

    /// True, once, after something was written to a peer whose output is not looked at yet.
    pub fn may_stall(&mut self) -> bool {
        let may = self.wire.stalls == Watched::Wanted;
        if may {
            self.wire.stalls = Watched::Yes;
        }
        may
    }

    /// Looks whether output has waited and not moved for `limit`, though the peer lives. After
    /// [`Sign::None`] it is to be let go.
    pub fn look_at_output(&mut self, limit: Duration) -> Sign {
        let over = self.wire.phase.is_ending() || self.wire.phase == Phase::Lingering;
        let info = if self.wire.stalls == Watched::Yes && !over { self.wire.stream.info() } else { None };
        match info {
            // The kernel would not say: it is asked again.
            None if !over && self.wire.stalls == Watched::Yes => Sign::Heard { ago: Duration::ZERO },
            Some(info) if info.not_sent > 0 || self.wire.outbox.is_some() => {
                // A tick, for the kernel counts in ticks: never early.
                if info.sent < limit + TICK {
                    Sign::Heard { ago: info.sent.saturating_sub(TICK) }
                } else if info.probes > 0 {
                    // The last probe of the shut window is not answered yet. If the peer is dead, the
                    // deadline sees to it; if it lives, its answer comes.
                    Sign::Heard { ago: limit.saturating_sub(PROBE_ANSWER) }
                } else {
                    Sign::None
                }
            }
            _ => {
                self.wire.stalls = Watched::No;
                Sign::Acknowledged
            }
        }
    }
}

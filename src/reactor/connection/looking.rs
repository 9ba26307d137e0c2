//! What the kernel knows of a peer that was written to: does it live, and does its output move?
//!
//! Owns what follows from the kernel's figures; the table decides when to look.

use std::time::Duration;

use log::trace;

use crate::keepalive::owing::{Asking, Judgement, Owing};
use crate::reactor::connection::readiness::Readiness;
use crate::reactor::connection::stream::Stream;
use crate::reactor::connection::{Connection, Watched};
use crate::reactor::time::moment::Moment;
use crate::tcp_info::COARSEST_TICK;

/// How long the answer to a window probe may take, before the output is looked at again.
const PROBE_ANSWER: Duration = Duration::from_millis(500);
/// A peer whose output has not moved for this long is stuck.
const STUCK: Duration = Duration::from_secs(1);

/// What [`Connection::look`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// The peer has acknowledged everything: it need not be watched.
    Acknowledged,
    /// It owes an ACK, and is to be looked at again this long from now. `owing` is to be remembered until then: it is
    /// what was remembered before if the kernel gave no figures, and `None` if that was at the first look.
    Owes { owing: Option<Owing>, after: Duration },
    /// It owes an ACK and was not heard of for the deadline: it is dead.
    None,
}

/// What [`Connection::look_at_output`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputState {
    /// Nothing waits, or the connection is over: it need not be looked at.
    Gone,
    /// Output waits, and is to be looked at again this long from now.
    Waits { after: Duration },
    /// Output has waited and not moved for the limit, though the peer lives.
    Stalled,
}

impl<S: Stream> Connection<S> {
    /// True, once, after something was written to a peer that is not watched yet.
    pub(crate) fn take_wish_to_be_watched(&mut self) -> bool {
        let wants = self.watched == Watched::Wanted;
        if wants {
            self.watched = Watched::Yes;
        }
        wants
    }

    /// Looks for a sign of life of a watched peer; `before` is what was remembered from the last look. After
    /// [`Sign::None`] the connection must be driven.
    pub(crate) fn look(&mut self, asking: &Asking, before: Option<Owing>, now: Moment) -> Sign {
        if self.watched != Watched::Yes || self.is_ending() {
            return Sign::Acknowledged;
        }
        let info = self.stream.info();
        trace!("{}: looked for a sign of life: {info:?}", self.peer);
        let (sign, setting) = match info {
            Some(info) if !info.owes() && self.outbox.is_none() => {
                self.watched = Watched::No;
                (Sign::Acknowledged, before.and_then(|owing| asking.release(owing)))
            }
            Some(info) => match asking.judge(before, now.since(self.arrival()), &info) {
                Judgement::Dead => {
                    self.die_unheard(info);
                    (Sign::None, None)
                }
                Judgement::Again { owing, after, setting } => (Sign::Owes { owing: Some(owing), after }, setting),
            },
            // No figures: the kernel is asked again, and no peer is taken for dead meanwhile.
            None => (Sign::Owes { owing: before, after: asking.pace }, None),
        };
        if let Some(setting) = setting {
            // A connection that has just died takes no options. That it died is learned otherwise.
            let result = self.stream.set(setting);
            trace!("{}: {setting:?}: {result:?}", self.peer);
        }
        sign
    }

    /// True, once, after something was written to a peer whose output is not looked at yet.
    pub(crate) fn take_chance_of_a_stall(&mut self) -> bool {
        let may = self.readiness.has(Readiness::MAY_STALL);
        if may {
            self.readiness.clear(Readiness::MAY_STALL);
            self.readiness |= Readiness::STALLS_ARE_LOOKED_FOR;
        }
        may
    }

    /// What was found out about a stall is forgotten: it is as if something had just been written.
    pub(crate) fn look_for_stalls_anew(&mut self) {
        if self.readiness.has(Readiness::STALLS_ARE_LOOKED_FOR) {
            self.readiness.clear(Readiness::STALLS_ARE_LOOKED_FOR);
            self.readiness |= Readiness::MAY_STALL;
        }
    }

    /// None of its output has been sent for a while. To be asked only where output waits.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stream.info().is_some_and(|info| info.sent >= STUCK)
    }

    /// Checks whether output has waited and not moved for `limit`, though the peer lives. After
    /// [`OutputState::Stalled`] the peer is to be let go.
    pub(crate) fn look_at_output(&mut self, limit: Duration) -> OutputState {
        let over = self.is_ending() || self.lingers();
        let looks = self.readiness.has(Readiness::STALLS_ARE_LOOKED_FOR) && !over;
        let info = if looks { self.stream.info() } else { None };
        match info {
            // No figures: the kernel is asked again.
            None if looks => OutputState::Waits { after: limit },
            Some(info) if info.not_sent > 0 || self.outbox.is_some() => {
                // A tick is added, because the kernel counts in ticks: so this is never early.
                if info.sent < limit + COARSEST_TICK {
                    OutputState::Waits { after: limit + COARSEST_TICK - info.sent }
                } else if info.probes > 0 || !info.owes() {
                    // Either the last probe of the shut window is not answered yet: if the peer is dead, the
                    // deadline ends it; if it lives, its answer comes. Or it has taken all that the kernel
                    // had: then it is we who have not written for a while.
                    OutputState::Waits { after: PROBE_ANSWER.min(limit) }
                } else {
                    OutputState::Stalled
                }
            }
            _ => {
                self.readiness.clear(Readiness::STALLS_ARE_LOOKED_FOR);
                OutputState::Gone
            }
        }
    }
}

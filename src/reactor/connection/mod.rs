//! One peer: drain what it sends, flush what it is owed, end for one reason.
//!
//! Owns the order of reading and writing, and is the one place that reports a connection's end. `writing.rs` has its
//! writing half, `looking.rs` what follows from the kernel's figures. Knows neither the table nor the poll, and is generic
//! over the stream, so that a scripted one can test every path.
//!
//! ```text
//!            FIN read                       all written
//!   Open ───────────────▶ HalfClosed ────────────────────────▶ Closed
//!    │ close()    all written, FIN sent          peer's FIN, or nothing owed any more
//!    ├───────▶ Closing ───────────────▶ Lingering ───────────▶ ShutDown, or the service's reason
//!    │ a write failed, SO_ERROR, or the deadline
//!    ├───────▶ Dying ── what came before the death is still received ──▶ that reason
//!    │ let_go()
//!    └───────▶ Over ──▶ that reason
//! ```
//!
//! Three verbs end a connection. **close**: what was sent is delivered, then our FIN. **let go**: now, for a reason of ours;
//! what the peer has not acknowledged is lost. **die**: the kernel or the watch has found out that the peer is gone.

use std::io;
use std::net::SocketAddr;

use log::trace;

use crate::reactor::address::PeerAddress;
use crate::reactor::connection::outbox::Outbox;
use crate::reactor::connection::queue::{QueuePlace, Queued};
use crate::reactor::connection::readiness::Readiness;
use crate::reactor::connection::stream::Stream;
use crate::reactor::connection::writing::Told;
use crate::reactor::departing::departure::Departure;
use crate::reactor::peer_id::{PeerId, Stamp};
use crate::reactor::serving::saved::CannotSave;
use crate::reactor::serving::service::{Service, Serving};
use crate::reactor::time::moment::Moment;

pub(in crate::reactor) mod looking;
pub(in crate::reactor) mod outbox;
pub(in crate::reactor) mod queue;
pub(in crate::reactor) mod readiness;
pub(in crate::reactor) mod stream;
mod writing;
#[cfg(feature = "upgrade")]
pub(in crate::reactor) mod written;

#[cfg(test)]
mod tests;

/// How many bytes one peer may move in a turn. Then it yields to the next peer.
const BUDGET: usize = 256 * 1024;
/// The least that a system call takes from the budget, however few bytes it moved.
const LEAST_CHARGE: usize = 4096;

/// Why [`Connection::drive`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Nothing more can be done: an edge will resume it.
    Blocked,
    /// Its budget is spent: it goes on in the next turn.
    Yield,
    /// The kernel has no memory to read or write with: no edge will come, so it is tried again
    /// after a while. A peer that is connected is not dropped for that.
    Starved,
}

/// The result of one step of a connection.
enum Step {
    /// A system call was made, and moved this many bytes.
    Moved(usize),
    Blocked,
    Starved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Input is received, output is sent.
    Open,
    /// The peer has sent its FIN. It still gets what it is owed, then it departs.
    HalfClosed,
    /// The same, but its service has something for it that is still being made ([`Link::stay`]).
    Owing,
    /// We have been asked to close, for this reason, and still write what is owed.
    Closing(Departure),
    /// Our FIN is sent. Input is dropped until the peer's comes.
    Lingering(Departure),
    /// It is dead, for this reason. What arrived before is still received.
    Dying(Departure),
    /// It is over, for this reason, which is still to be collected. Nothing more is read.
    Over(Departure),
    /// The reason was collected. Only the slot is left.
    Departed(Departure),
}

/// Whether this peer may owe an ACK, and whether the watch knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// It has acknowledged everything, as far as we know: keepalive keeps its deadline.
    No,
    /// Something was written since the watch last learned of it.
    Wanted,
    Yes,
}

/// One connection. What its service remembers about the peer is kept beside the table.
#[derive(Debug)]
pub(super) struct Connection<S> {
    stream: S,
    /// Output that waits; none most of the time.
    outbox: Option<Outbox>,
    /// When it arrived, and on which port.
    stamp: Stamp,
    peer: PeerAddress,
    phase: Phase,
    readiness: Readiness,
    /// Its place in the table's queues.
    place: QueuePlace,
    watched: Watched,
}

impl<S: Stream> Connection<S> {
    /// A peer that has just arrived. Nothing was read yet.
    pub(super) fn new(stream: S, peer: SocketAddr, stamp: Stamp) -> Self {
        Self {
            stream,
            outbox: None,
            stamp,
            peer: peer.into(),
            phase: Phase::Open,
            // A new socket's send buffer is empty. Whether it can be read, epoll will announce.
            readiness: Readiness::WRITABLE,
            place: QueuePlace::OUT,
            watched: Watched::No,
        }
    }

    /// Remembers what the kernel announced. True: the connection must be put in a queue.
    pub(super) fn latch(&mut self, news: Readiness) -> bool {
        trace!("{}: {news:?}", self.peer);
        self.readiness |= news;
        self.take_place()
    }

    /// True if the connection must be put in a queue now: it has not departed, and is in no queue yet.
    pub(super) fn take_place(&mut self) -> bool {
        !matches!(self.phase, Phase::Departed(_)) && self.place.take()
    }

    /// Reads and writes until both would block, the budget is spent, or the connection is over.
    ///
    /// # Errors
    /// The connection is over, for this reason. It is returned once: the connection must not be driven
    /// again, and must be put in the queue of those that have departed.
    pub(super) fn drive(
        &mut self,
        serving: &mut Serving<'_, impl Service<State = ()> + ?Sized>,
    ) -> Result<Flow, Departure> {
        debug_assert!(!matches!(self.phase, Phase::Departed(_)), "driven after its departure was reported");
        self.work(serving).inspect_err(|departure| {
            self.phase = Phase::Departed(*departure);
            self.place.take();
            self.outbox = None;
        })
    }

    fn work(&mut self, serving: &mut Serving<'_, impl Service<State = ()> + ?Sized>) -> Result<Flow, Departure> {
        let mut budget = BUDGET;
        while budget > 0 {
            match self.step(serving)? {
                Step::Moved(count) => budget = budget.saturating_sub(count.max(LEAST_CHARGE)),
                Step::Blocked => return Ok(Flow::Blocked),
                Step::Starved => return Ok(Flow::Starved),
            }
        }
        self.place.take();
        Ok(Flow::Yield)
    }

    /// One system call, if there is one to make before the next edge.
    fn step(&mut self, serving: &mut Serving<'_, impl Service<State = ()> + ?Sized>) -> Result<Step, Departure> {
        match self.phase {
            Phase::Over(departure) => Err(departure),
            Phase::Departed(_) => Ok(Step::Blocked),
            Phase::Dying(_) | Phase::Lingering(_) => self.read(serving),
            // Output waits, so input is not read; but a dead connection must be noticed all the same.
            _ if self.outbox.is_some() => {
                if self.readiness.has(Readiness::HUNG_UP) {
                    self.ask_for_error();
                    Ok(Step::Moved(0))
                } else if self.readiness.has(Readiness::WRITABLE) {
                    Ok(self.flush(&mut serving.terms))
                } else {
                    Ok(Step::Blocked)
                }
            }
            Phase::Open => self.read(serving),
            Phase::HalfClosed => Err(Departure::Closed),
            Phase::Owing if self.readiness.has(Readiness::HUNG_UP) => {
                self.ask_for_error();
                Ok(Step::Moved(0))
            }
            Phase::Owing => Ok(Step::Blocked),
            Phase::Closing(departure) => {
                self.shut_write(departure);
                Ok(Step::Moved(0))
            }
        }
    }

    fn read(&mut self, serving: &mut Serving<'_, impl Service<State = ()> + ?Sized>) -> Result<Step, Departure> {
        let result = match self.phase {
            // Reading may have been paused, with the latch clear, when the peer died: its last input still waits.
            Phase::Dying(_) => self.stream.read(serving.scratch),
            _ if self.readiness.has(Readiness::READABLE) => self.stream.read(serving.scratch),
            _ => return Ok(Step::Blocked),
        };
        trace!("{}: read {}", self.peer, Told(&result));
        match result {
            Ok(0) => match self.phase {
                Phase::Dying(departure) | Phase::Lingering(departure) => Err(departure),
                _ => {
                    self.phase = Phase::HalfClosed;
                    serving.call(self, |service, peer| service.half_closed(peer));
                    Ok(Step::Moved(0))
                }
            },
            Ok(count) => {
                serving.terms.received += count as u32;
                if count < serving.scratch.len() && !self.readiness.has(Readiness::MORE_THAN_DATA) {
                    // The receive buffer is empty, and what comes next brings an edge of its own.
                    self.readiness.clear(Readiness::READABLE);
                }
                if !matches!(self.phase, Phase::Lingering(_)) {
                    serving.receive(self, count);
                }
                Ok(Step::Moved(count))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Step::Moved(0)),
            Err(error) if Departure::is_want_of_memory(&error) => Ok(Step::Starved),
            Err(error) => match self.phase {
                Phase::Dying(departure) => Err(departure),
                _ if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.clear(Readiness::READABLE | Readiness::MORE_THAN_DATA);
                    Ok(Step::Moved(0))
                }
                _ => Err(Departure::of(&error, || self.stream.info())),
            },
        }
    }

    /// It is queued to be driven, or the kernel had no memory for the read: input may be waiting unread.
    pub(super) fn may_hold_input(&self) -> bool {
        let may_read = self.outbox.is_none() && self.phase != Phase::Owing;
        self.place.is_taken() || may_read && self.readiness.has(Readiness::READABLE)
    }

    /// Its service may still do something for it. A peer that has sent its FIN will send no more, and one that we are closing has
    /// deadlines of its own: neither has alarms, unless its service has asked for time.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Owing)
    }

    /// It is dead or over, and only its departure is left.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Dying(_) | Phase::Over(_) | Phase::Departed(_))
    }

    /// Its end is decided, and no event of the peer will bring it about: it must be driven.
    pub(super) fn has_to_end(&self) -> bool {
        self.is_ending() || matches!(self.phase, Phase::Closing(_) | Phase::HalfClosed)
    }

    /// Our FIN is sent, and the peer's has not come yet. No edge announces that ours was acknowledged, so
    /// the table asks [`Connection::has_delivered`] from time to time.
    pub(super) fn lingers(&self) -> bool {
        matches!(self.phase, Phase::Lingering(_))
    }

    /// The same, because it was closed for this reason.
    #[cfg(feature = "upgrade")]
    pub(super) fn lingers_for(&self, reason: Departure) -> bool {
        self.phase == Phase::Lingering(reason)
    }

    /// Whether nothing waits, and the kernel has nothing more to deliver. We do not wait for a peer that has everything
    /// and does not close.
    pub(super) fn has_delivered(&self) -> bool {
        self.outbox.is_none() && self.stream.info().is_none_or(|info| !info.owes())
    }

    /// Ends a connection whose time to linger is over. The kernel goes on delivering what it has.
    pub(super) fn stop_lingering(&mut self) {
        if let Phase::Lingering(departure) = self.phase {
            self.phase = Phase::Over(departure);
        }
    }

    /// True, once, when output has to wait for the first time: epoll must be asked to announce when the
    /// socket can be written to. If it already can by then, epoll announces it at once: no edge is lost.
    pub(super) fn take_wish_for_room(&mut self) -> bool {
        let waits = self.outbox.is_some() && !self.is_ending();
        let wants = waits && !self.readiness.has(Readiness::ROOM_IS_ANNOUNCED);
        if wants {
            self.readiness |= Readiness::ROOM_IS_ANNOUNCED;
        }
        wants
    }

    /// Why it is over, once [`Connection::drive`] has returned that.
    pub(super) fn departure(&self) -> Option<Departure> {
        if let Phase::Departed(departure) = self.phase { Some(departure) } else { None }
    }

    /// How much memory its outbox takes, in bytes.
    pub(super) fn holds(&self) -> usize {
        self.outbox.as_ref().map_or(0, Outbox::footprint)
    }

    /// Notes that there was no memory to remember one of its deadlines.
    pub(super) fn forget(&mut self) {
        self.readiness |= Readiness::FORGOTTEN;
    }

    /// True, once, after [`Connection::forget`].
    pub(super) fn take_forgotten(&mut self) -> bool {
        let was = self.readiness.has(Readiness::FORGOTTEN);
        self.readiness.clear(Readiness::FORGOTTEN);
        was
    }

    pub(super) fn arrival(&self) -> Moment {
        self.stamp.moment()
    }

    /// The peer's id, in this slot.
    pub(super) fn id(&self, slot: u32) -> PeerId {
        PeerId::new(self.stamp, slot)
    }

    /// Whether it is the connection of this peer.
    pub(super) fn is_of(&self, id: PeerId) -> bool {
        self.stamp == id.stamp()
    }

    /// Whether it can be served elsewhere from now on: it is open in both directions, and nothing is to be done for it.
    ///
    /// # Errors
    /// It cannot.
    pub(super) fn check_releasable(&self) -> Result<(), CannotSave> {
        match self.phase {
            Phase::Open if self.place.is_taken() => Err(CannotSave::Busy),
            Phase::Open => Ok(()),
            _ => Err(CannotSave::Ending),
        }
    }

    /// Its stream, and the output that waits.
    pub(super) fn take_apart(self) -> (S, Vec<u8>) {
        let unsent = self.outbox.map_or(Vec::new(), |outbox| outbox.waiting().to_vec());
        (self.stream, unsent)
    }

    /// The socket, to be registered.
    pub(super) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S> Queued for Connection<S> {
    fn place(&mut self) -> &mut QueuePlace {
        &mut self.place
    }
}

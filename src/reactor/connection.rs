//! One peer: drain what it sends, flush what it is owed, end for one reason.
//!
//! Owns the order of reading and writing, and is the one place that reports a connection's end. Knows
//! neither the table nor the poll, and is generic over the stream, so that a scripted one can test every
//! path.
//!
//! ```text
//!            FIN read                       all written
//!   Open ───────────────▶ Ended ─────────────────────────────▶ Closed
//!    │ close()    all written, FIN sent          peer's FIN, or nothing owed any more
//!    ├───────▶ Closing ───────────────▶ Lingering ───────────▶ ShutDown
//!    │ a write failed, SO_ERROR, or the deadline
//!    └───────▶ Dying ── what came before the death is still received ──▶ that reason
//! ```

use std::io;
use std::net::SocketAddr;

use log::trace;

use self::wire::{Phase, Step, Told, Wire};
use crate::reactor::departure::{Departure, Farewell};
use crate::reactor::outbox::Outbox;
use crate::reactor::peer_id::{PeerId, Stamp};
use crate::reactor::queue::{Place, Queued};
use crate::reactor::readiness::Readiness;
use crate::reactor::service::{Line, Service, Serving, Terms};
use crate::reactor::stream::Stream;
use crate::reactor::timers::Moment;
use crate::tcp_info::TcpInfo;

pub use self::look::{Output, Sign};

mod look;
mod wire;

/// How many bytes one peer may move in a turn. Then it yields to the next peer.
const BUDGET: usize = 256 * 1024;
/// What a system call takes from the budget at least, however few bytes it moved.
const LEAST_CHARGE: usize = 4096;

/// Why [`Connection::drive`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Nothing more can be done: an edge will resume it.
    Blocked,
    /// Its budget is spent: it goes on in the next turn.
    Yield,
    /// The kernel has no memory to read or write with: no edge will come, so it is tried again
    /// after a while. A peer that is connected is not dropped for that.
    Starved,
}

/// One accepted connection. What its service remembers about the peer is kept beside the table.
#[derive(Debug)]
pub struct Connection<S> {
    wire: Wire<S>,
}

impl<S: Stream> Connection<S> {
    /// A peer that has just been accepted; its service may greet it. Nothing was read yet.
    pub fn welcome(
        stream: S,
        peer: SocketAddr,
        stamp: Stamp,
        mut serving: Serving<'_, impl Service<State = ()> + ?Sized>,
    ) -> Self {
        let mut wire = Wire::new(stream, peer, stamp);
        let mut none = ();
        let (service, mut peer) = serving.meet(&mut wire, &mut none);
        service.arrived(&mut peer);
        Self { wire }
    }

    /// Remembers what the kernel announced. True: the connection must be put in a queue.
    pub fn latch(&mut self, news: Readiness) -> bool {
        trace!("{}: {news:?}", self.wire.peer);
        self.wire.readiness |= news;
        self.enqueue()
    }

    /// True if the connection must be put in a queue now: it has not departed, and is in no queue yet.
    pub fn enqueue(&mut self) -> bool {
        !matches!(self.wire.phase, Phase::Departed(_)) && self.wire.place.take()
    }

    /// Reads and writes until both would block, the budget is spent, or the connection ends.
    ///
    /// # Errors
    /// The connection has ended, for this reason. It is returned once: the connection must not be driven
    /// again, and must be put in the queue of those that have ended.
    pub fn drive(&mut self, mut serving: Serving<'_, impl Service<State = ()> + ?Sized>) -> Result<Flow, Departure> {
        debug_assert!(!matches!(self.wire.phase, Phase::Departed(_)), "driven after its departure was told");
        self.work(&mut serving).inspect_err(|departure| {
            self.wire.phase = Phase::Departed(*departure);
            self.wire.place.take();
            self.wire.outbox = None;
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
        self.wire.place.take();
        Ok(Flow::Yield)
    }

    /// One system call, if there is one to make before the next edge.
    fn step(&mut self, serving: &mut Serving<'_, impl Service<State = ()> + ?Sized>) -> Result<Step, Departure> {
        let wire = &mut self.wire;
        match wire.phase {
            Phase::Over(departure) => Err(departure),
            Phase::Departed(_) => Ok(Step::Blocked),
            Phase::Dying(_) | Phase::Lingering => self.read(serving),
            // Output waits, so input is not read; but a dead connection must be noticed all the same.
            _ if wire.outbox.is_some() => {
                if wire.readiness.has(Readiness::HUNG_UP) {
                    wire.ask_for_error();
                    Ok(Step::Moved(0))
                } else if wire.readiness.has(Readiness::WRITABLE) {
                    Ok(wire.flush())
                } else {
                    Ok(Step::Blocked)
                }
            }
            Phase::Open => self.read(serving),
            Phase::Ended => Err(Departure::Closed),
            Phase::Closing => {
                wire.shut_write();
                Ok(Step::Moved(0))
            }
        }
    }

    fn read(&mut self, serving: &mut Serving<'_, impl Service<State = ()> + ?Sized>) -> Result<Step, Departure> {
        let wire = &mut self.wire;
        let result = match wire.phase {
            // Reading may have been paused, with the latch clear, when the peer died: its last input still waits.
            Phase::Dying(_) => wire.stream.read(serving.scratch),
            _ if wire.readiness.has(Readiness::READABLE) => wire.stream.read(serving.scratch),
            _ => return Ok(Step::Blocked),
        };
        trace!("{}: read {}", wire.peer, Told(&result));
        match result {
            Ok(0) => match wire.phase {
                Phase::Dying(departure) => Err(departure),
                Phase::Lingering => Err(Departure::ShutDown),
                _ => {
                    wire.phase = Phase::Ended;
                    let mut none = ();
                    let (service, mut peer) = serving.meet(wire, &mut none);
                    service.ended(&mut peer);
                    Ok(Step::Moved(0))
                }
            },
            Ok(count) => {
                if count < serving.scratch.len() && !wire.readiness.has(Readiness::MORE_THAN_DATA) {
                    // The receive buffer is empty, and what comes next brings an edge of its own.
                    wire.readiness.clear(Readiness::READABLE);
                }
                if wire.phase != Phase::Lingering {
                    serving.receive(wire, count);
                }
                Ok(Step::Moved(count))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Step::Moved(0)),
            Err(error) if Departure::is_want_of_memory(&error) => Ok(Step::Starved),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match wire.phase {
                Phase::Dying(departure) => Err(departure),
                _ => {
                    wire.readiness.clear(Readiness::READABLE | Readiness::MORE_THAN_DATA);
                    Ok(Step::Moved(0))
                }
            },
            Err(error) => match wire.phase {
                Phase::Dying(departure) => Err(departure),
                _ => Err(Departure::of(&error, || wire.stream.info())),
            },
        }
    }

    /// It is queued to be driven, or the kernel had no memory for the read: input may be waiting unread.
    pub fn may_hold_input(&self) -> bool {
        self.wire.place.is_taken() || self.wire.outbox.is_none() && self.wire.readiness.has(Readiness::READABLE)
    }

    /// Asks the service what the time means for this peer, and when to ask again. A peer that has
    /// sent its FIN will send no more, and one that we are closing has deadlines of its own: neither
    /// is asked about. If the service ends the connection, it must be driven.
    pub fn quiet(&mut self, mut serving: Serving<'_, impl Service<State = ()> + ?Sized>) -> Option<Moment> {
        if self.wire.phase != Phase::Open {
            return None;
        }
        let mut none = ();
        let (service, mut peer) = serving.meet(&mut self.wire, &mut none);
        service.quiet(&mut peer)
    }

    /// True, once, when output has to wait for the first time: epoll must be asked to announce when the
    /// socket can be written to. If it already can by then, epoll announces it at once: no edge is lost.
    pub fn wants_to_hear_of_room(&mut self) -> bool {
        let waits = self.wire.outbox.is_some() && !self.is_ending();
        let wants = waits && !self.wire.readiness.has(Readiness::ROOM_IS_ANNOUNCED);
        if wants {
            self.wire.readiness |= Readiness::ROOM_IS_ANNOUNCED;
        }
        wants
    }

    /// It is dead or over, and only its departure is left.
    pub fn is_ending(&self) -> bool {
        self.wire.phase.is_ending()
    }

    /// Its end is decided, and no event of the peer will bring it about: it must be driven.
    pub fn has_to_end(&self) -> bool {
        self.is_ending() || self.wire.phase == Phase::Closing
    }

    /// Sends bytes that no input of this peer led to.
    pub fn send(&mut self, bytes: &[u8], terms: &Terms) {
        self.wire.send(bytes, terms);
    }

    /// Ends the connection in an orderly way: see [`Peer::close`](crate::reactor::Peer::close).
    pub fn close(&mut self) {
        self.wire.close();
    }

    /// Ends it now, whatever is outstanding. True if the peer had not acknowledged all output.
    pub fn cut(&mut self) -> bool {
        if matches!(self.wire.phase, Phase::Departed(_)) {
            return false;
        }
        let lost = self.wire.outbox.is_some() || !self.has_delivered();
        self.refuse(Departure::ShutDown);
        lost
    }

    /// Ends it now, for a reason of ours, which the next [`Connection::drive`] returns.
    pub fn refuse(&mut self, departure: Departure) {
        self.wire.phase = Phase::Over(departure);
    }

    /// Our FIN is sent, and the peer's has not come yet. No edge announces that ours was acknowledged, so
    /// the port asks [`Connection::has_delivered`] from time to time.
    pub fn lingers(&self) -> bool {
        self.wire.phase == Phase::Lingering
    }

    /// Whether the kernel has nothing more to deliver. We do not wait for a peer that has everything and
    /// does not close.
    pub fn has_delivered(&self) -> bool {
        self.wire.stream.info().is_none_or(|info| !info.owes())
    }

    /// Ends it now, for a reason of ours: see [`Line::let_go`].
    pub fn let_go(&mut self, departure: Departure) {
        self.wire.let_go(departure);
    }

    /// Why it has ended, once [`Connection::drive`] has returned that.
    pub fn departure(&self) -> Option<Departure> {
        if let Phase::Departed(departure) = self.wire.phase { Some(departure) } else { None }
    }

    /// How much memory its outbox takes, in bytes.
    pub fn holds(&self) -> usize {
        self.wire.outbox.as_ref().map_or(0, Outbox::footprint)
    }

    /// Notes that there was no memory to remember one of its deadlines.
    pub fn forget(&mut self) {
        self.wire.readiness |= Readiness::FORGOTTEN;
    }

    /// True, once, after [`Connection::forget`].
    pub fn was_forgotten(&mut self) -> bool {
        let was = self.wire.readiness.has(Readiness::FORGOTTEN);
        self.wire.readiness.clear(Readiness::FORGOTTEN);
        was
    }

    pub fn peer(&self) -> SocketAddr {
        self.wire.peer.into()
    }

    pub fn arrival(&self) -> Moment {
        self.wire.stamp.moment()
    }

    /// The peer's id, in this slot.
    pub fn id(&self, slot: u32) -> PeerId {
        PeerId::new(self.wire.stamp, slot)
    }

    /// Whether it is the connection of this peer.
    pub fn is_of(&self, id: PeerId) -> bool {
        self.wire.stamp == id.stamp()
    }

    pub fn info(&self) -> Option<TcpInfo> {
        self.wire.stream.info()
    }

    /// The socket, to be registered or asked for its options.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.wire.stream
    }

    pub fn farewell(&self, departure: Departure, now: Moment, info: Option<TcpInfo>) -> Farewell {
        Farewell { peer: self.wire.peer.into(), departure, connected: now.since(self.arrival()), info }
    }
}

impl<S> Queued for Connection<S> {
    fn place(&mut self) -> &mut Place {
        &mut self.wire.place
    }
}

#[cfg(test)]
mod tests;

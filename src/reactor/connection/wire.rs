//! All of a connection except its service's state: the stream, the latch, the outbox and the phase.
//!
//! Owns the writing half, and what an error while writing means for the phase. Knows no service: it
//! is what a service writes to.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use log::trace;

use crate::count::so_many;
use crate::reactor::address::PeerAddress;
use crate::reactor::departure::Departure;
use crate::reactor::outbox::Outbox;
use crate::reactor::peer_id::{PeerId, Stamp};
use crate::reactor::queue::Place;
use crate::reactor::readiness::Readiness;
use crate::reactor::service::{Line, Terms};
use crate::reactor::stream::Stream;
use crate::tcp_info::TcpInfo;

/// The result of one step of a connection.
pub(super) enum Step {
    /// A system call was made, and moved this many bytes.
    Moved(usize),
    Blocked,
    Starved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Input is received, output is sent.
    Open,
    /// The peer has sent its FIN. It still gets what it is owed, then it departs.
    Ended,
    /// We have been asked to close, and still write what is owed.
    Closing,
    /// Our FIN is sent. Input is dropped until the peer's comes.
    Lingering,
    /// It is dead, for this reason. What arrived before is still received.
    Dying(Departure),
    /// It is over, for this reason, which is still to be collected. Nothing more is read.
    Over(Departure),
    /// The reason was collected. Only the slot is left.
    Departed(Departure),
}

impl Phase {
    /// It is dead or over, and only its departure is left.
    pub(super) fn is_ending(self) -> bool {
        matches!(self, Self::Dying(_) | Self::Over(_) | Self::Departed(_))
    }
}

/// All of a connection except its service's state.
#[derive(Debug)]
pub(super) struct Wire<S> {
    pub(super) stream: S,
    pub(super) outbox: Option<Outbox>,
    /// When it arrived, and on which port.
    pub(super) stamp: Stamp,
    pub(super) peer: PeerAddress,
    pub(super) phase: Phase,
    pub(super) readiness: Readiness,
    /// Its place in the port's queues.
    pub(super) place: Place,
    pub(super) watched: Watched,
}

/// Whether this peer may owe an ACK, and whether the port knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// It has acknowledged everything, as far as we know: keepalive keeps its deadline.
    No,
    /// Something was written since the port asked.
    Wanted,
    Yes,
}

impl<S: Stream> Wire<S> {
    pub(super) fn new(stream: S, peer: SocketAddr, stamp: Stamp) -> Self {
        Self {
            stream,
            outbox: None,
            stamp,
            peer: peer.into(),
            phase: Phase::Open,
            // A new socket's send buffer is empty. Whether it can be read, epoll will announce.
            readiness: Readiness::WRITABLE,
            place: Place::OUT,
            watched: Watched::No,
        }
    }

    /// The kernel reports an error only once. While reading is paused, this is where we learn of it.
    pub(super) fn ask_for_error(&mut self) {
        self.readiness.clear(Readiness::HUNG_UP);
        match self.stream.take_error() {
            Ok(Some(error)) => self.die(&error, "SO_ERROR"),
            Ok(None) => {}
            Err(error) => self.die(&error, "SO_ERROR cannot be read"),
        }
    }

    pub(super) fn flush(&mut self) -> Step {
        let Some(outbox) = &mut self.outbox else { return Step::Blocked };
        let result = self.stream.write(outbox.waiting());
        trace!("{}: write of {} {}", self.peer, so_many(outbox.waiting().len(), "waiting byte"), Told(&result));
        match &result {
            Ok(count) => outbox.advance(*count),
            Err(error) if Departure::is_want_of_memory(error) => return Step::Starved,
            Err(_) => {}
        }
        if outbox.waiting().is_empty() {
            self.outbox = None;
        }
        Step::Moved(self.written(result))
    }

    /// Applies the result of a write to the connection. Returns how many bytes were written.
    fn written(&mut self, result: io::Result<usize>) -> usize {
        match result {
            Ok(0) => self.readiness.clear(Readiness::WRITABLE),
            Ok(count) => {
                self.owes_an_ack();
                return count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readiness.clear(Readiness::WRITABLE),
            Err(error) if error.kind() == io::ErrorKind::Interrupted || Departure::is_want_of_memory(&error) => {}
            Err(error) => self.die(&error, "write"),
        }
        0
    }

    pub(super) fn shut_write(&mut self) {
        let result = self.stream.shut_write();
        trace!("{}: FIN sent: {result:?}", self.peer);
        match result {
            Ok(()) => {
                self.phase = Phase::Lingering;
                self.owes_an_ack();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // No longer connected. The kernel may know why; if not, it has ended as we wanted.
            Err(_) => {
                self.phase = Phase::Over(Departure::ShutDown);
                self.ask_for_error();
            }
        }
    }

    fn owes_an_ack(&mut self) {
        if self.watched == Watched::No {
            self.watched = Watched::Wanted;
        }
        if !self.readiness.has(Readiness::STALLS_ARE_LOOKED_FOR) {
            self.readiness |= Readiness::MAY_STALL;
        }
    }

    /// The peer was not heard of for the deadline. The kernel may know why (SO_ERROR also reports a soft
    /// error: "host unreachable" from a router); if not, the reason follows from what is outstanding.
    pub(super) fn declare_dead(&mut self, info: TcpInfo) {
        trace!("{}: silent for {:?} with output outstanding", self.peer, info.silent);
        self.phase = Phase::Dying(match self.stream.take_error() {
            Ok(Some(error)) => Departure::of(&error, || Some(info)),
            _ if info.unacknowledged > 0 => Departure::DataUnacknowledged,
            _ => Departure::WindowShut,
        });
        self.stream.reset_on_close();
    }

    /// Output that waits is lost, and freed with the departure; input that has arrived is still read.
    fn die(&mut self, error: &io::Error, teller: &str) {
        trace!("{}: {teller}: {error}", self.peer);
        self.phase = Phase::Dying(Departure::of(error, || self.stream.info()));
    }

    fn queue(&mut self, bytes: &[u8], terms: &Terms) {
        let queued = if self.waiting() + bytes.len() > terms.max_output {
            Err(Departure::OutboxFull)
        } else if Outbox::footprint_with(self.outbox.as_ref(), bytes.len()) > terms.may_hold {
            Err(Departure::MemoryLimit)
        } else {
            let queued = match &mut self.outbox {
                Some(outbox) => outbox.push(bytes),
                outbox @ None => Outbox::holding(bytes).map(|new| *outbox = Some(new)),
            };
            queued.map_err(|_| Departure::OutOfMemory)
        };
        if let Err(departure) = queued {
            self.phase = Phase::Over(departure);
        }
    }

    /// How many bytes wait in the outbox.
    fn waiting(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.waiting().len())
    }
}

impl<S: Stream> Line for Wire<S> {
    fn send(&mut self, bytes: &[u8], terms: &Terms) {
        if !matches!(self.phase, Phase::Open | Phase::Ended) {
            return;
        }
        let mut rest = bytes;
        if self.outbox.is_none() && self.readiness.has(Readiness::WRITABLE) && !bytes.is_empty() {
            let result = self.stream.write(bytes);
            trace!("{}: write of {} {}", self.peer, so_many(bytes.len(), "byte"), Told(&result));
            rest = &bytes[self.written(result)..];
        }
        if !rest.is_empty() && matches!(self.phase, Phase::Open | Phase::Ended) {
            self.queue(rest, terms);
        }
    }

    fn room(&self, terms: &Terms) -> usize {
        terms.max_output.min(Outbox::fits_in(terms.may_hold)).saturating_sub(self.waiting())
    }

    fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
    }

    /// A FIN is enough for a peer that has everything. Otherwise a reset: an orphan with output that the
    /// peer never takes would linger in the kernel.
    fn let_go(&mut self, departure: Departure) {
        if self.phase.is_ending() {
            return;
        }
        if self.outbox.is_some() || self.stream.info().is_none_or(|info| info.owes()) {
            self.stream.reset_on_close();
        }
        self.phase = Phase::Over(departure);
    }

    fn took_output(&self) -> Option<Duration> {
        self.outbox.as_ref().filter(|_| !self.phase.is_ending())?;
        // Without figures, the peer is given the benefit of the doubt. If the kernel has nothing left to
        // send, the peer waits for us, not we for the peer.
        Some(self.stream.info().filter(TcpInfo::owes).map_or(Duration::ZERO, |info| info.sent))
    }

    fn address(&self) -> SocketAddr {
        self.peer.into()
    }

    fn info(&self) -> Option<TcpInfo> {
        self.stream.info()
    }

    fn id(&self, slot: u32) -> PeerId {
        PeerId::new(self.stamp, slot)
    }
}

/// A result, as the trace log prints it.
pub(super) struct Told<'a>(pub &'a io::Result<usize>);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(count) => so_many(*count, "byte").fmt(f),
            Err(error) => write!(f, "says {error}"),
        }
    }
}

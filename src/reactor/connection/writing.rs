//! The writing half of a connection, and what an error while writing means for its phase.
//!
//! Knows no service: a [`Link`] is what a service writes to.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use log::trace;

use crate::count::so_many;
use crate::reactor::connection::outbox::Outbox;
use crate::reactor::connection::readiness::Readiness;
use crate::reactor::connection::stream::Stream;
use crate::reactor::connection::{Connection, Phase, Step, Watched};
use crate::reactor::departing::departure::Departure;
use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::link::{Link, Terms};
use crate::tcp_info::TcpInfo;

impl<S: Stream> Connection<S> {
    /// The kernel reports an error only once. While reading is paused, this is where we learn of it.
    pub(super) fn ask_for_error(&mut self) {
        self.readiness.clear(Readiness::HUNG_UP);
        match self.stream.take_error() {
            Ok(Some(error)) => self.die(&error, "SO_ERROR"),
            Ok(None) => {}
            Err(error) => self.die(&error, "SO_ERROR cannot be read"),
        }
    }

    pub(super) fn flush(&mut self, terms: &mut Terms) -> Step {
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
        let count = self.written(result);
        terms.sent += count as u32;
        Step::Moved(count)
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

    /// Sends our FIN; the connection departs for this reason when it is acknowledged.
    pub(super) fn shut_write(&mut self, departure: Departure) {
        let result = self.stream.shut_write();
        trace!("{}: FIN sent: {result:?}", self.peer);
        match result {
            Ok(()) => {
                self.phase = Phase::Lingering(departure);
                self.owes_an_ack();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // No longer connected. The kernel may know why; if not, it has ended as we wanted.
            Err(_) => {
                self.phase = Phase::Over(departure);
                self.ask_for_error();
            }
        }
    }

    /// Something was written, or a FIN sent.
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
    pub(super) fn die_unheard(&mut self, info: TcpInfo) {
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
}

impl<S: Stream> Link for Connection<S> {
    fn send(&mut self, bytes: &[u8], terms: &mut Terms) {
        if !matches!(self.phase, Phase::Open | Phase::HalfClosed | Phase::Owing) {
            return;
        }
        let mut rest = bytes;
        if self.outbox.is_none() && self.readiness.has(Readiness::WRITABLE) && !bytes.is_empty() {
            let result = self.stream.write(bytes);
            trace!("{}: write of {} {}", self.peer, so_many(bytes.len(), "byte"), Told(&result));
            let count = self.written(result);
            terms.sent += count as u32;
            rest = &bytes[count..];
        }
        if !rest.is_empty() && matches!(self.phase, Phase::Open | Phase::HalfClosed | Phase::Owing) {
            self.queue(rest, terms);
        }
    }

    fn room(&self, terms: &Terms) -> usize {
        terms.max_output.min(Outbox::fits_in(terms.may_hold)).saturating_sub(self.waiting())
    }

    fn close(&mut self, departure: Departure) {
        self.phase = match self.phase {
            Phase::Open => Phase::Closing(departure),
            Phase::Owing => Phase::HalfClosed,
            other => other,
        };
    }

    fn stay(&mut self) {
        if self.phase == Phase::HalfClosed {
            self.phase = Phase::Owing;
        }
    }

    /// A FIN is enough for a peer that has everything. Otherwise a reset: an orphan with output that the
    /// peer never takes would linger in the kernel. At the end of the grace time the kernel may still try.
    fn let_go(&mut self, departure: Departure) {
        if self.is_ending() {
            return;
        }
        if departure != Departure::ShutDown && !self.has_delivered() {
            self.stream.reset_on_close();
        }
        self.phase = Phase::Over(departure);
    }

    fn took_output(&self) -> Option<Duration> {
        self.outbox.as_ref().filter(|_| !self.is_ending())?;
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

    fn local(&self) -> Option<SocketAddr> {
        self.stream.local()
    }

    fn waiting(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.waiting().len())
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

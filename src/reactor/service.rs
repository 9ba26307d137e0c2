//! What is done with the bytes: the trait that a server implements.

use std::net::SocketAddr;
use std::time::Duration;

use crate::reactor::departure::{Departure, Farewell};
use crate::reactor::orders::Orders;
use crate::reactor::peer_id::PeerId;
#[cfg(test)]
use crate::reactor::peer_id::Stamp;
use crate::reactor::timers::Moment;
use crate::tcp_info::TcpInfo;

/// A service: what the peers of a port talk to.
///
/// One service serves all the peers of its port, on one thread, so it needs no locks. It must not
/// block: while it runs, nobody else is served.
pub trait Service {
    /// What the service remembers about each peer. `()` takes no memory.
    type State;

    /// A peer has connected. It may be greeted.
    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> Self::State;

    /// Bytes came, in order, in pieces of any size: TCP is a stream.
    ///
    /// Nothing more is received while output waits to be written (backpressure).
    fn received(&mut self, peer: &mut Peer<'_, Self::State>, bytes: &[u8]);

    /// The peer will send no more (FIN). What is sent now still reaches it; then it departs.
    fn ended(&mut self, _peer: &mut Peer<'_, Self::State>) {}

    /// Time has passed. Called once when the peer has arrived, and then at the moment that the last
    /// call returned; after `None`, never again. It may write, or let the peer go.
    ///
    /// Input moves no timer: a service that waits for silence remembers when it last heard the peer
    /// ([`Peer::now`]), and returns the moment that follows from that. No timer runs for more than 40 days,
    /// so it may be called early: then it returns the same moment again.
    fn quiet(&mut self, _peer: &mut Peer<'_, Self::State>) -> Option<Moment> {
        None
    }

    /// The connection has ended; the service gets its state back. Called once for each peer that arrived.
    fn departed(&mut self, _state: Self::State, _farewell: &Farewell, _orders: &mut Orders) {}
}

/// A peer, as its service sees it.
pub struct Peer<'a, T> {
    /// What the service remembers about this peer.
    pub state: &'a mut T,
    pub(in crate::reactor) line: &'a mut dyn Line,
    pub(in crate::reactor) orders: &'a mut Orders,
    pub(in crate::reactor) terms: &'a Terms,
}

/// What a connection is driven with: the service, and what it may use. One value for the whole way down.
pub(in crate::reactor) struct Serving<'a, V: ?Sized> {
    pub service: &'a mut V,
    pub orders: &'a mut Orders,
    /// The buffer that is read into.
    pub scratch: &'a mut [u8],
    pub terms: Terms,
}

impl<V: Service<State = ()> + ?Sized> Serving<'_, V> {
    /// The service, and the peer at the other end of this line.
    pub fn meet<'a>(&'a mut self, line: &'a mut dyn Line, state: &'a mut ()) -> (&'a mut V, Peer<'a, ()>) {
        (self.service, Peer { state, line, orders: self.orders, terms: &self.terms })
    }

    /// Hands the service the first `count` bytes of the buffer.
    pub fn receive(&mut self, line: &mut dyn Line, count: usize) {
        let mut peer = Peer { state: &mut (), line, orders: self.orders, terms: &self.terms };
        self.service.received(&mut peer, &self.scratch[..count]);
    }
}

/// What holds for a peer while its service runs. Passed to each call, so that it takes no memory per peer.
#[derive(Clone, Copy, Debug)]
pub(in crate::reactor) struct Terms {
    pub now: Moment,
    /// Where the peer is in its port's table.
    pub slot: u32,
    /// How many bytes of output may wait.
    pub max_output: usize,
    /// How much memory its outbox may take, given what is left for all peers.
    pub may_hold: usize,
}

impl<T> Peer<'_, T> {
    /// Sends bytes, in order. What the kernel does not take at once waits in the outbox.
    ///
    /// The outbox is bounded: a peer for which more would wait than [`Peer::room`] is let go
    /// ([`Departure::OutboxFull`], or [`Departure::MemoryLimit`] where the outboxes of all peers together
    /// leave no more). Sending to a peer that is gone does nothing; [`Service::departed`] gets its departure.
    pub fn send(&mut self, bytes: &[u8]) {
        self.line.send(bytes, self.terms);
    }

    /// How many more bytes may wait in the outbox.
    pub fn room(&self) -> usize {
        self.line.room(self.terms)
    }

    /// When this turn heard the peer; in [`Service::quiet`], the moment up to which its input was
    /// received. If the loop was stopped, the time may be well past it.
    pub fn now(&self) -> Moment {
        self.terms.now
    }

    /// A part of the state, for a service that wraps another one.
    pub fn part<U>(&mut self, part: impl FnOnce(&mut T) -> &mut U) -> Peer<'_, U> {
        Peer { state: part(self.state), line: self.line, orders: self.orders, terms: self.terms }
    }

    /// Ends the connection in an orderly way: what was sent is delivered, then a FIN; input that still
    /// comes is read and dropped, so that no reset destroys what was sent.
    pub fn close(&mut self) {
        self.line.close();
    }

    /// Ends the connection now, because the peer's program does not answer, though its kernel may
    /// ([`Departure::Unresponsive`]). What it has not acknowledged is lost.
    pub fn let_go(&mut self) {
        self.line.let_go(Departure::Unresponsive);
    }

    /// How long ago output was last sent to the peer; `None` if none waits. While output waits, the peer is
    /// not read, so it may have spoken unheard. Zero if the peer has taken everything that the kernel had, so
    /// that the rest waits only for us.
    pub fn took_output(&self) -> Option<Duration> {
        self.line.took_output()
    }

    /// What the kernel knows of the connection: one getsockopt(2). `None` where it has no figures.
    pub fn info(&self) -> Option<TcpInfo> {
        self.line.info()
    }

    /// How long ago the last sign of life came: data, or an ACK, which also answers a keepalive probe. To the kernel's
    /// tick, 1 to 10 ms. So it tells of the peer's kernel, and not only of what its program says.
    pub fn silent(&self) -> Option<Duration> {
        self.info().map(|info| info.silent)
    }

    /// Where it connected from.
    pub fn address(&self) -> SocketAddr {
        self.line.address()
    }

    /// What is to be done to other peers.
    pub fn orders(&mut self) -> &mut Orders {
        self.orders
    }

    /// Its name, which no other peer of this loop ever has: to remember it by, and to reach it later.
    pub fn id(&self) -> PeerId {
        self.line.id(self.terms.slot)
    }
}

/// The part of a connection that does not depend on the service's state or the kind of stream.
pub(in crate::reactor) trait Line {
    fn send(&mut self, bytes: &[u8], terms: &Terms);
    fn room(&self, terms: &Terms) -> usize;
    fn close(&mut self);
    fn let_go(&mut self, departure: Departure);
    fn took_output(&self) -> Option<Duration>;
    fn address(&self) -> SocketAddr;
    fn info(&self) -> Option<TcpInfo>;
    /// The id of the peer, whose slot this is.
    fn id(&self, slot: u32) -> PeerId;
}

/// A peer for the tests of services: its time is scripted, and it records what the service does.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub now: Moment,
    terms: Option<Terms>,
    pub line: ScriptedLine,
    pub orders: Orders,
}

/// What the service did to the scripted peer.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct ScriptedLine {
    pub sent: String,
    pub departure: Option<Departure>,
    /// What [`Peer::took_output`] is to return.
    pub took: Option<Duration>,
}

#[cfg(test)]
impl Script {
    pub fn at(now: Moment) -> Self {
        Self { now, ..Self::default() }
    }

    pub fn peer<'a, T>(&'a mut self, state: &'a mut T) -> Peer<'a, T> {
        let terms = self.terms.insert(Terms { now: self.now, slot: 0, max_output: 1024, may_hold: usize::MAX });
        Peer { state, terms, orders: &mut self.orders, line: &mut self.line }
    }
}

#[cfg(test)]
impl Line for ScriptedLine {
    fn send(&mut self, bytes: &[u8], _terms: &Terms) {
        self.sent += std::str::from_utf8(bytes).expect("text");
    }

    fn room(&self, terms: &Terms) -> usize {
        terms.max_output
    }

    fn close(&mut self) {}

    fn let_go(&mut self, departure: Departure) {
        self.departure = Some(departure);
    }

    fn took_output(&self) -> Option<Duration> {
        self.took
    }

    fn address(&self) -> SocketAddr {
        ([192, 0, 2, 1], 7).into()
    }

    fn info(&self) -> Option<TcpInfo> {
        None
    }

    fn id(&self, slot: u32) -> PeerId {
        PeerId::new(Stamp::NONE, slot)
    }
}

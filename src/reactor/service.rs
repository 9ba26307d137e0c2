//! What is done with the bytes: the trait that a server is written against.

use std::net::SocketAddr;

use crate::reactor::departure::Farewell;

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

    /// The connection has ended; its state comes back. Called once for each peer that arrived.
    fn departed(&mut self, _state: Self::State, _farewell: &Farewell) {}
}

/// A peer, as its service sees it.
pub struct Peer<'a, T> {
    /// What the service remembers about this peer.
    pub state: &'a mut T,
    pub(in crate::reactor) line: &'a mut dyn Line,
}

impl<T> Peer<'_, T> {
    /// Sends bytes, in order. What the kernel does not take at once waits in the outbox.
    ///
    /// The outbox is bounded: a peer for which more would wait than [`Peer::room`] is let go
    /// ([`Departure::OutboxFull`](crate::reactor::Departure::OutboxFull)). Sending to a peer that is
    /// gone does nothing; its departure is told in [`Service::departed`].
    pub fn send(&mut self, bytes: &[u8]) {
        self.line.send(bytes);
    }

    /// How many bytes may wait in the outbox in addition to those that do.
    pub fn room(&self) -> usize {
        self.line.room()
    }

    /// Ends the connection in an orderly way: what was sent is delivered, then a FIN; what still
    /// comes is read and dropped, so that no reset destroys what was sent.
    pub fn close(&mut self) {
        self.line.close();
    }

    pub fn address(&self) -> SocketAddr {
        self.line.address()
    }
}

/// The part of a connection that does not depend on the service's state or the kind of stream.
pub(in crate::reactor) trait Line {
    fn send(&mut self, bytes: &[u8]);
    fn room(&self) -> usize;
    fn close(&mut self);
    fn address(&self) -> SocketAddr;
}

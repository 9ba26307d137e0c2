//! One peer goes from this port to another loop, or comes from one.

use std::io;

use mio::net::TcpStream;

use crate::reactor::peer_id::PeerId;
use crate::reactor::peers::{Arrival, NotArrived};
use crate::reactor::port::Port;
use crate::reactor::serving::order::Order;
use crate::reactor::serving::saved::{CannotSave, Carried};
use crate::reactor::source::Turn;

impl Port {
    /// Takes a peer out, so that it can be served elsewhere. Between two turns only.
    ///
    /// # Errors
    /// The peer cannot be taken out: it stays.
    pub(in crate::reactor) fn release(&mut self, peer: PeerId, turn: &mut Turn<'_>) -> Result<Carried, CannotSave> {
        let (mut stream, saved, unsent) = self.peers.release(peer, turn.capacity)?;
        let saved = saved.saved_by(turn.clock);
        // The socket stays open elsewhere: without this, its events would go on coming here.
        let _ = turn.registry.deregister(&mut stream);
        if let Some(dialer) = &mut self.dialer {
            dialer.departs(peer, turn.now);
        }
        Ok(Carried { stream: stream.into(), saved, unsent })
    }

    /// Takes over a peer that was served elsewhere. Between two turns only.
    ///
    /// # Errors
    /// It cannot: the connection is closed.
    pub(in crate::reactor) fn adopt(&mut self, carried: Carried, turn: &mut Turn<'_>) -> io::Result<PeerId> {
        let Carried { stream, saved, unsent } = carried;
        let saved = saved.by_clock(turn.clock);
        let address = stream.peer_addr()?;
        stream.set_nonblocking(true)?;
        if !self.peers.reserve(turn) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let restored = self.peers.arrive(TcpStream::from_std(stream), address, Arrival::Restored(&saved), turn);
        let id = restored.map_err(|not_arrived| match not_arrived {
            NotArrived::Unregistered(error) => error,
            NotArrived::NotRestored(error) => io::Error::new(io::ErrorKind::InvalidData, error),
        })?;
        self.peers.carry_out(id, Order::Send(&unsent), turn);
        Ok(id)
    }
}

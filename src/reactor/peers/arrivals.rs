//! What an arrival does to the table: memory first, then epoll, then the service.
//!
//! Owns that order. Does not know where a newcomer comes from.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use log::{debug, warn};

use crate::malloc;
use crate::reactor::connection::Connection;
use crate::reactor::connection::stream::Stream;
use crate::reactor::departing::departure::Departure;
use crate::reactor::observing::news::Incident;
use crate::reactor::peer_id::PeerId;
use crate::reactor::peers::{Peers, Preceded};
use crate::reactor::serving::farewell::Farewell;
use crate::reactor::serving::link::Terms;
use crate::reactor::serving::saved::{CannotRestore, Saved};
use crate::reactor::serving::service::Serving;
use crate::reactor::source::Turn;

/// How a peer came.
#[derive(Clone, Copy)]
pub(in crate::reactor) enum Arrival<'a> {
    /// It connected to us.
    Accepted,
    /// We connected to it, under this label.
    Connected(u64),
    /// It was served elsewhere until now.
    Restored(&'a Saved),
}

/// Why a newcomer has not arrived.
pub(in crate::reactor) enum NotArrived {
    /// It could not be registered with epoll: it was refused.
    Unregistered(io::Error),
    /// The service does not take it over.
    NotRestored(CannotRestore),
}

impl<S: Stream> Peers<S> {
    /// A peer was lost while it waited to be accepted.
    pub(in crate::reactor) fn count_lost(&mut self) {
        self.tally.lost += 1;
    }

    /// A table that cannot grow aborts the program, which would cut off every peer. So what it is going to
    /// allocate is allocated here first, in a way that may fail, and freed again. False: there is no memory for one more.
    pub(in crate::reactor) fn reserve(&mut self, turn: &mut Turn<'_>) -> bool {
        let slot = self.table.vacant();
        if !turn.capacity.memory.take_room_for_a_peer()
            || self.service.reserve(slot).is_err()
            || self.deadlines.reserve_for(slot as usize + 1, self.table.len() + 1).is_err()
            || turn.capacity.reserve().is_err()
        {
            return false;
        }
        let growth = self.table.growth();
        if growth == 0 {
            return true;
        }
        let mut larger = Vec::<(usize, Connection<S>)>::new();
        let granted = larger.try_reserve_exact(growth).is_ok();
        // The compiler may optimize away an allocation that is never used.
        std::hint::black_box(&larger);
        granted && malloc::leaves_room()
    }

    /// A newcomer, for which memory is reserved.
    ///
    /// # Errors
    /// It has not arrived, and its stream is closed.
    pub(in crate::reactor) fn arrive(
        &mut self,
        mut stream: S,
        address: SocketAddr,
        arrival: Arrival<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<PeerId, NotArrived> {
        let slot = self.table.vacant();
        if let Err(error) = stream.register(turn.registry, self.names.token(slot as usize)) {
            warn!("{address} cannot be registered with epoll and is refused: {error}");
            self.refuse(stream, address, Departure::of(&error, || None), turn);
            return Err(NotArrived::Unregistered(error));
        }
        let mut connection = Connection::new(stream, address, turn.capacity.stamp(turn.now, self.names.source()));
        let id = connection.id(slot);
        if !self.is_apart() {
            debug!("{id} {address} arrived");
            turn.orders.audience.note(turn.now, Incident::Arrived { id, peer: address, line: &connection });
        }
        turn.orders.giver = self.names.source();
        let memory = &mut turn.capacity.memory;
        let terms = Terms { now: turn.now, slot, may_hold: memory.left(), ..self.terms };
        let mut serving = Serving { service: &mut *self.service, orders: turn.orders, scratch: &mut [], terms };
        serving
            .call(&mut connection, |service, peer| match arrival {
                Arrival::Accepted => {
                    service.arrived(peer);
                    Ok(())
                }
                Arrival::Connected(label) => {
                    service.connected(peer, label);
                    Ok(())
                }
                Arrival::Restored(saved) => service.restore(peer, saved),
            })
            .map_err(NotArrived::NotRestored)?;
        let Terms { alarm, sent, .. } = serving.terms;
        self.tally.sent += u64::from(sent);
        memory.changed(0, connection.holds());
        self.table.insert(connection);
        self.tally.accepted += 1;
        match &mut self.apart {
            Some(room) => room.arrive(),
            None => turn.capacity.arrive(address),
        }
        if let Some(idle) = &mut self.deadlines.idle {
            idle.set(slot, turn.now);
        }
        self.settle(slot, Preceded::Nothing, alarm, turn);
        Ok(id)
    }

    /// A newcomer that is refused. The service never hears of it.
    pub(in crate::reactor) fn refuse(
        &mut self,
        mut stream: S,
        peer: SocketAddr,
        departure: Departure,
        turn: &mut Turn<'_>,
    ) {
        // The peer knows at once, and nothing is left in the kernel.
        stream.reset_on_close();
        self.tally.accepted += 1;
        self.count(departure);
        if !self.is_apart() {
            let connected = Duration::ZERO;
            debug!("{}", Farewell { id: None, peer, departure, reason: None, connected, line: None });
            turn.orders.audience.note(turn.now, Incident::Refused { peer, departure });
        }
    }
}

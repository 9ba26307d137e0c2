//! Accepting, within a budget: who is admitted, who is refused, and when accepting pauses.

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;

use crate::keepalive::Guard;
use crate::reactor::arriving::acceptor::{Accepted, Acceptor};
use crate::reactor::connection::stream::Stream;
use crate::reactor::departing::departure::Departure;
use crate::reactor::limits::{Limits, WhenFull};
use crate::reactor::observing::news::Incident;
use crate::reactor::peers::{Arrival, NotArrived, Peers, REAP_BUDGET};
use crate::reactor::port::Port;
use crate::reactor::source::Turn;

/// How many peers are accepted in a turn.
const ACCEPT_BUDGET: usize = 64;
/// How many are refused in a turn: closing is expensive.
const REFUSE_BUDGET: usize = REAP_BUDGET;

impl Port {
    pub(super) fn accept_peers(&mut self, turn: &mut Turn<'_>) {
        let Some(acceptor) = self.acceptor.as_mut().filter(|acceptor| acceptor.is_latched()) else { return };
        let mut refused = 0;
        for _ in 0..ACCEPT_BUDGET {
            if acceptor.is_ready(self.peers.room(turn.capacity)) {
                if turn.orders.are_many() {
                    return;
                }
                if !self.peers.reserve(turn) {
                    return pause(acceptor, &self.peers, &io::ErrorKind::OutOfMemory.into(), turn);
                }
            }
            let room = self.peers.room(turn.capacity);
            if acceptor.warns_of_limit(turn.now, room) && !self.peers.is_apart() {
                turn.orders.audience.note(turn.now, Incident::LimitReached { limit: room.limit() });
            }
            match acceptor.accept(turn.now, room) {
                Accepted::Peer(stream, address) => match admit(&mut self.peers, self.limits, address, turn) {
                    Ok(()) => {
                        // The first accepted socket may show that `TCP_INFO` reports nothing: then there is nothing to
                        // look at.
                        if !matches!(acceptor.keepalive().guard(), Guard::Loop { .. }) {
                            self.peers.watch_no_more();
                        }
                        let arrived = self.peers.arrive(stream, address, Arrival::Accepted, turn);
                        if let Err(NotArrived::Unregistered(error)) = arrived {
                            pause(acceptor, &self.peers, &error, turn);
                        }
                    }
                    Err(departure) => {
                        self.peers.refuse(stream, address, departure, turn);
                        refused += 1;
                    }
                },
                Accepted::Lost => self.peers.count_lost(),
                Accepted::Interrupted => {}
                Accepted::Nobody => return,
                Accepted::Exhausted(error) => return pause(acceptor, &self.peers, &error, turn),
            }
            if refused == REFUSE_BUDGET {
                return;
            }
        }
    }
}

/// Accepts nobody until a peer departs or a while has passed.
fn pause<S: Stream>(acceptor: &mut Acceptor, peers: &Peers<S>, error: &io::Error, turn: &mut Turn<'_>) {
    acceptor.pause(turn.now, peers.room(turn.capacity), error);
    turn.counted.accept_pauses += 1;
    let errno = error.raw_os_error().unwrap_or(Errno::NOMEM.raw_os_error());
    turn.orders.audience.note(turn.now, Incident::AcceptPaused { errno });
}

/// Whether this newcomer is admitted; another peer may be evicted to make room for it.
fn admit<S: Stream>(
    peers: &mut Peers<S>,
    limits: Limits,
    address: SocketAddr,
    turn: &mut Turn<'_>,
) -> Result<(), Departure> {
    if !peers.is_apart() && !turn.capacity.admits(address) {
        return Err(Departure::TooManyFromAddress);
    }
    let evicts = limits.when_full() == WhenFull::EvictOldestIdle;
    if peers.room(turn.capacity).is_left() || evicts && peers.evict(turn) { Ok(()) } else { Err(Departure::Full) }
}

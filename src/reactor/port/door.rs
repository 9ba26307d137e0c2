//! Arrivals: the port's side of accepting, and what a newcomer means for the other peers.
//!
//! Owns the limits for arrivals. The [`Acceptor`] decides when to accept, and the [`Capacity`] how many
//! peers there may be.
//!
//! [`Acceptor`]: crate::reactor::acceptor::Acceptor
//! [`Capacity`]: crate::reactor::source::Capacity

use std::collections::TryReserveError;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use log::{debug, log_enabled, warn};
use mio::net::TcpStream;

use crate::keepalive::Guard;
use crate::malloc;
use crate::reactor::acceptor::Accepted;
use crate::reactor::connection::Connection;
use crate::reactor::departure::{Departure, Farewell};
use crate::reactor::limits::WhenFull;
use crate::reactor::peer_id::PeerId;
use crate::reactor::port::{INTEREST, Port};
use crate::reactor::service::{Serving, Terms};
use crate::reactor::source::Turn;
use crate::reactor::stream::Stream;
use crate::reactor::timers::Moment;

/// How many peers are accepted in a turn.
const ACCEPT_BUDGET: usize = 64;
/// How many are refused in a turn: closing is expensive.
const REFUSE_BUDGET: usize = 16;
/// How many peers are checked for how long they have been idle, to admit one newcomer.
const ASK_BUDGET: usize = 1024;
/// A peer that moved data, or arrived, within this time is not idle.
const BUSY: Duration = Duration::from_secs(1);
/// The kernel counts ages in ticks: they may be off by this much.
const TICK: Duration = Duration::from_millis(10);

impl Port {
    pub(super) fn accept_peers(&mut self, turn: &mut Turn<'_>) {
        let mut refused = 0;
        for _ in 0..ACCEPT_BUDGET {
            if self.acceptor.is_ready(turn.capacity) {
                if turn.orders.are_many() {
                    return;
                }
                if !self.has_memory_for_one_more(turn) {
                    self.acceptor.pause(turn.now, turn.capacity, &io::ErrorKind::OutOfMemory.into());
                    return;
                }
            }
            match self.acceptor.accept(turn.now, turn.capacity) {
                Accepted::Peer(stream, address) => match self.admit(address, turn) {
                    Ok(()) => self.arrive(stream, address, turn),
                    Err(departure) => {
                        self.refuse(stream, address, departure);
                        refused += 1;
                    }
                },
                Accepted::Lost => self.tally.lost += 1,
                Accepted::Interrupted => {}
                Accepted::Nobody => return,
            }
            if refused == REFUSE_BUDGET {
                return;
            }
        }
    }

    /// A table that cannot grow aborts the program, which would cut off every peer. So what it is going to
    /// allocate is allocated here first, in a way that may fail, and freed again.
    fn has_memory_for_one_more(&mut self, turn: &mut Turn<'_>) -> bool {
        let slot = self.peers.vacant_key() as u32;
        if !turn.capacity.memory.has_room_for_a_peer()
            || self.agenda.reserve().is_err()
            || self.idle.reserve().is_err()
            || self.service.reserve(slot).is_err()
            || self.reserve_looks(slot as usize + 1).is_err()
            || turn.capacity.reserve().is_err()
        {
            return false;
        }
        let slots = self.peers.capacity();
        if self.peers.len() < slots {
            return true;
        }
        let mut larger = Vec::<(usize, Connection<TcpStream>)>::new();
        let granted = larger.try_reserve_exact(slots.max(2) * 2).is_ok();
        // The compiler may optimize away an allocation that is never used.
        std::hint::black_box(&larger);
        granted && malloc::leaves_room()
    }

    /// A deadline that there is no memory for is kept all the same, but what the looks have found out about the
    /// peer would be lost. So room for that is reserved at its arrival.
    fn reserve_looks(&mut self, peers: usize) -> Result<(), TryReserveError> {
        if let Some((_, watch)) = &mut self.watch {
            watch.reserve_for(peers)?;
        }
        self.stall.as_mut().map_or(Ok(()), |(_, watch)| watch.reserve_for(peers))
    }

    /// Whether this newcomer is admitted; another peer may be evicted to make room for it.
    fn admit(&mut self, address: SocketAddr, turn: &mut Turn<'_>) -> Result<(), Departure> {
        if !turn.capacity.admits(address) {
            return Err(Departure::TooManyFromAddress);
        }
        let evicts = self.limits.when_full() == WhenFull::EvictOldestIdle;
        if turn.capacity.has_room() || evicts && self.evict(turn) { Ok(()) } else { Err(Departure::Full) }
    }

    fn arrive(&mut self, stream: TcpStream, address: SocketAddr, turn: &mut Turn<'_>) {
        // The first accepted socket may show that `TCP_INFO` reports nothing: then there is nothing to look at.
        if self.watch.is_some() && !matches!(self.acceptor.keepalive().guard(), Guard::Loop { .. }) {
            self.watch = None;
        }
        let entry = self.peers.vacant_entry();
        let slot = entry.key();
        debug!("{address} arrived");
        let stamp = turn.capacity.stamp(turn.now, self.names.source());
        let memory = &mut turn.capacity.memory;
        let terms = Terms { now: turn.now, slot: slot as u32, may_hold: memory.left(), ..self.terms };
        let serving = Serving { service: &mut *self.service, orders: turn.orders, scratch: &mut [], terms };
        let connection = entry.insert(Connection::welcome(stream, address, stamp, serving));
        memory.changed(0, connection.holds());
        let registered = turn.registry.register(connection.stream_mut(), self.names.token(slot), INTEREST);
        self.tally.accepted += 1;
        turn.capacity.arrive(address);
        if self.limits.when_full() == WhenFull::EvictOldestIdle {
            self.is_idle_since(turn.now, PeerId::new(stamp, slot as u32));
            self.tidy_idle();
        }
        let connection = &mut self.peers[slot];
        if let Err(error) = registered {
            warn!("{address} cannot be registered with epoll and is let go: {error}");
            self.acceptor.pause(turn.now, turn.capacity, &error);
            connection.refuse(Departure::of(&error, || None));
            self.enqueue(slot as u32);
        } else {
            // This also looks after a greeting: the peer may have been silent in the backlog for long.
            self.ask_service(slot as u32, turn.now, turn);
        }
    }

    /// Closes the newcomer's socket with a reset: the peer knows at once, and nothing is left in the
    /// kernel. The service never hears of it.
    fn refuse(&mut self, mut stream: TcpStream, peer: SocketAddr, departure: Departure) {
        stream.reset_on_close();
        self.tally.accepted += 1;
        self.tally.departures.count(departure);
        if log_enabled!(log::Level::Info) {
            self.summary.count(departure);
        }
        debug!("{}", Farewell { peer, departure, connected: Duration::ZERO, info: None });
    }

    /// Lets go of the peer that has moved no data for the longest time, if there is one that is idle.
    fn evict(&mut self, turn: &Turn<'_>) -> bool {
        let Some(slot) = self.most_idle(turn) else { return false };
        self.let_go(slot, Departure::Evicted);
        true
    }

    /// The peer that has moved no data for the longest time; it is taken off the agenda.
    ///
    /// The agenda holds when each peer was active, as far as we know; the kernel knows better, and is
    /// asked about those in front. A peer that was active since is put back at that moment: its activity
    /// pays for the question. If there are too many of those, the most idle one that was asked about is
    /// taken.
    fn most_idle(&mut self, turn: &Turn<'_>) -> Option<u32> {
        let mut found: Option<(Moment, PeerId)> = None;
        let mut asked = 0;
        while asked < ASK_BUDGET {
            let Some(known) = self.idle.next() else { break };
            if known + BUSY > turn.now || found.is_some_and(|(earliest, _)| earliest <= known + TICK) {
                break;
            }
            let Some(id) = self.idle.due(turn.now) else { break };
            // A peer that has gone is off the agenda with this.
            let Some(active) = self.last_active(id, turn) else { continue };
            asked += 1;
            match found {
                Some((earliest, _)) if earliest <= active => self.is_idle_since(active, id),
                _ => {
                    if let Some((later, other)) = found.replace((active, id)) {
                        self.is_idle_since(later, other);
                    }
                }
            }
        }
        let (active, id) = found?;
        if active + BUSY <= turn.now {
            return Some(id.slot());
        }
        self.is_idle_since(active, id);
        None
    }

    fn is_idle_since(&mut self, active: Moment, id: PeerId) {
        let armed = self.idle.arm(active, id);
        debug_assert!(armed.is_ok(), "its place was reserved at the arrival");
    }

    /// When this peer last moved data, or arrived; `None` if it has gone or is ending.
    fn last_active(&self, id: PeerId, turn: &Turn<'_>) -> Option<Moment> {
        let connection = self.peers.get(id.slot() as usize)?;
        if !connection.is_of(id) || connection.is_ending() {
            return None;
        }
        let since_arrival = turn.clock.now().since(connection.arrival());
        // A peer without figures counts as busy.
        let idle = connection.info().map_or(Duration::ZERO, |info| info.sent.min(info.received));
        Some(connection.arrival() + since_arrival.saturating_sub(idle))
    }

    fn tidy_idle(&mut self) {
        let peers = &self.peers;
        self.idle.tidy(peers.len(), |id| peers.get(id.slot() as usize).is_some_and(|owner| owner.is_of(id)));
    }
}

//! How many connections there are and may be, over all ports; and in a port apart, which has its own room.

use std::collections::TryReserveError;
use std::net::SocketAddr;

use crate::reactor::limits::addresses::Addresses;
use crate::reactor::limits::memory::Memory;
use crate::reactor::peer_id::Stamp;
use crate::reactor::time::moment::Moment;

/// How many connections there are and may be in one count.
#[derive(Debug)]
pub(in crate::reactor) struct Room {
    limit: usize,
    connected: usize,
    departures: u64,
}

impl Room {
    pub(in crate::reactor) fn of(limit: usize) -> Self {
        Self { limit, connected: 0, departures: 0 }
    }

    pub(in crate::reactor) fn limit(&self) -> usize {
        self.limit
    }

    pub(in crate::reactor) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(in crate::reactor) fn connected(&self) -> usize {
        self.connected
    }

    pub(in crate::reactor) fn departures(&self) -> u64 {
        self.departures
    }

    pub(in crate::reactor) fn is_left(&self) -> bool {
        self.connected < self.limit
    }

    pub(in crate::reactor) fn arrive(&mut self) {
        self.connected += 1;
    }

    pub(in crate::reactor) fn depart(&mut self) {
        self.connected -= 1;
        self.departures += 1;
    }
}

/// How many connections there are and may be, over all ports: in all, and from each address.
#[derive(Debug)]
pub struct Capacity {
    pub(in crate::reactor) room: Room,
    /// Of the peer that arrived last.
    last: Stamp,
    addresses: Addresses,
    pub(in crate::reactor) memory: Memory,
}

impl Capacity {
    pub(in crate::reactor) fn of(limit: usize, memory: Memory) -> Self {
        Self { room: Room::of(limit), last: Stamp::NONE, addresses: Addresses::default(), memory }
    }

    /// How many connections there may be.
    pub fn limit(&self) -> usize {
        self.room.limit()
    }

    /// How many connections there are.
    pub fn connected(&self) -> usize {
        self.room.connected()
    }

    /// Goes up by one whenever a descriptor comes free.
    pub fn departures(&self) -> u64 {
        self.room.departures()
    }

    /// Whether there may be one more connection.
    pub fn has_room(&self) -> bool {
        self.room.is_left()
    }

    /// Takes room for this many descriptors away, for a port apart.
    pub(in crate::reactor) fn keep_back(&mut self, room: usize, within_reach: usize) {
        self.room.limit = self.room.limit.min(within_reach.saturating_sub(room).max(1));
    }

    /// Sets how many may connect from one address, and how many have.
    pub(in crate::reactor) fn count_addresses(&mut self, addresses: Addresses) {
        self.addresses = addresses;
    }

    /// Whether there may be one more from this address.
    pub fn admits(&self, address: SocketAddr) -> bool {
        self.addresses.admits(address)
    }

    /// # Errors
    /// There is no memory for one more address.
    pub fn reserve(&mut self) -> Result<(), TryReserveError> {
        self.addresses.reserve()
    }

    /// The stamp of a peer that arrives now: no other peer of this loop ever has the same.
    pub(in crate::reactor) fn stamp(&mut self, now: Moment, port: usize) -> Stamp {
        self.last = Stamp::after(self.last, now, port);
        self.last
    }

    /// That of the peer that arrived last.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn last_stamp(&self) -> Stamp {
        self.last
    }

    /// Another program has given the stamps up to this one.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn resume(&mut self, last: Stamp) {
        self.last = last;
    }

    /// Counts a connection from or to this address.
    pub fn arrive(&mut self, address: SocketAddr) {
        self.room.arrive();
        self.addresses.arrive(address);
    }

    /// A connection from or to this address is closed.
    pub fn depart(&mut self, address: SocketAddr) {
        self.addresses.depart(address);
        self.room.depart();
    }
}

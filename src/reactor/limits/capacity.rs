//! How many connections there are and may be, over all ports.

use std::collections::TryReserveError;
use std::net::SocketAddr;

use crate::reactor::limits::addresses::Addresses;
use crate::reactor::limits::memory::Memory;
use crate::reactor::peer_id::Stamp;
use crate::reactor::time::moment::Moment;

/// How many connections there are and may be, over all ports: in all, and from each address.
#[derive(Debug)]
pub struct Capacity {
    limit: usize,
    connected: usize,
    departures: u64,
    /// Of the peer that arrived last.
    last: Stamp,
    addresses: Addresses,
    pub(in crate::reactor) memory: Memory,
}

impl Capacity {
    pub(in crate::reactor) fn of(limit: usize, memory: Memory) -> Self {
        Self { limit, connected: 0, departures: 0, last: Stamp::NONE, addresses: Addresses::default(), memory }
    }

    /// How many connections there may be.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many connections there are.
    pub fn connected(&self) -> usize {
        self.connected
    }

    /// Goes up by one whenever a descriptor comes free.
    pub fn departures(&self) -> u64 {
        self.departures
    }

    /// Whether there may be one more connection.
    pub fn has_room(&self) -> bool {
        self.connected < self.limit
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

    /// Counts a connection from or to this address.
    pub fn arrive(&mut self, address: SocketAddr) {
        self.connected += 1;
        self.addresses.arrive(address);
    }

    /// A connection from or to this address is closed.
    pub fn depart(&mut self, address: SocketAddr) {
        self.addresses.depart(address);
        self.connected -= 1;
        self.departures += 1;
    }
}

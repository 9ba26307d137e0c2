//! The bounds of a loop: how many peers, from where, and how much memory.
//!
//! Owns what a program may say of them, and the descriptor limit. What is counted against them is in `limits/`.

use std::io;

use log::warn;

use crate::descriptors;
use crate::keepalive::Unfit;
use crate::reactor::Reactor;
use crate::reactor::limits::addresses::Addresses;

/// Descriptors that are not for peers: the log, epoll, listeners, signals, and what the service opens.
const RESERVE: usize = 32;

impl Reactor {
    /// How many connections there may be, and the descriptor limit allows.
    pub fn within_reach(&self) -> usize {
        self.within_reach.min(self.capacity.limit())
    }

    /// Refuses a peer if there are `most` from its address already, over all ports: from its IPv4
    /// address, or the /64 of its IPv6 address. Peers that are already connected count, and stay.
    ///
    /// # Errors
    /// `InvalidInput`: the limit is 0. `OutOfMemory`: the addresses cannot be counted; nothing has changed.
    pub fn limit_per_address(&mut self, most: Option<usize>) -> io::Result<()> {
        let mut addresses = Addresses::limited(most)?;
        let mut has_memory = true;
        for source in &self.sources {
            source.addresses(&mut |address| {
                has_memory &= addresses.reserve().is_ok();
                if has_memory {
                    addresses.arrive(address);
                }
            });
        }
        if !has_memory {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.capacity.count_addresses(addresses);
        Ok(())
    }

    /// How much memory waiting output may take, in bytes, for all peers together. The default is a quarter of what
    /// the machine, the cgroup or the process's own limits allow, whichever is least. Near the limit, less is read
    /// at once; then the peers with the most waiting output are let go ([`Departure::MemoryLimit`](crate::reactor::Departure::MemoryLimit)).
    ///
    /// # Errors
    /// Less than 1 MiB.
    pub fn limit_memory(&mut self, bytes: usize) -> Result<(), Unfit> {
        self.capacity.memory.set_limit(bytes)
    }

    /// The limit that [`Reactor::limit_memory`] has set, or the default.
    pub fn memory_limit(&self) -> usize {
        self.capacity.memory.limit()
    }
}

/// Raises the descriptor limit as far as the kernel lets it, and says so if it is too low. How many connections it allows.
pub(super) fn raise_descriptor_limit(wanted: usize) -> usize {
    let descriptors::Descriptors { allowed: descriptors, refused } = descriptors::raise();
    if let Some((limit, error)) = refused {
        warn!("the descriptor limit cannot be raised to {limit}, and stays at {descriptors}: {error}");
    }
    let allowed = descriptors - RESERVE.min(descriptors / 2);
    if wanted > allowed && wanted != Reactor::NO_LIMIT {
        warn!(
            "max-connections {wanted}: the limit of {descriptors} descriptors allows {allowed}; `ulimit -n {}` before the \
             start raises it",
            wanted.saturating_add(RESERVE)
        );
    }
    allowed
}

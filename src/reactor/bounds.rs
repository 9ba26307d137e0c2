//! The bounds of a loop: how many peers, from where, and how much memory.
//!
//! Owns what a program may say of them, and the descriptor limit. What is counted against them is in `limits/`.

use std::io;

use crate::descriptors;
use crate::keepalive::{Unfit, unfit};
use crate::machine::Machine;
use crate::reactor::limits::Limits;
use crate::reactor::limits::addresses::Addresses;
use crate::reactor::limits::memory::Memory;
use crate::reactor::peer_id::PortId;
use crate::reactor::port::Port;
use crate::reactor::source::Source;
use crate::reactor::{MOST_CONNECTIONS, Reactor};
use crate::told::warn;

/// Descriptors that are not for peers: the log, epoll, listeners, signals, and what the service opens.
const RESERVE: usize = 32;

impl Reactor {
    /// How many connections there may be, and the descriptor limit allows.
    pub fn within_reach(&self) -> usize {
        self.within_reach.min(self.capacity.limit())
    }

    /// Sets how many connections there may be, as [`Reactor::new`] does. Peers that are connected stay, also if there are more of
    /// them: then newcomers find no room until enough have departed.
    ///
    /// # Errors
    /// The limit is 0.
    pub fn limit_connections(&mut self, limit: usize) -> Result<(), Unfit> {
        if limit == 0 {
            return Err(no_connections());
        }
        let apart: usize = self.ports().map(|port| port.room_apart()).sum();
        self.within_reach = raise_descriptor_limit(limit).saturating_sub(apart).max(1);
        let limit = if limit == Self::NO_LIMIT || apart > 0 { limit.min(self.within_reach) } else { limit };
        self.capacity.room.set_limit(limit.min(MOST_CONNECTIONS));
        self.awake.wake_all();
        Ok(())
    }

    /// Sets the limits of these ports, for all of their peers, the connected ones included. An outbox that holds more than is
    /// allowed now stays until its peer has taken it.
    ///
    /// # Errors
    /// `NotFound`: there is no such port. `OutOfMemory`. Nothing has changed then, at any port.
    pub fn limit_peers(&mut self, ports: &[PortId], limits: Limits) -> io::Result<()> {
        self.between_turns(|sources, turn| {
            let mut prepared = Vec::new();
            for id in ports {
                prepared.push(port_of(sources, *id).ok_or(io::ErrorKind::NotFound)?.prepare(limits)?);
            }
            for (id, prepared) in ports.iter().zip(prepared) {
                if let Some(port) = port_of(sources, *id) {
                    port.limit(limits, prepared, turn.now);
                }
            }
            Ok(())
        })
    }

    fn ports(&mut self) -> impl Iterator<Item = &mut Port> {
        self.sources.iter_mut().filter_map(|source| source.as_any()?.downcast_mut::<Port>())
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

    /// What [`Reactor::limit_memory`] is by default, on this machine now.
    pub fn usual_memory_limit() -> usize {
        Memory::of(Machine::look()).limit()
    }

    /// The limit that [`Reactor::limit_memory`] has set, or the default.
    pub fn memory_limit(&self) -> usize {
        self.capacity.memory.limit()
    }
}

fn port_of(sources: &mut [Box<dyn Source>], id: PortId) -> Option<&mut Port> {
    sources.get_mut(id.source())?.as_any()?.downcast_mut::<Port>()
}

/// A limit of 0: no peer could ever connect.
pub(super) fn no_connections() -> Unfit {
    unfit("max-connections", "0".to_string(), "1 is the least".to_string())
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

//! Limits that keep one peer from hurting the others.
//!
//! Owns what may be set, and how many connections an address has. Knows no connection.

use std::collections::HashMap;
use std::collections::TryReserveError;
use std::net::SocketAddr;
use std::time::Duration;

use crate::reactor::address::{Network, PeerAddress};
use crate::reactor::outbox::OUTBOX_LIMIT;

/// The limits of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many bytes of output may wait for one peer. No more than half of it is read at once, so
    /// that what is answered with no more than came always fits.
    pub max_output: usize,
    /// A living peer whose output has not moved for so long is let go; `None`: never.
    pub stalled: Option<Duration>,
    pub when_full: WhenFull,
}

impl Limits {
    /// The least that [`Limits::max_output`] may be.
    pub const LEAST_OUTPUT: usize = 4096;
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_output: OUTBOX_LIMIT, stalled: None, when_full: WhenFull::Wait }
    }
}

/// What becomes of a newcomer for whom there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits in the backlog until another one departs.
    Wait,
    /// It is closed with a reset.
    Refuse,
    /// The peer that has moved no data for the longest time goes; if none has been idle for a
    /// second, the newcomer is refused.
    EvictOldestIdle,
}

/// How many connections each address has: an IPv4 address, or the /64 of an IPv6 address, for that
/// is what one machine may well have all of.
#[derive(Clone, Debug, Default)]
pub struct Addresses(Option<Counts>);

#[derive(Clone, Debug)]
struct Counts {
    most: usize,
    /// Hashed with a secret, so nobody can choose addresses that collide. The secret is asked of the
    /// kernel, so there is no table where there is no limit.
    connected: HashMap<Network, usize>,
}

impl Addresses {
    pub fn limit(&mut self, most: Option<usize>) {
        self.0 = most.map(|most| Counts { most, connected: HashMap::new() });
    }

    /// # Errors
    /// There is no memory for one more address.
    pub fn reserve(&mut self) -> Result<(), TryReserveError> {
        self.0.as_mut().map_or(Ok(()), |counts| counts.connected.try_reserve(1))
    }

    pub fn admits(&self, address: SocketAddr) -> bool {
        let Some(Counts { most, connected }) = &self.0 else { return true };
        connected.get(&network(address)).is_none_or(|count| count < most)
    }

    pub fn arrive(&mut self, address: SocketAddr) {
        if let Some(Counts { connected, .. }) = &mut self.0 {
            *connected.entry(network(address)).or_default() += 1;
        }
    }

    pub fn depart(&mut self, address: SocketAddr) {
        let Some(Counts { connected, .. }) = &mut self.0 else { return };
        let network = network(address);
        match connected.get_mut(&network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                connected.remove(&network);
                if connected.is_empty() {
                    connected.shrink_to_fit();
                }
            }
        }
    }
}

fn network(address: SocketAddr) -> Network {
    PeerAddress::from(address).network()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_one_by_one_and_ipv6_by_64() {
        let address = |text: &str| format!("[{text}]:7").parse::<SocketAddr>().unwrap();
        let mut addresses = Addresses::default();
        addresses.limit(Some(2));
        addresses.arrive(address("2001:db8::1"));
        addresses.arrive(address("2001:db8::ffff:0:0:2"));
        assert!(!addresses.admits(address("2001:db8::3")) && addresses.admits(address("2001:db8:0:1::1")));
        for _ in 0..2 {
            addresses.arrive("192.0.2.1:1".parse().unwrap());
        }
        // A dual-stack listener's mapped addresses are IPv4's.
        assert!(!addresses.admits(address("::ffff:192.0.2.1")));
        assert!(addresses.admits(address("::ffff:192.0.2.2")));
        addresses.depart(address("::ffff:192.0.2.1"));
        assert!(addresses.admits("192.0.2.1:9".parse().unwrap()));
        addresses.depart("192.0.2.1:1".parse().unwrap());
        addresses.depart(address("2001:db8::1"));
        addresses.depart(address("2001:db8::1"));
        assert!(addresses.0.unwrap().connected.is_empty());
    }
}

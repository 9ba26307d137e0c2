//! How many connections each address has.

use std::collections::{HashMap, TryReserveError};
use std::net::SocketAddr;

use crate::keepalive::{Unfit, unfit};
use crate::reactor::address::{AddressBlock, PeerAddress};

/// How many connections each address has: an IPv4 address, or the /64 of an IPv6 address, because one
/// machine may well have a whole /64.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses(Option<Counts>);

#[derive(Clone, Debug)]
struct Counts {
    most: usize,
    /// Hashed with a secret, so that nobody can choose addresses that collide. To get the secret takes a
    /// system call, so there is no table without a limit.
    connected: HashMap<AddressBlock, usize>,
}

impl Addresses {
    /// At most `most` connections from each address, with none counted yet; `None`: no limit.
    ///
    /// # Errors
    /// The limit is 0, so no peer could ever connect.
    pub(crate) fn limited(most: Option<usize>) -> Result<Self, Unfit> {
        if most == Some(0) {
            let because = "nobody could ever come; 1 is the least".to_string();
            return Err(unfit("max-per-address", "0".to_string(), because));
        }
        Ok(Self(most.map(|most| Counts { most, connected: HashMap::new() })))
    }

    /// # Errors
    /// There is no memory for one more address.
    pub(crate) fn reserve(&mut self) -> Result<(), TryReserveError> {
        self.0.as_mut().map_or(Ok(()), |counts| counts.connected.try_reserve(1))
    }

    pub(crate) fn admits(&self, address: SocketAddr) -> bool {
        let Some(Counts { most, connected }) = &self.0 else { return true };
        connected.get(&network(address)).is_none_or(|count| count < most)
    }

    pub(crate) fn arrive(&mut self, address: SocketAddr) {
        if let Some(Counts { connected, .. }) = &mut self.0 {
            *connected.entry(network(address)).or_default() += 1;
        }
    }

    pub(crate) fn depart(&mut self, address: SocketAddr) {
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

fn network(address: SocketAddr) -> AddressBlock {
    PeerAddress::from(address).network()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_none_is_refused() {
        assert!(Addresses::limited(Some(0)).unwrap_err().to_string().contains("1 is the least"));
    }

    #[test]
    fn addresses_are_counted_one_by_one_and_ipv6_by_64() {
        let address = |text: &str| format!("[{text}]:7").parse::<SocketAddr>().unwrap();
        let mut addresses = Addresses::limited(Some(2)).unwrap();
        addresses.arrive(address("2001:db8::1"));
        addresses.arrive(address("2001:db8::ffff:0:0:2"));
        assert!(!addresses.admits(address("2001:db8::3")) && addresses.admits(address("2001:db8:0:1::1")));
        for _ in 0..2 {
            addresses.arrive("192.0.2.1:1".parse().unwrap());
        }
        // A mapped address, which a dual-stack listener reports, counts as the IPv4 address.
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

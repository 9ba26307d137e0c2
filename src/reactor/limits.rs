//! Limits that keep one peer from hurting the others.
//!
//! Owns which values may be set, and how many connections each address has. Knows no connection.

use std::collections::HashMap;
use std::collections::TryReserveError;
use std::net::SocketAddr;
use std::time::Duration;

use crate::keepalive::{Unfit, unfit};
use crate::reactor::address::{Network, PeerAddress};
use crate::reactor::agenda::waiting_time;
use crate::reactor::outbox::OUTBOX_LIMIT;

/// The limits of a port, each of them checked where it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    max_output: usize,
    stalled: Option<Duration>,
    when_full: WhenFull,
}

impl Limits {
    /// How many bytes of output may wait for one peer; 256 KiB by default. No more than half of it is read
    /// at once, so that an answer that is no longer than the input always fits.
    ///
    /// # Errors
    /// Less than 4 KiB, which leaves too little to read at once, or more than 1 GiB.
    pub fn with_max_output(self, bytes: usize) -> Result<Self, Unfit> {
        if !(4 << 10..=1 << 30).contains(&bytes) {
            let because = "4K to 1024M is wanted: bytes, or with K or M behind them";
            return Err(unfit("max-output", bytes.to_string(), because.to_string()));
        }
        Ok(Self { max_output: bytes, ..self })
    }

    /// A living peer whose output has not moved for this long is let go; `None`, the default: never.
    ///
    /// # Errors
    /// Less than 10 ms, or more than 40 days.
    pub fn with_stalled(self, time: Option<Duration>) -> Result<Self, Unfit> {
        Ok(Self { stalled: time.map(|time| waiting_time("stalled", time)).transpose()?, ..self })
    }

    /// What to do with a newcomer when there is no room; by default it waits.
    pub fn with_when_full(self, when_full: WhenFull) -> Self {
        Self { when_full, ..self }
    }

    pub fn max_output(&self) -> usize {
        self.max_output
    }

    pub fn stalled(&self) -> Option<Duration> {
        self.stalled
    }

    pub fn when_full(&self) -> WhenFull {
        self.when_full
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_output: OUTBOX_LIMIT, stalled: None, when_full: WhenFull::Wait }
    }
}

/// What to do with a newcomer when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits in the backlog until a peer departs.
    Wait,
    /// It is closed with a reset.
    Refuse,
    /// The peer that has moved no data for the longest time is let go; if none has been idle for a
    /// second, the newcomer is refused.
    EvictOldestIdle,
}

/// How many connections each address has: an IPv4 address, or the /64 of an IPv6 address, because one
/// machine may well have a whole /64.
#[derive(Clone, Debug, Default)]
pub struct Addresses(Option<Counts>);

#[derive(Clone, Debug)]
struct Counts {
    most: usize,
    /// Hashed with a secret, so that nobody can choose addresses that collide. To get the secret takes a
    /// system call, so there is no table without a limit.
    connected: HashMap<Network, usize>,
}

impl Addresses {
    /// At most `most` connections from each address, with none counted yet; `None`: no limit.
    ///
    /// # Errors
    /// The limit is 0, so no peer could ever connect.
    pub fn limited(most: Option<usize>) -> Result<Self, Unfit> {
        if most == Some(0) {
            let because = "nobody could ever come; 1 is the least".to_string();
            return Err(unfit("max-per-address", "0".to_string(), because));
        }
        Ok(Self(most.map(|most| Counts { most, connected: HashMap::new() })))
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
    fn a_value_that_cannot_be_is_refused_where_it_is_given() {
        let limits = Limits::default();
        for bytes in [0, 1, 4095, (1 << 30) + 1, usize::MAX] {
            let unfit = limits.with_max_output(bytes).unwrap_err();
            assert_eq!((unfit.setting, unfit.given), ("max-output", bytes.to_string()));
        }
        assert_eq!(limits.with_max_output(4096).unwrap().max_output(), 4096);
        for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            assert_eq!(limits.with_stalled(Some(time)).unwrap_err().setting, "stalled");
        }
        assert_eq!(limits.with_stalled(None).unwrap().stalled(), None);
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

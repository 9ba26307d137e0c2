//! A peer's address in 18 bytes; the standard library's takes 32.
//!
//! It must be kept from the accept on: once a connection has died, getpeername(2) fails.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// An address and port. IPv4 is kept in its mapped form (RFC 4291 §2.5.5.2), and comes out as IPv4;
/// so does a peer that reached a dual-stack listener over IPv4. The scope of a link-local address is
/// kept in four bytes of the address that are always zero (RFC 4291 §2.5.6).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress {
    ip: [u8; 16],
    port: u16,
}

/// What counts as one machine: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressBlock([u8; 16]);

impl PeerAddress {
    pub fn network(self) -> AddressBlock {
        let mut ip = self.ip;
        if Ipv6Addr::from(ip).to_ipv4_mapped().is_none() {
            ip[8..].fill(0);
        }
        AddressBlock(ip)
    }

    /// As it is kept: the address in its 16 bytes, and the port.
    #[cfg(feature = "upgrade")]
    pub fn to_bytes(self) -> [u8; 18] {
        let mut bytes = [0; 18];
        bytes[..16].copy_from_slice(&self.ip);
        bytes[16..].copy_from_slice(&self.port.to_be_bytes());
        bytes
    }

    #[cfg(feature = "upgrade")]
    pub fn of_bytes(bytes: [u8; 18]) -> Self {
        let (mut ip, [.., high, low]) = ([0; 16], bytes);
        ip.copy_from_slice(&bytes[..16]);
        Self { ip, port: u16::from_be_bytes([high, low]) }
    }
}

const SCOPE: std::ops::Range<usize> = 4..8;

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        let ip = match address {
            SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped().octets(),
            SocketAddr::V6(v6) => {
                let mut ip = v6.ip().octets();
                if v6.ip().is_unicast_link_local() {
                    ip[SCOPE].copy_from_slice(&v6.scope_id().to_be_bytes());
                }
                ip
            }
        };
        Self { ip, port: address.port() }
    }
}

impl From<PeerAddress> for SocketAddr {
    fn from(address: PeerAddress) -> Self {
        let mut ip = address.ip;
        let mut scope = 0;
        if Ipv6Addr::from(ip).is_unicast_link_local() {
            scope = ip[SCOPE].iter().fold(0, |scope, byte| scope << 8 | u32::from(*byte));
            ip[SCOPE].fill(0);
        }
        match Ipv6Addr::from(ip).to_canonical() {
            ip @ IpAddr::V4(_) => Self::new(ip, address.port),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, address.port, 0, scope).into(),
        }
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_out_as_they_went_in() {
        for text in
            ["127.0.0.1:7007", "[::1]:7007", "[fe80::1%3]:65535", "[fe80::1:2:3:4%4000000000]:1", "[2001:db8::]:0"]
        {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(SocketAddr::from(PeerAddress::from(address)), address);
            assert_eq!(PeerAddress::from(address).to_string(), text);
        }
        let mapped = PeerAddress::from("[::ffff:10.0.0.1]:1".parse::<SocketAddr>().unwrap());
        assert_eq!(mapped.to_string(), "10.0.0.1:1");
        assert_eq!(size_of::<PeerAddress>(), 18);
    }
}

//! `--from`: an address or a network, as a person writes it.
//!
//! The server filters; here is only checked that the question makes sense. `top` filters by itself.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address, and how many of its bits count: 10.0.0.0/8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressFilter {
    address: IpAddr,
    bits: u8,
}

impl fmt::Display for AddressFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for AddressFilter {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (address, bits) = word.split_once('/').map_or((word, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| {
            "it must be an address or a network, such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32".to_string()
        })?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits.map(str::parse) {
            None => all,
            Some(Ok(bits)) if bits <= all => bits,
            Some(_) => return Err(format!("after the / there must be a number of bits, from 0 to {all}")),
        };
        Ok(Self { address, bits })
    }
}

impl AddressFilter {
    /// Whether this network has the address.
    #[cfg(feature = "top")]
    pub fn has(&self, address: IpAddr) -> bool {
        // The address in the uppermost bits.
        let bits = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(v4) => (4, u128::from(v4.to_bits()) << 96),
            IpAddr::V6(v6) => (6, v6.to_bits()),
        };
        let ((family, one), (other_family, other)) = (bits(self.address), bits(address));
        let differing = one ^ other;
        family == other_family && u32::from(self.bits) <= differing.leading_zeros()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read() {
        for (word, told) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("::/0", "::/0"),
            ("[2001:db8::1]", "2001:db8::1/128"),
        ] {
            assert_eq!(word.parse::<AddressFilter>().unwrap().to_string(), told);
        }
        for word in ["", "here", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "::/129", "10.0.0/8", "10.0.0.0/8/8"] {
            assert!(word.parse::<AddressFilter>().is_err(), "{word:?}");
        }
    }

    #[cfg(feature = "top")]
    #[test]
    fn what_a_network_has() {
        for (network, address, has) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "::1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.0", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("::/0", "2001:db8::", true),
            ("192.0.2.0/24", "::ffff:192.0.2.7", true),
        ] {
            assert_eq!(
                network.parse::<AddressFilter>().unwrap().has(address.parse().unwrap()),
                has,
                "{network} {address}"
            );
        }
    }
}

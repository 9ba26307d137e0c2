//! What is asked of the list of peers: how many, in which order, from where, and after whom.
//!
//! Owns the parameters of `/peers`, the cursor among them. Knows no peer.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::observe::admin::answer::Answer;
use crate::reactor::PeerId;

/// How many peers a page has at most, and by default.
const MOST: usize = 1000;
const DEFAULT: usize = 100;

/// What is asked of the list of peers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Query {
    pub limit: usize,
    pub after: Option<Cursor>,
    pub sort: Option<Sort>,
    pub from: Option<Network>,
}

/// What comes first in a sorted list is what is worth looking at: the longest silence, the oldest, the most bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Silence,
    Age,
    Bytes,
}

/// Where a page ends, and the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// After this peer in the order of the tables.
    Peer(PeerId),
    /// After this key and peer of a sorted list that was kept.
    Sorted { list: u64, key: u64, peer: PeerId },
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Sorted { list, key, peer } => write!(f, "{list:x}.{key:x}.{peer}"),
        }
    }
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let Some((list, rest)) = text.split_once('.') else { return text.parse().ok().map(Self::Peer) };
        let (key, peer) = rest.split_once('.')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(Self::Sorted { list: number(list)?, key: number(key)?, peer: peer.parse().ok()? })
    }
}

impl Query {
    /// Reads the parameters.
    ///
    /// # Errors
    /// The answer that says which of them makes no sense.
    pub(super) fn read(parameters: &[(String, String)]) -> Result<Self, Answer> {
        let mut query = Self { limit: DEFAULT, after: None, sort: None, from: None };
        for (nth, (name, value)) in parameters.iter().enumerate() {
            let wrong = |must: &str| Answer::error(400, &format!("{name}={value}: {must}"));
            if parameters[..nth].iter().any(|(other, _)| other == name) {
                return Err(wrong("it is given twice"));
            }
            match name.as_str() {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                    query.limit = limit.ok_or_else(|| wrong("it must be a number from 1 to 1000"))?;
                }
                "after" => {
                    let cursor = Cursor::read(value);
                    query.after = Some(cursor.ok_or_else(|| wrong("it must be the \"next\" of the page before"))?);
                }
                "sort" => {
                    query.sort = Some(match value.as_str() {
                        "silence" => Sort::Silence,
                        "age" => Sort::Age,
                        "bytes" => Sort::Bytes,
                        _ => return Err(wrong("it must be silence, age or bytes")),
                    });
                }
                "from" => query.from = Some(Network::read(value).map_err(|must| wrong(&must))?),
                _ => return Err(Answer::error(400, &format!("{name} is none of limit, after, sort and from"))),
            }
        }
        Ok(query)
    }
}

/// Addresses that begin alike: `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    begin: IpAddr,
    prefix: u8,
}

impl Network {
    fn read(text: &str) -> Result<Self, String> {
        let must = || "it must be an address or a network, such as 192.0.2.0/24 or 2001:db8::/32".to_string();
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| must())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| must())?,
            Some(_) => return Err(must()),
        };
        if prefix > longest {
            return Err(format!("no prefix of {address} is longer than {longest}"));
        }
        // A peer of an IPv4 address is the same one, whichever socket it has come through.
        let (address, prefix) = match address.to_canonical() {
            canonical @ IpAddr::V4(_) if address.is_ipv6() && prefix >= 96 => (canonical, prefix - 96),
            _ => (address, prefix),
        };
        let begin = masked(address, prefix);
        if begin != address {
            return Err(format!("there is more in the address than the prefix holds; did you mean {begin}/{prefix}?"));
        }
        Ok(Self { begin, prefix })
    }

    pub(super) fn holds(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.prefix) == self.begin
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Query, String> {
        let parameters: Vec<_> = query
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        Query::read(&parameters).map_err(|answer| String::from_utf8_lossy(&answer.body).into_owned())
    }

    #[test]
    fn a_query_is_read_and_what_makes_no_sense_is_said() {
        let none = Query { limit: 100, after: None, sort: None, from: None };
        assert_eq!(read(""), Ok(none));
        assert_eq!(read("limit=1000&sort=bytes"), Ok(Query { limit: 1000, sort: Some(Sort::Bytes), ..none }));
        for (query, because) in [
            ("limit=0", "limit=0: it must be a number from 1 to 1000"),
            ("limit=1001", "from 1 to 1000"),
            ("limit=-1", "from 1 to 1000"),
            ("limit", "limit=: it must"),
            ("sort=name", "silence, age or bytes"),
            ("after=x", "the \\\"next\\\" of the page before"),
            ("after=1.2", "the \\\"next\\\""),
            ("limit=1&limit=1", "it is given twice"),
            ("limt=1", "limt is none of limit, after, sort and from"),
        ] {
            let said = read(query).unwrap_err();
            assert!(said.contains(because), "{query}: {said}");
        }
    }

    #[test]
    fn a_cursor_is_read_as_it_was_told() {
        for text in ["3f2a1c0101-2a", "1f.ffffffffffffffff.3f2a1c0101-2a", "0.0.1-0"] {
            let cursor = read(&format!("after={text}")).unwrap().after.unwrap();
            assert_eq!(cursor.to_string(), text);
        }
    }

    #[test]
    fn a_network_holds_what_begins_like_it() {
        let network = |text: &str| Network::read(text);
        let holds = |text: &str, address: &str| network(text).unwrap().holds(address.parse().unwrap());
        for (text, address, is_in) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "192.0.2.1", false),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("fe80::1/128", "fe80::1", true),
        ] {
            assert_eq!(holds(text, address), is_in, "{address} in {text}");
        }
        for (text, because) in [
            ("", "it must be an address or a network"),
            ("192.0.2", "it must be"),
            ("192.0.2.0/", "it must be"),
            ("192.0.2.0/+8", "it must be"),
            ("192.0.2.0/999", "it must be"),
            ("192.0.2.0/24/24", "it must be"),
            ("192.0.2.0/33", "no prefix of 192.0.2.0 is longer than 32"),
            ("::/129", "longer than 128"),
            ("192.0.2.1/24", "did you mean 192.0.2.0/24?"),
            ("2001:db8::1/32", "did you mean 2001:db8::/32?"),
        ] {
            assert!(network(text).unwrap_err().contains(because), "{text}");
        }
    }
}

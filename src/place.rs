//! `ADDR:PORT`, as a person writes it: an address, a name, or an IPv6 address with its interface.
//!
//! Owns the parsing, the hint when it fails, and the resolution of a name. Knows nothing of what is done at
//! the place: listening or connecting.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// The server's port by default, and the one that a hint names where none was given.
const PORT: u16 = 7007;

/// How many bytes the path of a unix socket may have: `sun_path` less its final zero (unix(7)).
#[cfg(any(feature = "admin", feature = "events"))]
pub const LONGEST_SOCKET: usize = 107;

/// Where to listen, or to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Address(SocketAddr),
    /// What the resolver must be asked about: `localhost`, or `fe80::1%eth0`.
    Name {
        host: String,
        port: u16,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::read(word)
    }
}

impl Place {
    /// Where the server listens if nothing is said.
    pub const DEFAULT: Self = Self::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT));

    /// Reads a word. Nothing is resolved yet.
    ///
    /// # Errors
    /// A sentence: what is wrong with it, and what may have been meant.
    pub fn read(word: &str) -> Result<Self, String> {
        let word = word.trim();
        if let Ok(address) = word.parse() {
            return Ok(Self::Address(address));
        }
        let because = match split(word) {
            Err(guess) => guess,
            Ok((host, port)) => match port.parse() {
                Ok(port) if is_name(host) => return Ok(Self::Name { host: host.to_string(), port }),
                Ok(port) if host.is_empty() || host == "*" => did_you_mean("::", port, ""),
                Ok(_) => String::new(),
                Err(_) if port.is_empty() => format!("; did you mean {word}{PORT}?"),
                Err(_) => format!("; {port} is no port, ports go from 0 to 65535"),
            },
        };
        Err(format!("{word:?} is not an address and a port, such as 127.0.0.1:{PORT} or [::]:{PORT}{because}"))
    }

    /// The addresses that it stands for, each once. Asks the resolver about a name.
    ///
    /// # Errors
    /// A sentence.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let found = match self {
            Self::Address(address) => vec![*address],
            Self::Name { host, port } => {
                let found = (host.as_str(), *port).to_socket_addrs();
                found.map_err(|error| self.not_found(&error.to_string()))?.collect()
            }
        };
        let mut addresses: Vec<SocketAddr> = Vec::with_capacity(found.len());
        for mut address in found {
            // ::ffff:127.0.0.1 is 127.0.0.1.
            address.set_ip(address.ip().to_canonical());
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }

    #[cfg(any(feature = "admin", feature = "events", feature = "sandbox"))]
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Name { port, .. } => *port,
        }
    }

    pub fn is_name(&self) -> bool {
        matches!(self, Self::Name { .. })
    }

    fn not_found(&self, said: &str) -> String {
        let Self::Name { host, port } = self else { return String::new() };
        match host.split_once('%') {
            Some((ip, interface)) => format!(
                "{self}: there is no interface {interface}, or {ip} takes none; `ip -6 address` lists interfaces and the \
                 addresses that need one, fe80::…"
            ),
            None => {
                let said = said.strip_prefix("failed to lookup address information: ").unwrap_or(said);
                format!(
                    "the name {host:?} of {self} cannot be resolved: {said}; an address needs no resolver, such as \
                     127.0.0.1:{port}"
                )
            }
        }
    }
}

/// Host and port, or what may have been meant by a word that does not have both.
fn split(word: &str) -> Result<(&str, &str), String> {
    if let Some((host, rest)) = word.strip_prefix('[').and_then(|word| word.split_once(']')) {
        return rest.strip_prefix(':').map(|port| (host, port)).ok_or_else(|| did_you_mean(host, PORT, ""));
    }
    let Some((host, port)) = word.rsplit_once(':') else {
        return Err(match word.parse::<u16>() {
            Ok(port) => format!("; did you mean 127.0.0.1:{port} or [::]:{port}?"),
            Err(_) if word.is_empty() => String::new(),
            Err(_) => format!("; did you mean {word}:{PORT}?"),
        });
    };
    // Without brackets, the last group of an IPv6 address may or may not be the port.
    match port.parse::<u16>() {
        Ok(number) if is_v6(host) && is_v6(word) && !word.contains('%') => {
            Err(did_you_mean(host, number, &format!(" or [{word}]:{PORT}")))
        }
        Ok(number) if is_v6(host) => Err(did_you_mean(host, number, "")),
        _ if is_v6(word) => Err(did_you_mean(word, PORT, "")),
        _ => Ok((host, port)),
    }
}

fn did_you_mean(host: &str, port: u16, or: &str) -> String {
    format!("; did you mean [{host}]:{port}{or}?")
}

/// An IPv6 address, with or without an interface after it.
fn is_v6(host: &str) -> bool {
    let (ip, interface) = host.split_once('%').unwrap_or((host, "-"));
    ip.parse::<Ipv6Addr>().is_ok() && !interface.is_empty()
}

/// What the resolver may be asked about: a name, or an IPv6 address with an interface after it.
fn is_name(host: &str) -> bool {
    // 300.1.1.1 is a mistyped address, and 127.1 is an address only to inet_aton(3).
    let is_number = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || b"-_.".contains(&byte);
    host.contains('%') && is_v6(host) || !is_number && host.bytes().all(belongs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read() {
        for word in
            ["127.0.0.1:7007", "[::]:7007", "[fe80::1%2]:80", "localhost:0", "a-b.example:1", "[fe80::1%eth0]:7007"]
        {
            assert_eq!(Place::read(word).map(|place| place.to_string()).as_deref(), Ok(word));
            assert_eq!(Place::read(&format!(" {word}\n")), Place::read(word), "blanks do not count");
        }
        assert!(!Place::read("[fe80::1%2]:80").unwrap().is_name(), "a number needs no resolver");
        assert!(Place::read("[fe80::1%eth0]:80").unwrap().is_name());
    }

    #[test]
    fn a_guess_at_what_was_meant() {
        for (word, guess) in [
            ("7007", "did you mean 127.0.0.1:7007 or [::]:7007?"),
            ("127.0.0.1", "did you mean 127.0.0.1:7007?"),
            ("localhost", "did you mean localhost:7007?"),
            ("::1", "did you mean [::1]:7007?"),
            ("[::1]", "did you mean [::1]:7007?"),
            ("::1:7007", "did you mean [::1]:7007 or [::1:7007]:7007?"),
            ("fe80::1%eth0", "did you mean [fe80::1%eth0]:7007?"),
            ("fe80::1%eth0:80", "did you mean [fe80::1%eth0]:80?"),
            ("1:2:3:4:5:6:7:8:80", "did you mean [1:2:3:4:5:6:7:8]:80?"),
            (":80", "did you mean [::]:80?"),
            ("*:80", "did you mean [::]:80?"),
            ("127.0.0.1:", "did you mean 127.0.0.1:7007?"),
            ("localhost:99999", "99999 is no port, ports go from 0 to 65535"),
            ("127.0.0.1:65536", "65536 is no port"),
            ("[::1]:70000", "70000 is no port"),
            ("localhost:http", "http is no port"),
            ("300.0.0.1:80", "\"300.0.0.1:80\" is not an address"),
            ("[::1%]:80", "is not an address"),
            ("http://localhost:80", "is not an address"),
            ("", "\"\" is not an address"),
        ] {
            let said = Place::read(word).expect_err(word);
            assert!(said.contains(guess), "{word}: {said:?} does not contain {guess:?}");
        }
    }

    #[test]
    fn a_name_is_resolved_and_each_address_comes_once() {
        let address = |place: &str| Place::read(place).unwrap().addresses();
        let local = address("localhost:7007").unwrap();
        assert!(local.iter().all(|address| address.ip().is_loopback() && address.port() == 7007), "{local:?}");
        let mut once = local.clone();
        once.dedup();
        assert!(!local.is_empty() && once == local, "{local:?}");
        assert_eq!(address("[::ffff:127.0.0.1]:80"), address("127.0.0.1:80"));
        // Every machine has a loopback interface, and its index is 1.
        assert_eq!(address("[fe80::1%lo]:80").unwrap(), ["[fe80::1%1]:80".parse().unwrap()]);
        let said = address("[fe80::1%nowhere]:80").unwrap_err();
        assert!(said.contains("no interface nowhere"), "{said}");
        let said = address("no-such-name.invalid:80").unwrap_err();
        assert!(said.starts_with("the name \"no-such-name.invalid\" of no-such-name.invalid:80 cannot be"), "{said}");
    }
}

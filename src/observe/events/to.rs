//! Where the events go, as a person writes it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::place::{LONGEST_SOCKET, Place};

/// Where the events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventsTo {
    /// `-`
    Stdout,
    /// A file, which is appended to; or a FIFO.
    File(PathBuf),
    /// A unix socket that somebody listens on.
    Unix(PathBuf),
    /// A TCP server.
    Tcp(Place),
}

impl FromStr for EventsTo {
    type Err = String;

    /// `-`, a path, `unix:PATH` or `tcp:ADDR:PORT`. What is wrong is a clause.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                0 => Err("the path of the socket is missing: unix:/run/collector.sock".to_string()),
                1..=LONGEST_SOCKET => Ok(Self::Unix(path.into())),
                _ => Err(format!("a unix socket's path has at most {LONGEST_SOCKET} bytes")),
            };
        }
        if let Some(place) = text.strip_prefix("tcp:") {
            let place = Place::read(place)?;
            return match place.port() {
                0 => Err("nobody listens on port 0: give the collector's port".to_string()),
                _ => Ok(Self::Tcp(place)),
            };
        }
        if text == "-" {
            return Ok(Self::Stdout);
        }
        if text.is_empty() {
            return Err("it must be -, FILE, unix:PATH or tcp:ADDR:PORT".to_string());
        }
        if text.parse::<SocketAddr>().is_ok() {
            return Err(format!("did you mean tcp:{text}? A file of that name is ./{text}"));
        }
        // udp:…, http://…: nobody wants a file of that name.
        match text.split_once(':') {
            Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Err(format!("it must be -, FILE, unix:PATH or tcp:ADDR:PORT; a file of that name is ./{text}"))
            }
            _ => Ok(Self::File(text.into())),
        }
    }
}

impl fmt::Display for EventsTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => path.display().fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(place) => write!(f, "tcp:{place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read() {
        let read = |text: &str| text.parse::<EventsTo>();
        assert_eq!(read("-"), Ok(EventsTo::Stdout));
        for path in ["events", "/var/log/events.json", "./a:b", "a b:c", "--"] {
            assert_eq!(read(path), Ok(EventsTo::File(path.into())));
        }
        assert_eq!(read("unix:/run/a.sock"), Ok(EventsTo::Unix("/run/a.sock".into())));
        for place in ["127.0.0.1:5170", "[fe80::1%2]:5170", "collector.example:5170"] {
            assert_eq!(read(&format!("tcp:{place}")), Ok(EventsTo::Tcp(place.parse().unwrap())));
        }
        for (text, said) in [
            ("", "-, FILE, unix:PATH"),
            ("unix:", "path of the socket is missing"),
            (&format!("unix:/{}", "x".repeat(107)), "at most 107 bytes"),
            ("tcp:", "is not an address and a port"),
            ("tcp:127.0.0.1", "did you mean 127.0.0.1:7007?"),
            ("tcp:127.0.0.1:0", "nobody listens on port 0"),
            ("127.0.0.1:5170", "did you mean tcp:127.0.0.1:5170?"),
            ("udp:127.0.0.1:514", "unix:PATH or tcp:ADDR:PORT"),
            ("http://localhost", "a file of that name is ./http://localhost"),
            ("file:x", "a file of that name is ./file:x"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}

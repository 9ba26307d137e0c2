//! Where an admin port is: `ADDR:PORT`, or `unix:PATH`.
//!
//! Owns how a person writes that, for the server that opens it and for the clients that ask it.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::place::{LONGEST_SOCKET, Place};

/// Where an admin port is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminPlace {
    Tcp(Place),
    Unix(PathBuf),
}

impl AdminPlace {
    /// Where clients look for it if nothing is said.
    pub const DEFAULT: Self = Self::Tcp(Place::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7070)));
    /// What the path of a unix socket begins with.
    const UNIX: &'static str = "unix:";
}

impl FromStr for AdminPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(Self::UNIX) {
            Some("") => Err("after unix: comes the path of a socket, such as unix:/run/stillthere.sock".to_string()),
            Some(path) if path.len() > LONGEST_SOCKET => {
                Err(format!("a unix socket's path has at most {LONGEST_SOCKET} bytes"))
            }
            Some(path) => Ok(Self::Unix(path.into())),
            None if !text.contains('/') => Place::read(text).map(Self::Tcp),
            None => Err(match text.split_once("://") {
                Some((_, rest)) => format!("it takes no URL; did you mean {}?", rest.trim_end_matches('/')),
                None => format!("did you mean {}{text}?", Self::UNIX),
            }),
        }
    }
}

impl fmt::Display for AdminPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(place) => place.fmt(f),
            Self::Unix(path) => write!(f, "{}{}", Self::UNIX, path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As bind(2) would: `serve --check` must not call good what a start refuses.
    #[test]
    fn a_path_is_as_long_as_the_kernel_takes_it() {
        let place = |length: usize| format!("unix:/{}", "x".repeat(length - 1)).parse::<AdminPlace>();
        assert!(place(107).is_ok() && std::os::unix::net::SocketAddr::from_pathname("x".repeat(107)).is_ok());
        assert_eq!(place(108).unwrap_err(), "a unix socket's path has at most 107 bytes");
        assert!(std::os::unix::net::SocketAddr::from_pathname("x".repeat(108)).is_err());
    }
}

//! Opening connections: from which of our addresses, and how fast.
//!
//! Owns the sources' ports and the pace. Knows nothing of what is sent on a connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::load::trouble::{Trouble, TroubleKind};
use crate::reactor::{Clock, Moment};
use crate::sockopt;

/// Connections that are late by no more than this are made up for. More would flood the server.
const SLACK: Duration = Duration::from_millis(10);

/// Opens connections from our addresses, at a limited pace.
#[derive(Debug)]
pub(super) struct Opening {
    target: SocketAddr,
    sources: Sources,
    /// Addresses that a connection has come from.
    used: Vec<Option<IpAddr>>,
    pause: Duration,
    next: Moment,
}

/// The source addresses of connections.
#[derive(Debug)]
enum Sources {
    /// The addresses that were asked for, one after the other, as long as they have ports. `next` is the index of the
    /// one to use.
    Given { left: Vec<IpAddr>, next: usize },
    /// The kernel's choice as long as it has a port: some servers let in one address only, as redis does in its
    /// protected mode. A server on the loopback network can be reached from all of it, so when an address has no
    /// port left (it has those of `net.ipv4.ip_local_port_range`, less those reserved and in use), the `more`th
    /// address of 127.1.0.0/16 is used next.
    Kernel { more: Option<u16> },
}

impl Sources {
    /// The address for the next connection; `None`: the kernel chooses.
    fn current(&self) -> Option<IpAddr> {
        match self {
            Self::Given { left, next } => left.get(next % left.len().max(1)).copied(),
            Self::Kernel { more } => more.map(|more| Ipv4Addr::from_bits(0x7f01_0000 | u32::from(more)).into()),
        }
    }

    fn advance(&mut self) {
        if let Self::Given { left, next } = self {
            *next = (*next + 1) % left.len().max(1);
        }
    }

    /// Moves on from the current address, which has no port left. False: there is no other.
    fn exhausted(&mut self, target: &SocketAddr) -> bool {
        match self {
            Self::Given { left, .. } if left.len() < 2 => false,
            Self::Given { left, next } => {
                left.swap_remove(*next % left.len());
                true
            }
            Self::Kernel { .. } if !(target.ip().is_loopback() && target.is_ipv4()) => false,
            Self::Kernel { more } => {
                let following = more.map_or(Some(1), |more| more.checked_add(1));
                *more = following.or(*more);
                following.is_some()
            }
        }
    }
}

impl Opening {
    /// At most `rate` a second, from `sources`; if there are none, the kernel chooses.
    pub(super) fn new(target: SocketAddr, sources: Vec<IpAddr>, rate: u32) -> Self {
        let sources = match sources.is_empty() {
            true => Sources::Kernel { more: None },
            false => Sources::Given { left: sources, next: 0 },
        };
        let pause = Duration::from_secs(1) / rate.max(1);
        Self { target, sources, used: Vec::new(), pause, next: Moment::default() }
    }

    /// How many addresses connections have come from.
    pub(super) fn sources(&self) -> usize {
        self.used.len()
    }

    /// When the next connection may be opened.
    pub(super) fn next(&self) -> Moment {
        self.next
    }

    /// Begins to connect: the socket becomes writable when the connection is established. Also returns the moment
    /// just before connect(2), because with a server on this machine the handshake may be over when it returns.
    ///
    /// # Errors
    /// Those of socket(2), bind(2) and connect(2).
    pub(super) fn open(&mut self, now: Moment, clock: Clock) -> Result<(TcpStream, Moment), Trouble> {
        if self.next == Moment::default() || now.since(self.next) > SLACK {
            self.next = now;
        }
        self.next = self.next + self.pause;
        let mut moved = false;
        loop {
            let source = self.sources.current();
            let trouble = match connect(self.target, source, clock) {
                Ok(opened) => {
                    if self.used.last() != Some(&source) && !self.used.contains(&source) {
                        self.used.push(source);
                    }
                    self.sources.advance();
                    return Ok(opened);
                }
                Err(error) => Trouble::of(&error),
            };
            // If an unused address has no port either, the reason is another one, and the next address would not help.
            let in_vain = moved && matches!(self.sources, Sources::Kernel { .. });
            if trouble.kind != TroubleKind::NoPort || in_vain || !self.sources.exhausted(&self.target) {
                self.sources.advance();
                let from = source.map_or(String::new(), |source| format!(" from {source}"));
                return Err(Trouble { words: format!("{}{from}", trouble.words), ..trouble });
            }
            moved = true;
        }
    }
}

fn connect(target: SocketAddr, source: Option<IpAddr>, clock: Clock) -> io::Result<(TcpStream, Moment)> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    // On a kernel without this option, the last ports of an address take longer to find.
    let _ = sockopt::set_any_local_port(&socket);
    if let Some(source) = source {
        // On a kernel without this option, bind(2) takes a port that no other connection may have.
        let _ = sockopt::set_bind_address_no_port(&socket);
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    let before = clock.now();
    match socket.connect(&target.into()) {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => Err(error),
        _ => Ok((TcpStream::from_std(socket.into()), before)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_address_comes_when_the_first_is_used_up() {
        let loopback = "127.0.0.1:1".parse().unwrap();
        let mut sources = Sources::Kernel { more: None };
        sources.advance();
        assert_eq!(sources.current(), None, "the kernel chooses as long as it can");
        let mut came = Vec::new();
        while sources.exhausted(&loopback) {
            came.push(sources.current().unwrap().to_string());
        }
        assert_eq!((came.len(), came[0].as_str(), came[256].as_str()), (65_535, "127.1.0.1", "127.1.1.1"));
        for elsewhere in ["10.0.0.1:1", "[::1]:1"] {
            assert!(!Sources::Kernel { more: None }.exhausted(&elsewhere.parse().unwrap()), "{elsewhere}");
        }
        let two = ["127.0.0.2", "127.0.0.3"].map(|address| address.parse().unwrap());
        let mut given = Sources::Given { left: two.to_vec(), next: 0 };
        let mut turn = || {
            given.advance();
            given.current().unwrap()
        };
        assert_eq!([turn(), turn(), turn()], [two[1], two[0], two[1]]);
        assert!(given.exhausted(&loopback) && given.current() == Some(two[0]) && !given.exhausted(&loopback));
    }

    #[test]
    fn a_late_turn_is_not_made_up_for_with_a_flood() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut opening = Opening::new(listener.local_addr().unwrap(), vec!["127.0.0.9".parse().unwrap()], 1000);
        let (at, clock) = (|milliseconds| Moment::after(Duration::from_millis(milliseconds)), Clock::start());
        opening.open(at(1), clock).unwrap();
        assert_eq!(opening.next(), at(2), "the time before the first one counts for nothing");
        opening.open(at(5), clock).unwrap();
        assert_eq!(opening.next(), at(3), "3 ms late: made up for");
        opening.open(at(5000), clock).unwrap();
        assert_eq!(opening.next(), at(5001), "five seconds late: not made up for");
        let (_, from) = listener.accept().unwrap();
        assert_eq!((from.ip().to_string(), opening.sources()), ("127.0.0.9".to_string(), 1));
    }

    #[test]
    fn the_moment_is_before_connect() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let clock = Clock::start();
        let mut opening = Opening::new(listener.local_addr().unwrap(), Vec::new(), 1000);
        let (stream, before) = opening.open(clock.now(), clock).unwrap();
        let (_, after) = (stream, clock.now());
        assert!(before > Moment::default() && before < after);
    }

    #[test]
    fn an_address_that_is_not_ours_is_named() {
        let mut opening = Opening::new("127.0.0.1:9".parse().unwrap(), vec!["192.0.2.1".parse().unwrap()], 1);
        let trouble = opening.open(Moment::default(), Clock::start()).unwrap_err();
        assert!(trouble.kind == TroubleKind::NoPort && trouble.words.contains("from 192.0.2.1"), "{trouble:?}");
    }
}

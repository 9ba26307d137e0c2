//! Opening connections: from which of our addresses, and how fast.
//!
//! Owns the sources' ports and the pace. Knows nothing of what is said on a connection.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::load::trouble::{Kind, Trouble};
use crate::reactor::Moment;
use crate::sockopt;

/// Connections for which another address of the loopback network is taken. One has some 28 232 ports
/// (`net.ipv4.ip_local_port_range`), and the kernel searches the longer the fewer of them are free.
const PER_SOURCE: usize = 5_000;
/// What was missed by waking late may be made up for, but not more: nobody is to be flooded.
const SLACK: Duration = Duration::from_millis(10);

/// See the head of this file.
#[derive(Debug)]
pub struct Opening {
    target: SocketAddr,
    /// Addresses to come from that have ports left; empty: the kernel chooses.
    sources: Vec<IpAddr>,
    /// The one whose turn it is.
    current: usize,
    pause: Duration,
    next: Moment,
}

impl Opening {
    /// For `connections` at most `rate` a second. Where one address of the loopback network has too
    /// few ports, others of it are used, unless `sources` were given.
    pub fn new(target: SocketAddr, mut sources: Vec<IpAddr>, connections: usize, rate: u32) -> Self {
        if sources.is_empty() && connections > PER_SOURCE && is_loopback_v4(&target) {
            let number = connections.div_ceil(PER_SOURCE);
            sources = (0..number).map(|n| Ipv4Addr::from_bits(0x7f01_0001 + n as u32).into()).collect();
        }
        let pause = Duration::from_secs(1) / rate.max(1);
        Self { target, sources, current: 0, pause, next: Moment::default() }
    }

    /// How many addresses the connections come from.
    pub fn sources(&self) -> usize {
        self.sources.len().max(1)
    }

    /// When the next connection may be opened.
    pub fn next(&self) -> Moment {
        self.next
    }

    /// Opens a connection, which is then on its way: the socket says when it is there.
    ///
    /// # Errors
    /// What socket(2), bind(2) and connect(2) say.
    pub fn open(&mut self, now: Moment) -> Result<TcpStream, Trouble> {
        if self.next == Moment::default() || now.since(self.next) > SLACK {
            self.next = now;
        }
        self.next = self.next + self.pause;
        loop {
            self.current = (self.current + 1) % self.sources.len().max(1);
            let source = self.sources.get(self.current).copied();
            let trouble = match connect(self.target, source) {
                Ok(stream) => return Ok(stream),
                Err(error) => Trouble::of(&error),
            };
            if trouble.kind != Kind::NoPort || self.sources.len() < 2 {
                let from = source.map_or(String::new(), |source| format!(" from {source}"));
                return Err(Trouble { words: format!("{}{from}", trouble.words), ..trouble });
            }
            self.sources.swap_remove(self.current);
        }
    }
}

fn is_loopback_v4(address: &SocketAddr) -> bool {
    address.ip().is_loopback() && address.is_ipv4()
}

fn connect(target: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        // Where the kernel does not know it, bind takes a port that no other connection may have.
        let _ = sockopt::set_bind_address_no_port(&socket);
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&target.into()) {
        Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_connections_come_from_several_addresses_of_the_loopback_network() {
        let sources = |target: &str, n| Opening::new(target.parse().unwrap(), Vec::new(), n, 1).sources;
        assert!(sources("127.0.0.1:1", PER_SOURCE).is_empty() && sources("10.0.0.1:1", 1_000_000).is_empty());
        let many = sources("127.0.0.1:1", 1_000_000);
        assert_eq!(
            (many.len(), many[0].to_string(), many[199].to_string()),
            (200, "127.1.0.1".into(), "127.1.0.200".into())
        );
    }

    #[test]
    fn a_late_turn_is_not_made_up_for_with_a_flood() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut opening = Opening::new(listener.local_addr().unwrap(), vec!["127.0.0.9".parse().unwrap()], 9, 1000);
        let at = |milliseconds| Moment::after(Duration::from_millis(milliseconds));
        opening.open(at(1)).unwrap();
        assert_eq!(opening.next(), at(2), "the time before the first one counts for nothing");
        opening.open(at(5)).unwrap();
        assert_eq!(opening.next(), at(3), "3 ms late: made up for");
        opening.open(at(5000)).unwrap();
        assert_eq!(opening.next(), at(5001), "five seconds late: not made up for");
        let (_, from) = listener.accept().unwrap();
        assert_eq!(from.ip().to_string(), "127.0.0.9");
    }

    #[test]
    fn an_address_that_is_not_ours_is_named() {
        let mut opening = Opening::new("127.0.0.1:9".parse().unwrap(), vec!["192.0.2.1".parse().unwrap()], 1, 1);
        let trouble = opening.open(Moment::default()).unwrap_err();
        assert!(trouble.kind == Kind::NoPort && trouble.words.contains("from 192.0.2.1"), "{trouble:?}");
    }
}

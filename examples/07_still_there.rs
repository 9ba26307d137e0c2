//! The course, 7 of 7: who is still there.
//!
//! Can: frees slots in one place, after all events; accepts after that, when there is room, and lets nobody go for a newcomer. A peer
//! that has been silent for 5 s is gone: the kernel's keepalive finds one that is idle, and a look at the last ACK one that owes an ACK.
//! Wrong: it looks at everybody once a second, and wakes for that. It takes a living peer for dead whose window stays shut. The
//! house, src/reactor/, does neither.
//!
//! ```text
//! cargo run --example 07_still_there 127.0.0.1:7107
//! ```

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{SockRef, TcpKeepalive};
use stillthere::tcp_info::TcpInfo;

const LISTENER: Token = Token(usize::MAX);
const IDLE: Duration = Duration::from_secs(2);
const INTERVAL: Duration = Duration::from_secs(1);
const COUNT: u32 = 3;
/// How long a silent peer is kept: IDLE + COUNT × INTERVAL.
const DEADLINE: Duration = Duration::from_secs(5);

struct Peer {
    stream: TcpStream,
    address: SocketAddr,
    /// What the peer is owed: no more than one read.
    outbox: Vec<u8>,
}

impl Peer {
    /// Writes what the peer is owed, reads more, and so on, as far as it goes. False if the peer has closed its end.
    fn drive(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 1024];
        loop {
            while !self.outbox.is_empty() {
                match self.stream.write(&self.outbox) {
                    Ok(count) => drop(self.outbox.drain(..count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true), // so it is not read
                    Err(error) => return Err(error),
                }
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false), // the peer's FIN: nothing more will come, and nothing is owed
                Ok(count) => self.outbox.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error), // ETIMEDOUT: keepalive has found it dead
            }
        }
    }

    /// Whether it owes an ACK, for which keepalive does not ask, and has been silent for too long.
    fn is_dead(&self) -> bool {
        TcpInfo::of(&self.stream).is_ok_and(|info| info.owes() && info.silent >= DEADLINE)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7107".to_string());
    let looks = env::args().nth(2).is_none_or(|word| word != "keepalive-only");
    let mut listener = TcpListener::bind(address.parse()?)?;
    let keepalive = TcpKeepalive::new().with_time(IDLE).with_interval(INTERVAL).with_retries(COUNT);
    SockRef::from(&listener).set_tcp_keepalive(&keepalive)?; // every socket that it accepts inherits this
    println!("listening on {}", listener.local_addr()?);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(128));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut peers, mut somebody_waits) = (Slab::<Peer>::new(), false);
    let (mut gone, mut looked) = (Vec::new(), Instant::now());
    loop {
        let timeout = (!peers.is_empty()).then_some(INTERVAL);
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue, // by a signal
            result => result?,
        }
        for event in &events {
            let slot = event.token().0;
            if event.token() == LISTENER {
                somebody_waits = true; // remembered until `accept` would block
            } else if let Some(peer) = peers.get_mut(slot) {
                let left = peer.drive();
                if !matches!(left, Ok(true)) {
                    gone.push((slot, left));
                }
            }
        }
        if looks && looked.elapsed() >= INTERVAL {
            looked = Instant::now();
            let dead = peers.iter().filter(|(_, peer)| peer.is_dead());
            gone.extend(dead.map(|(slot, _)| (slot, Err(ErrorKind::TimedOut.into()))));
        }
        for (slot, left) in gone.drain(..) {
            if let Some(peer) = peers.try_remove(slot) {
                println!("{} left: {left:?}", peer.address);
            }
        }
        while somebody_waits {
            match listener.accept() {
                Ok((mut stream, address)) => {
                    println!("{address} came");
                    let both = Interest::READABLE | Interest::WRITABLE;
                    let slot = peers.vacant_entry();
                    poll.registry().register(&mut stream, Token(slot.key()), both)?;
                    slot.insert(Peer { stream, address, outbox: Vec::new() });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => somebody_waits = false,
                Err(error) => {
                    println!("nobody can be accepted yet: {error}");
                    break;
                }
            }
        }
    }
}

//! The course, 6 of 7: a slab, and a bound for what is owed.
//!
//! Can: reads from a peer only while it owes it nothing, so an outbox never exceeds one read; finds a peer by its slot; never runs out
//! of descriptors, because whoever came first makes room for whoever comes last.
//! Wrong: it frees slots in the middle of a batch of events. A newcomer gets the slot of a peer that has just made room, and
//! an event that was meant for that peer throws the newcomer out. And a peer that is gone without saying so stays for ever.
//!
//! ```text
//! cargo run --example 06_a_slab 127.0.0.1:7106
//! ```

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);

struct Peer {
    stream: TcpStream,
    address: SocketAddr,
    /// What the peer is owed: no more than one read.
    outbox: Vec<u8>,
    /// How many had come before.
    number: usize,
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
                Err(error) => return Err(error),
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7106".to_string());
    // A process may usually have 1024 descriptors.
    let most = env::args().nth(2).map_or(Ok(1000), |most| most.parse())?;
    let mut listener = TcpListener::bind(address.parse()?)?;
    println!("listening on {}", listener.local_addr()?);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(128));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut peers, mut arrivals) = (Slab::new(), 0);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue, // by a signal
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                loop {
                    match listener.accept() {
                        Ok((mut stream, address)) => {
                            println!("{address} came");
                            if peers.len() == most {
                                let eldest = peers.iter().min_by_key(|(_, peer): &(_, &Peer)| peer.number);
                                let (eldest, peer) = eldest.expect("somebody is there");
                                println!("{} makes room", peer.address);
                                peers.remove(eldest);
                            }
                            arrivals += 1;
                            let both = Interest::READABLE | Interest::WRITABLE;
                            let slot = peers.vacant_entry();
                            poll.registry().register(&mut stream, Token(slot.key()), both)?;
                            slot.insert(Peer { stream, address, outbox: Vec::new(), number: arrivals });
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => {
                            println!("nobody can be accepted: {error}");
                            break;
                        }
                    }
                }
            } else if let Some(peer) = peers.get_mut(event.token().0) {
                // An error was announced: the connection is over, and reading would only confirm it.
                let left = if event.is_error() { Ok(false) } else { peer.drive() };
                if !matches!(left, Ok(true)) {
                    println!("{} left: {left:?}", peer.address);
                    peers.remove(event.token().0);
                }
            }
        }
    }
}

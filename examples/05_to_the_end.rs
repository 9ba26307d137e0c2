//! The course, 5 of 7: read to the end, and write later what is owed.
//!
//! Can: reads until it would block, which uses an edge up; keeps what a peer does not take yet, and writes it when there is room.
//! Wrong: what it keeps has no bound. A peer that sends and never reads eats the memory, and one that has closed its end is not given
//! the rest. And it trusts an edge of the listener too far: when no descriptor is free, `accept` fails, and what waits is not announced again.
//!
//! ```text
//! cargo run --example 05_to_the_end 127.0.0.1:7105
//! ```

use std::collections::HashMap;
use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);

struct Peer {
    stream: TcpStream,
    address: SocketAddr,
    /// What the peer is owed.
    outbox: Vec<u8>,
}

impl Peer {
    /// Reads to the end, and writes what the peer is owed, as far as it goes. False if the peer has closed its end.
    fn drive(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false), // the peer's FIN: nothing more will come
                Ok(count) => self.outbox.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break, // the next edge comes with the next byte
                Err(error) => return Err(error),
            }
        }
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(count) => drop(self.outbox.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break, // the next edge comes when there is room
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7105".to_string());
    let mut listener = TcpListener::bind(address.parse()?)?;
    println!("listening on {}", listener.local_addr()?);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(128));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut peers, mut arrivals) = (HashMap::new(), 0);
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
                            arrivals += 1;
                            let both = Interest::READABLE | Interest::WRITABLE;
                            poll.registry().register(&mut stream, Token(arrivals), both)?;
                            peers.insert(Token(arrivals), Peer { stream, address, outbox: Vec::new() });
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => {
                            println!("nobody can be accepted: {error}");
                            break;
                        }
                    }
                }
            } else if let Some(peer) = peers.get_mut(&event.token()) {
                let left = peer.drive();
                if !matches!(left, Ok(true)) {
                    println!("{} left: {left:?}", peer.address);
                    peers.remove(&event.token());
                }
            }
        }
    }
}

//! The course, 4 of 7: the kernel says who is ready.
//!
//! Can: sleeps until the kernel announces something; while nothing happens it does nothing, however many peers there are.
//! Wrong: it makes one call for each announcement. mio asks epoll for edges: a change is announced once. What one call has left in
//! the buffer is not announced again, so a peer that has sent more than 1024 bytes waits for the rest, and the server for the peer.
//!
//! ```text
//! cargo run --example 04_readiness 127.0.0.1:7104
//! ```

use std::collections::HashMap;
use std::env;
use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);

/// Sends back what has come, if anything has. False if the peer has closed its end.
fn serve(peer: &mut TcpStream) -> io::Result<bool> {
    let mut buffer = [0; 1024];
    match peer.read(&mut buffer) {
        Ok(0) => Ok(false), // the peer's FIN: nothing more will come
        Ok(count) => peer.write_all(&buffer[..count]).map(|()| true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true), // an announcement may be out of date
        Err(error) => Err(error),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7104".to_string());
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
                match listener.accept() {
                    Ok((mut peer, address)) => {
                        println!("{address} came");
                        arrivals += 1;
                        poll.registry().register(&mut peer, Token(arrivals), Interest::READABLE)?;
                        peers.insert(Token(arrivals), (peer, address));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => println!("nobody can be accepted: {error}"),
                }
            } else if let Some((peer, address)) = peers.get_mut(&event.token()) {
                let left = serve(peer);
                if !matches!(left, Ok(true)) {
                    println!("{address} left: {left:?}");
                    peers.remove(&event.token());
                }
            }
        }
    }
}

//! The course, 3 of 7: nothing blocks, and everybody is asked in turn.
//!
//! Can: serves any number of peers with one thread.
//! Wrong: it asks them all, all the time, whether they have said anything. It takes a whole processor for nothing, and the more
//! peers there are, the longer one of them waits for its turn. What a peer does not take at once is a reason to let it go.
//!
//! ```text
//! cargo run --example 03_asking_in_turn 127.0.0.1:7103
//! ```

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Sends back what has come, if anything has. False if the peer has closed its end.
fn serve(peer: &mut TcpStream) -> io::Result<bool> {
    let mut buffer = [0; 1024];
    match peer.read(&mut buffer) {
        Ok(0) => Ok(false), // the peer's FIN: nothing more will come
        Ok(count) => peer.write_all(&buffer[..count]).map(|()| true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true), // nothing has come; `read` does not wait
        Err(error) => Err(error),
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7103".to_string());
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    let mut peers = Vec::new();
    loop {
        match listener.accept() {
            Ok((peer, address)) => {
                peer.set_nonblocking(true)?;
                println!("{address} came");
                peers.push((peer, address));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {} // nobody has come; `accept` does not wait
            Err(error) => println!("nobody can be accepted: {error}"),
        }
        peers.retain_mut(|(peer, address)| match serve(peer) {
            Ok(true) => true,
            left => {
                println!("{address} left: {left:?}");
                false
            }
        });
    }
}

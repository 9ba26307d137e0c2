//! The course, 1 of 7: one peer at a time.
//!
//! Can: sends back whatever its peer sends, until the peer closes its end.
//! Wrong: while it waits for one peer it waits for no other one. The second peer is connected, as far as its own kernel can tell;
//! it sends, and is not answered before the first one has left.
//!
//! ```text
//! cargo run --example 01_one_at_a_time 127.0.0.1:7101
//! ```

use std::env;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Sends back what comes, until the peer has closed its end.
fn serve(peer: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let count = peer.read(&mut buffer)?; // waits until something comes
        if count == 0 {
            return Ok(()); // the peer's FIN: nothing more will come
        }
        peer.write_all(&buffer[..count])?; // waits until there is room for it
    }
}

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7101".to_string());
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (mut peer, address) = listener.accept()?; // waits until somebody comes
        println!("{address} came");
        println!("{address} left: {:?}", serve(&mut peer));
    }
}

//! The course, 2 of 7: a thread for each peer.
//!
//! Can: sends back whatever a peer sends, to any number of peers at a time.
//! Wrong: a thread is a high price for somebody who says nothing, and nobody can end one: it waits in `read`, where no other
//! thread reaches it. A peer whose cable was pulled keeps its thread for ever.
//!
//! ```text
//! cargo run --example 02_a_thread_each 127.0.0.1:7102
//! ```

use std::env;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

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
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7102".to_string());
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (mut peer, address) = listener.accept()?; // waits until somebody comes
        println!("{address} came");
        thread::spawn(move || println!("{address} left: {:?}", serve(&mut peer)));
    }
}

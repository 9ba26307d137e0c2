//! The server of the textbooks: `stillthere lab textbook`. A thread for each peer, keepalive on its socket, and nothing
//! else: the simplest form of what most programs do about dead peers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use socket2::{Domain, SockRef, Socket, Type};

use crate::keepalive::Keepalive;

/// Echoes for ever.
///
/// # Errors
/// It cannot listen.
pub fn run(address: SocketAddr, keepalive: &Keepalive) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    keepalive.clone().apply(&SockRef::from(&socket))?;
    socket.listen(128)?;
    for peer in TcpListener::from(socket).incoming().map_while(Result::ok) {
        thread::spawn(move || echo(peer));
    }
    Ok(())
}

fn echo(mut peer: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = peer.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        peer.write_all(&buffer[..count])?;
    }
}

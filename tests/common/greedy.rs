//! Peers that send and never read: each fills what the two kernels hold for it, and then its outbox.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// How long none of them may get anything off before it is taken that none ever will.
const STUCK: Duration = Duration::from_millis(1500);

/// See the head of this file.
pub struct Greedy {
    peers: Vec<TcpStream>,
}

impl Greedy {
    /// So many of them connect, as fast as they are taken. A window that is small from the start keeps the
    /// kernels from holding much.
    pub fn connect(server: SocketAddr, count: usize) -> Self {
        Self { peers: (0..count).map_while(|_| Self::one(server).ok()).collect() }
    }

    fn one(server: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        socket.set_recv_buffer_size(4 * 1024)?;
        // The server's kernel lets its send buffer grow with the size of a segment: 2.5 MB on loopback.
        socket.set_tcp_mss(1000)?;
        socket.connect_timeout(&server.into(), PATIENCE)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    }

    pub fn count(&self) -> usize {
        self.peers.len()
    }

    /// All of them send until none gets anything off any more, or has had `most` bytes taken. Those that the
    /// server lets go are dropped, and counted.
    pub fn pour(&mut self, most: usize) -> usize {
        let before = self.peers.len();
        let chunk = [b'x'; 64 * 1024];
        let mut sent = vec![0; before];
        let mut moved = Instant::now();
        while moved.elapsed() < STUCK && !self.peers.is_empty() {
            let mut any = false;
            let mut nth = 0;
            while nth < self.peers.len() {
                let left = most.saturating_sub(sent[nth]).min(chunk.len());
                match self.peers[nth].write(&chunk[..left]) {
                    Ok(count) => {
                        (sent[nth], any) = (sent[nth] + count, any || count > 0);
                        nth += 1;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => nth += 1,
                    Err(_) => {
                        self.peers.swap_remove(nth);
                        sent.swap_remove(nth);
                        any = true;
                    }
                }
            }
            if any {
                moved = Instant::now();
            } else {
                sleep(Duration::from_millis(20));
            }
        }
        before - self.peers.len()
    }
}

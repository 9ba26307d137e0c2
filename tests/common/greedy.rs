//! Peers that send and never read: each fills the buffers of both kernels, and then its outbox in the server.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// If no peer could send anything for this long, it is assumed that none will be able to again.
const STUCK: Duration = Duration::from_millis(1500);

/// Peers that send and never read.
pub struct Greedy {
    peers: Vec<TcpStream>,
}

impl Greedy {
    /// Connects up to `count` peers, as fast as the server accepts. Their window is small from the start, so that the
    /// kernels do not buffer much.
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

    /// All peers send until none can send any more, each at most `most` bytes. Peers that the server lets go are
    /// removed. Returns how many those are.
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

//! The peers of a server in which a fault occurs: what they send must come back, in order.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{SockRef, Socket};

use crate::common::{PATIENCE, again};

/// The arguments of every server here: two ports, so that one of them can have no peer.
pub const PORTS: &[&str] = &["127.0.0.1:0", "127.0.0.1:0"];
/// So many peers nearly fill the table: with a few more it grows so much that glibc uses mmap(2) for it.
pub const CROWD: usize = 2040;
/// So many peers within a second make the listener's settings change (`reactor/arriving/spread.rs`) at least once.
pub const RUSH: usize = 600;
/// How long the echo of a byte may take before another byte is sent.
const NUDGE: Duration = Duration::from_millis(150);
/// For how long further bytes are sent before a peer is given up.
const RECOVERY: Duration = Duration::from_secs(8);

pub struct Peer {
    pub stream: TcpStream,
    /// How many bytes were sent, and how many came back.
    sent: usize,
    returned: usize,
}

impl Peer {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the backlog has room");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("a socket has this option");
        Self { stream, sent: 0, returned: 0 }
    }

    /// The byte that is sent at this position: a pattern that does not repeat at a power of two.
    fn byte(place: usize) -> u8 {
        (place % 251) as u8
    }

    fn send(&mut self, count: usize) -> std::io::Result<usize> {
        let bytes: Vec<_> = (self.sent..self.sent + count).map(Self::byte).collect();
        let sent = again::write(&self.stream, &bytes)?;
        self.sent += sent;
        Ok(sent)
    }

    pub fn send_one(&mut self) {
        // If the peer was let go, reading will show it.
        let _ = self.send(1);
    }

    /// One byte to the server and back, with no second try.
    pub fn echo(&mut self) {
        self.send_one();
        self.drink();
    }

    /// Sends until nothing more is accepted, and reads nothing, so that the server's output must wait.
    pub fn pour(&mut self) {
        let socket = SockRef::from(&self.stream);
        socket.set_recv_buffer_size(64 * 1024).expect("a socket has this option");
        self.stream.set_write_timeout(Some(NUDGE)).expect("a timeout can be set");
        while self.send(64 * 1024).is_ok() {}
    }

    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Reads a little, so that the server can write again.
    pub fn sip(&mut self) {
        let _ = self.take(NUDGE);
    }

    /// Reads until everything has come back.
    pub fn drink(&mut self) {
        let why = match self.take(PATIENCE) {
            Ok(true) => return,
            Ok(false) => "it is not served".to_string(),
            Err(ended) => ended,
        };
        panic!("{why}: {} of {} bytes came back", self.returned, self.sent);
    }

    /// Whether the peer is still served. After an injected "would block", which is not true, no edge follows, so
    /// the peer sends another byte now and then. Panics if the peer is neither served nor let go.
    pub fn is_served(&mut self) -> bool {
        let until = Instant::now() + RECOVERY;
        while Instant::now() < until {
            match self.take(NUDGE) {
                Ok(true) => return true,
                Ok(false) => self.send_one(),
                Err(_) => return false,
            }
        }
        panic!("a peer is neither served nor let go: {} of {} bytes came back", self.returned, self.sent);
    }

    /// Reads back what was sent, within this time. Ok(false): not everything came, and the connection still exists.
    fn take(&mut self, patience: Duration) -> Result<bool, String> {
        self.stream.set_read_timeout(Some(patience)).expect("a timeout can be set");
        let mut buffer = vec![0; 64 * 1024];
        while self.returned < self.sent {
            match again::read(&self.stream, &mut buffer) {
                Ok(0) => return Err("the server closed".to_string()),
                Ok(count) => {
                    for byte in &buffer[..count] {
                        assert_eq!(*byte, Self::byte(self.returned), "at byte {} of {}", self.returned, self.sent);
                        self.returned += 1;
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(false),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(true)
    }

    /// Closes the connection with a RST.
    pub fn reset(self) {
        let socket = Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket has this option");
    }

    /// Whether the server ends the connection, with FIN or RST.
    pub fn is_let_go(&mut self) -> bool {
        self.stream.set_read_timeout(Some(RECOVERY)).expect("a timeout can be set");
        match again::read(&self.stream, &mut [0; 64]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

//! The peers: 19 000 connections of this process, which send what their way requires.
//!
//! Of those that should answer pings, one in a hundred never does: they show how late the server
//! lets go of a peer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use stillthere::lab::stage::namespaces::Namespace;

/// What the peers send.
#[derive(Clone, Copy, PartialEq)]
pub enum Speaks {
    Nothing,
    /// They answer pings.
    Pong,
    /// Each sends a byte at this interval.
    Byte {
        every: Duration,
    },
}

/// The server's `--heartbeat-timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);

pub struct Crowd {
    poll: Poll,
    peers: Vec<TcpStream>,
    speaks: Speaks,
    began: Instant,
    /// How many bytes the peers have sent, one after the other.
    said: usize,
    /// When each of the peers that never answer was asked.
    asked: Vec<Option<Instant>>,
    /// The server's memory when it had no peer, in bytes.
    pub memory_before: u64,
    /// How long after the time-out these were let go.
    pub late: Vec<Duration>,
}

impl Crowd {
    /// Connects them at even intervals, over `time`.
    pub fn connect(
        namespace: &Namespace,
        server: SocketAddr,
        count: usize,
        speaks: Speaks,
        time: Duration,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let began = Instant::now();
        let peers = namespace.within(|| {
            let mut peers = Vec::with_capacity(count);
            for number in 0..count {
                let due = time.mul_f64(number as f64 / count as f64);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
                let stream = std::net::TcpStream::connect(server)?;
                stream.set_nonblocking(true)?;
                let mut stream = TcpStream::from_std(stream);
                poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
                peers.push(stream);
            }
            Ok(peers)
        })?;
        let asked = vec![None; count];
        Ok(Self { poll, peers, speaks, began, said: 0, asked, memory_before: 0, late: Vec::new() })
    }

    /// Lets the peers send and answer for this long.
    pub fn live_for(&mut self, time: Duration) -> io::Result<()> {
        let until = Instant::now() + time;
        let mut events = Events::with_capacity(1024);
        while Instant::now() < until {
            match self.poll.poll(&mut events, Some(Duration::from_millis(2))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => events.clear(),
                result => result?,
            }
            for event in &events {
                self.hear(event.token().0);
            }
            if let Speaks::Byte { every } = self.speaks {
                let due = self.began.elapsed().as_secs_f64() / every.as_secs_f64() * self.peers.len() as f64;
                while (self.said as f64) < due {
                    let number = self.said % self.peers.len();
                    let _ = self.peers[number].write(b".");
                    self.said += 1;
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, number: usize) {
        let mut heard = [0; 64];
        loop {
            match self.peers[number].read(&mut heard) {
                Ok(0) => {
                    if let Some(asked) = self.asked[number].take() {
                        self.late.push(asked.elapsed().saturating_sub(TIMEOUT));
                    }
                    return;
                }
                Ok(_) if number % 100 == 0 => self.asked[number] = Some(Instant::now()),
                Ok(count) => {
                    let ping = String::from_utf8_lossy(&heard[..count]);
                    let _ = self.peers[number].write(ping.replace("PING", "PONG").as_bytes());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // WouldBlock, or the peer was let go with an error, which is in the server's figures.
                Err(_) => return,
            }
        }
    }
}

//! A crowd of peers of an echo server, who send without a pause and check each byte that comes back.
//!
//! Owns what must hold for each of them whatever the server does meanwhile: its stream comes back whole, in order and once, and it is
//! never closed from the other end. Knows nothing of upgrades. The byte at each place of a peer's stream follows from the peer and the
//! place, so one that is lost, or comes twice, is found with the next one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::common::PATIENCE;

/// What a peer does all day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Asks, waits for the whole answer, and pauses for up to this long.
    Asker(Duration),
    /// Sends without waiting.
    Stream,
    /// Sends as much as is taken, and reads slowly: its echo waits in the server, and its input is not read there.
    SlowReader,
    /// Sends much, closes its half, and reads the echo slowly to its end; then it comes anew.
    HalfClosed,
    /// Comes, asks once, and goes, again and again.
    Newcomer,
}

impl Kind {
    /// It has one connection, from the beginning to the end.
    pub fn stays(self) -> bool {
        matches!(self, Self::Asker(_) | Self::Stream | Self::SlowReader)
    }
}

/// What became of the crowd.
#[derive(Debug, Default)]
pub struct Report {
    pub exchanges: u64,
    pub bytes: u64,
    /// How often a half-closed peer was served to its end.
    pub ended: u64,
    /// The longest time from a question to its answer, and when it was asked.
    pub worst: Duration,
    pub asked: Option<Instant>,
    /// What was wrong, in words. It must be empty.
    pub troubles: Vec<String>,
}

impl Report {
    /// Nobody has lost anything, and everybody was served.
    pub fn check(&self) {
        println!("{self:?}");
        assert!(self.troubles.is_empty(), "{:#?}", self.troubles);
        assert!(self.exchanges > 0 && self.bytes > 0, "nobody was served: {self:?}");
    }
}

/// A running crowd. It ends with the test.
pub struct Crowd {
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<Report>>,
    /// The addresses of those who stay.
    staying: Arc<Mutex<Vec<SocketAddr>>>,
    worst: Arc<AtomicU64>,
}

impl Crowd {
    /// Connects them all; those who stay have had an answer when this returns.
    pub fn start(to: SocketAddr, kinds: &[(Kind, usize)]) -> Self {
        let (stops, staying, worst) = (Arc::new(AtomicBool::new(false)), Arc::default(), Arc::default());
        let kinds: Vec<Kind> = kinds.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count)).collect();
        let stay = kinds.iter().filter(|kind| kind.stays()).count();
        let thread = {
            let (stops, staying, worst) = (Arc::clone(&stops), Arc::clone(&staying), Arc::clone(&worst));
            thread::spawn(move || Loop::new(to, &kinds, staying, worst).run(&stops))
        };
        let crowd = Self { stops, thread: Some(thread), staying, worst };
        let until = Instant::now() + 2 * PATIENCE;
        while crowd.staying.lock().unwrap().len() < stay {
            let is_over = crowd.thread.as_ref().is_none_or(JoinHandle::is_finished);
            if is_over || Instant::now() > until {
                let connected = crowd.staying.lock().unwrap().len();
                panic!("{connected} of {stay} peers are connected: {:?}", crowd.end());
            }
            thread::sleep(Duration::from_millis(10));
        }
        crowd
    }

    /// The addresses of those who stay.
    pub fn staying(&self) -> Vec<SocketAddr> {
        self.staying.lock().unwrap().clone()
    }

    /// The longest time from a question to its answer since this was last asked.
    #[allow(dead_code)] // the benchmark asks
    pub fn worst(&self) -> Duration {
        Duration::from_nanos(self.worst.swap(0, Ordering::Relaxed))
    }

    /// Everybody gets what is still owed, and goes.
    pub fn end(mut self) -> Report {
        self.stops.store(true, Ordering::Relaxed);
        self.thread.take().expect("it ends once").join().expect("the crowd does not panic")
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
    }
}

struct Peer {
    kind: Kind,
    stream: TcpStream,
    seed: u32,
    sent: u64,
    received: u64,
    /// How much is sent before it waits, or closes its half.
    until: u64,
    asked: Option<Instant>,
    has_shut: bool,
    is_known: bool,
}

/// What comes next for a peer.
enum Next {
    /// Something happens on its socket.
    Event,
    /// This moment.
    At(Instant),
    /// A connection of its own anew.
    Anew(Instant),
    /// Nothing: it has gone.
    Over,
}

struct Loop {
    to: SocketAddr,
    poll: Poll,
    peers: Vec<Option<Peer>>,
    kinds: Vec<Kind>,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    report: Report,
    random: u64,
    staying: Arc<Mutex<Vec<SocketAddr>>>,
    worst: Arc<AtomicU64>,
    scratch: Vec<u8>,
}

fn byte(seed: u32, place: u64) -> u8 {
    let mixed = (place as u32 ^ seed).wrapping_mul(0x9e37_79b1);
    (mixed >> 24) as u8 ^ (place >> 32) as u8
}

impl Loop {
    fn new(to: SocketAddr, kinds: &[Kind], staying: Arc<Mutex<Vec<SocketAddr>>>, worst: Arc<AtomicU64>) -> Self {
        let seed = u64::from(std::process::id());
        Self {
            to,
            poll: Poll::new().expect("an epoll instance"),
            peers: kinds.iter().map(|_| None).collect(),
            kinds: kinds.to_vec(),
            due: BinaryHeap::new(),
            report: Report::default(),
            random: 0x9e37_79b9_7f4a_7c15 ^ seed,
            staying,
            worst,
            scratch: vec![0; 64 * 1024],
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below.max(1)
    }

    fn run(mut self, stops: &AtomicBool) -> Report {
        let start = Instant::now();
        // Not all at once: a backlog has a bound.
        for nth in 0..self.kinds.len() {
            self.due.push(Reverse((start + Duration::from_micros(100) * nth as u32, nth)));
        }
        let mut events = Events::with_capacity(1024);
        let mut stopping = None;
        loop {
            let now = Instant::now();
            if stopping.is_none() && stops.load(Ordering::Relaxed) {
                stopping = Some(now);
                (0..self.kinds.len()).for_each(|nth| self.drive(nth, true));
            }
            if let Some(since) = stopping {
                let left = self.peers.iter().flatten().count();
                if left == 0 || since.elapsed() > PATIENCE {
                    if left > 0 {
                        self.trouble(format!("{left} peers have not got all that they are owed"));
                    }
                    return self.report;
                }
            }
            while let Some(Reverse((at, nth))) = self.due.peek().copied() {
                if at > now {
                    break;
                }
                self.due.pop();
                self.drive(nth, stopping.is_some());
            }
            let next = self.due.peek().map(|Reverse((at, _))| at.saturating_duration_since(now));
            let timeout = next.unwrap_or(Duration::MAX).min(Duration::from_millis(20));
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => panic!("poll: {error}"),
                _ => {}
            }
            for event in &events {
                let nth = event.token().0;
                let reads_at_its_time = matches!(self.kinds[nth], Kind::SlowReader | Kind::HalfClosed | Kind::Stream);
                if !reads_at_its_time || stopping.is_some() {
                    self.drive(nth, stopping.is_some());
                }
            }
        }
    }

    fn drive(&mut self, nth: usize, stopping: bool) {
        let peer = match self.peers[nth].take() {
            Some(peer) => Ok(peer),
            None if stopping => return,
            None => self.connect(nth),
        };
        let driven = peer.and_then(|mut peer| Ok((self.step(&mut peer, stopping)?, peer)));
        match driven {
            Ok((Next::Over, _)) => {}
            Ok((Next::Anew(at), _)) => self.due.push(Reverse((at, nth))),
            Ok((Next::Event, peer)) => self.peers[nth] = Some(peer),
            Ok((Next::At(at), peer)) => {
                self.peers[nth] = Some(peer);
                self.due.push(Reverse((at, nth)));
            }
            Err(trouble) => self.trouble(format!("{:?}, the {nth}th: {trouble}", self.kinds[nth])),
        }
    }

    fn trouble(&mut self, trouble: String) {
        if self.report.troubles.len() < 20 {
            self.report.troubles.push(trouble);
        }
    }

    fn connect(&mut self, nth: usize) -> Result<Peer, String> {
        let kind = self.kinds[nth];
        let said = |error: std::io::Error| format!("connect: {error}");
        let socket = Socket::new(Domain::for_address(self.to), Type::STREAM.nonblocking(), None).map_err(said)?;
        if matches!(kind, Kind::SlowReader | Kind::HalfClosed) {
            socket.set_recv_buffer_size(4096).map_err(said)?;
            socket.set_send_buffer_size(32 * 1024).map_err(said)?;
        }
        match socket.connect(&self.to.into()) {
            Err(error) if error.raw_os_error() != Some(115) => return Err(said(error)), // EINPROGRESS
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(nth), interest).map_err(said)?;
        let seed = self.random(u64::from(u32::MAX)) as u32;
        let (sent, received, until) = (0, 0, 0);
        Ok(Peer { kind, stream, seed, sent, received, until, asked: None, has_shut: false, is_known: false })
    }

    fn step(&mut self, peer: &mut Peer, stopping: bool) -> Result<Next, String> {
        let next = match peer.kind {
            Kind::Asker(pause) => self.ask(peer, pause, stopping),
            Kind::Newcomer => self.come_and_go(peer, stopping),
            Kind::Stream => self.stream(peer, stopping),
            Kind::SlowReader => self.read_slowly(peer, stopping),
            Kind::HalfClosed => self.half_close(peer),
        }?;
        if !peer.is_known && peer.kind.stays() && peer.received > 0 {
            peer.is_known = true;
            let address = peer.stream.local_addr().map_err(|error| format!("getsockname: {error}"))?;
            self.staying.lock().unwrap().push(address);
        }
        Ok(next)
    }

    fn ask(&mut self, peer: &mut Peer, pause: Duration, stopping: bool) -> Result<Next, String> {
        if peer.asked.is_none() {
            if stopping {
                return Ok(Next::Over);
            }
            peer.until = peer.sent + 1 + self.random(if self.random % 50 == 0 { 100_000 } else { 800 });
            peer.asked = Some(Instant::now());
        }
        self.write(peer, peer.until)?;
        self.read(peer, usize::MAX)?;
        if peer.received < peer.until {
            return Ok(Next::Event);
        }
        self.answered(peer, stopping);
        let pause = Duration::from_micros(self.random(pause.as_micros() as u64));
        Ok(if stopping { Next::Over } else { Next::At(Instant::now() + pause) })
    }

    fn answered(&mut self, peer: &mut Peer, stopping: bool) {
        let Some(asked) = peer.asked.take() else { return };
        let took = asked.elapsed();
        self.report.exchanges += 1;
        // At the end all slow readers want everything at once.
        if stopping {
            return;
        }
        self.worst.fetch_max(took.as_nanos() as u64, Ordering::Relaxed);
        if took > self.report.worst {
            (self.report.worst, self.report.asked) = (took, Some(asked));
        }
    }

    fn come_and_go(&mut self, peer: &mut Peer, stopping: bool) -> Result<Next, String> {
        peer.asked.get_or_insert_with(Instant::now);
        peer.until = 100;
        self.write(peer, peer.until)?;
        self.read(peer, usize::MAX)?;
        if peer.received < peer.until {
            return Ok(Next::Event);
        }
        self.answered(peer, stopping);
        let pause = Duration::from_micros(self.random(20_000));
        Ok(if stopping { Next::Over } else { Next::Anew(Instant::now() + pause) })
    }

    fn stream(&mut self, peer: &mut Peer, stopping: bool) -> Result<Next, String> {
        if !stopping {
            let some = (peer.sent + 8 * 1024).min(peer.received + 64 * 1024);
            self.write(peer, some)?;
        }
        self.read(peer, usize::MAX)?;
        if stopping && peer.received == peer.sent {
            return Ok(Next::Over);
        }
        Ok(if stopping { Next::Event } else { Next::At(Instant::now() + Duration::from_millis(3)) })
    }

    fn read_slowly(&mut self, peer: &mut Peer, stopping: bool) -> Result<Next, String> {
        if stopping {
            self.read(peer, usize::MAX)?;
            return Ok(if peer.received == peer.sent { Next::Over } else { Next::Event });
        }
        self.write(peer, peer.received + (4 << 20))?;
        self.read(peer, 1500)?;
        Ok(Next::At(Instant::now() + Duration::from_millis(15)))
    }

    fn half_close(&mut self, peer: &mut Peer) -> Result<Next, String> {
        const LENGTH: u64 = 200_000;
        if !peer.has_shut {
            self.write(peer, LENGTH)?;
            if peer.sent == LENGTH {
                peer.stream.shutdown(Shutdown::Write).map_err(|error| format!("shutdown: {error}"))?;
                peer.has_shut = true;
            }
        }
        if self.read(peer, 8 * 1024)? {
            if peer.received < LENGTH {
                return Err(format!("the end comes after {} of {LENGTH} bytes", peer.received));
            }
            self.report.ended += 1;
            return Ok(Next::Anew(Instant::now()));
        }
        Ok(Next::At(Instant::now() + Duration::from_millis(15)))
    }

    /// Sends up to this place of the stream.
    fn write(&mut self, peer: &mut Peer, until: u64) -> Result<(), String> {
        while peer.sent < until {
            let count = (until - peer.sent).min(16 * 1024) as usize;
            for (nth, place) in self.scratch[..count].iter_mut().enumerate() {
                *place = byte(peer.seed, peer.sent + nth as u64);
            }
            match peer.stream.write(&self.scratch[..count]) {
                Ok(count) => peer.sent += count as u64,
                // Not connected yet is told by ENOTCONN, or EAGAIN.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("write after {} bytes: {error}", peer.sent)),
            }
        }
        Ok(())
    }

    /// Reads and checks so many bytes at most; true at the end of the stream, which is expected of a half-closed peer only.
    fn read(&mut self, peer: &mut Peer, most: usize) -> Result<bool, String> {
        let mut left = most;
        while left > 0 {
            let piece = left.min(self.scratch.len());
            match peer.stream.read(&mut self.scratch[..piece]) {
                Ok(0) if peer.has_shut => return Ok(true),
                Ok(0) => return Err(format!("closed by the server after {} bytes", peer.received)),
                Ok(count) => {
                    for (nth, came) in self.scratch[..count].iter().enumerate() {
                        let place = peer.received + nth as u64;
                        if place >= peer.sent || *came != byte(peer.seed, place) {
                            return Err(format!("the byte at {place} of {} is not the one that was sent", peer.sent));
                        }
                    }
                    peer.received += count as u64;
                    self.report.bytes += count as u64;
                    left -= count;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("read after {} bytes: {error}", peer.received)),
            }
        }
        Ok(false)
    }
}

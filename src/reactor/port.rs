//! A port: a listener, its peers, and the service that they talk to.
//!
//! Owns the table of connections and the three queues through which they move: those that can make
//! progress, those that linger, those that have ended. A slot comes free in `reap` and nowhere else.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use log::{debug, info, log_enabled, trace, warn};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry};
use slab::Slab;

use crate::reactor::acceptor::{Accepted, Acceptor};
use crate::reactor::connection::{Connection, Flow};
use crate::reactor::departure::Departure;
use crate::reactor::listen::Listen;
use crate::reactor::readiness::Readiness;
use crate::reactor::service::Service;
use crate::reactor::source::{Capacity, Names, Source, Turn};
use crate::reactor::tally::{Summary, Tally};
use crate::reactor::timers::{Moment, Timer, Timers};

/// How many peers are accepted in a turn.
const ACCEPT_BUDGET: usize = 64;
/// How many sockets are closed in a turn: closing is the dearest thing that a turn does.
const REAP_BUDGET: usize = 16;
/// How often a lingering connection is asked whether its peer has everything.
const LINGER_CHECK: Duration = Duration::from_millis(50);
/// How long a connection waits that the kernel had no memory for.
const STARVED_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection lingers at most that its service closed.
const LINGER: Duration = Duration::from_secs(10);
/// An empty table of more slots than this is given back to the system.
const KEPT_SLOTS: usize = 1024;

type Peers<T> = Slab<Connection<TcpStream, T>>;

/// See the head of this file.
pub struct Port<V: Service> {
    service: V,
    acceptor: Acceptor,
    names: Names,
    peers: Peers<V::State>,
    /// Keys of the peers that may make progress, each once.
    runnable: Vec<u32>,
    /// The run queue of the turn before, kept for its memory.
    running: Vec<u32>,
    lingering: Timers,
    starved: Timers,
    /// What has ended, and why; each once.
    ended: VecDeque<(u32, Departure)>,
    /// The port is stopping, and by when.
    stop_by: Option<Moment>,
    tally: Tally,
    summary: Summary,
}

impl<V: Service> Port<V> {
    /// The key of the listener; peers have those of their slots.
    const LISTENER: usize = Names::MAX_KEY;

    /// Opens the listener and joins the loop under `names`.
    ///
    /// # Errors
    /// The listener cannot be made or registered.
    pub fn open(listen: Listen, service: V, registry: &Registry, names: Names) -> io::Result<Self> {
        Ok(Self {
            service,
            acceptor: Acceptor::open(listen, registry, names.token(Self::LISTENER))?,
            names,
            peers: Slab::new(),
            runnable: Vec::new(),
            running: Vec::new(),
            lingering: Timers::new(LINGER_CHECK),
            starved: Timers::new(STARVED_PAUSE),
            ended: VecDeque::new(),
            stop_by: None,
            tally: Tally::default(),
            summary: Summary::default(),
        })
    }

    /// Where it listens: with the port that the kernel chose, if it was asked to.
    ///
    /// # Errors
    /// The port has stopped.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.acceptor.local_addr()
    }

    /// A table that cannot grow ends the program, and so would cut off every peer. What it is going to
    /// ask for is asked for here first, in a way that can be refused, and given back.
    fn has_memory_for_one_more(&self) -> bool {
        let slots = self.peers.capacity();
        if self.peers.len() < slots {
            return true;
        }
        let mut larger = Vec::<(usize, Connection<TcpStream, V::State>)>::new();
        let granted = larger.try_reserve_exact(slots.max(2) * 2).is_ok();
        // The compiler may leave out memory that nobody looks at.
        std::hint::black_box(&larger);
        granted
    }

    fn arrive(&mut self, stream: TcpStream, address: SocketAddr, turn: &mut Turn<'_>) {
        let entry = self.peers.vacant_entry();
        let key = entry.key();
        debug!("{address} arrived");
        let connection = entry.insert(Connection::welcome(stream, address, turn.now, &mut self.service));
        let interest = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
        let registered = turn.registry.register(connection.stream_mut(), self.names.token(key), interest);
        self.tally.accepted += 1;
        turn.capacity.arrive();
        if let Err(error) = registered {
            warn!("{address} cannot be registered with epoll and is let go: {error}");
            self.acceptor.pause(turn.now, turn.capacity, &error);
            connection.refuse(Departure::of(&error, || None));
            connection.enqueue();
            self.runnable.push(key as u32);
        }
    }

    /// Asks a lingering connection whether its peer has everything; if not, it is asked again.
    fn ask_lingerer(&mut self, timer: Timer, now: Moment) {
        let Some(connection) = self.peers.get_mut(timer.key as usize) else { return };
        if connection.arrival() != timer.arrival || !connection.lingers() {
            return;
        }
        let too_long = self.stop_by.is_none() && now.since(timer.since) >= LINGER;
        if connection.has_delivered() || too_long {
            connection.cut();
            if connection.enqueue() {
                self.runnable.push(timer.key);
            }
        } else {
            self.lingering.rearm(now, timer);
        }
    }

    /// The grace time is over: whoever is left goes now.
    fn cut_all(&mut self) {
        let mut lost = 0;
        for (key, connection) in &mut self.peers {
            lost += u64::from(connection.cut());
            if connection.enqueue() {
                self.runnable.push(key as u32);
            }
        }
        if lost > 0 {
            warn!("the grace time is over: {lost} peers have not acknowledged all of their output");
        }
    }

    fn tell(&mut self, connection: Connection<TcpStream, V::State>, departure: Departure, turn: &Turn<'_>) {
        let info = if log_enabled!(log::Level::Debug) { connection.info() } else { None };
        let farewell = connection.farewell(departure, turn.now, info);
        debug!("{farewell}");
        self.tally.departures.count(departure);
        if log_enabled!(log::Level::Info) {
            self.summary.count(departure);
        }
        self.service.departed(connection.into_state(), &farewell);
    }

    fn summarize(&mut self, now: Moment) {
        if let Some(departures) = self.summary.due(now, !self.ended.is_empty()) {
            info!("{departures}; {} connected", self.peers.len());
        }
    }
}

impl<V: Service> Source for Port<V> {
    fn latch(&mut self, key: usize, event: &Event) {
        if key == Self::LISTENER {
            self.acceptor.latch();
        } else if let Some(connection) = self.peers.get_mut(key)
            && connection.latch(Readiness::of(event))
        {
            self.runnable.push(key as u32);
        }
    }

    fn drive(&mut self, turn: &mut Turn<'_>) {
        std::mem::swap(&mut self.runnable, &mut self.running);
        for key in self.running.drain(..) {
            let Some(connection) = self.peers.get_mut(key as usize) else { continue };
            let lingered = connection.lingers();
            match connection.drive(&mut self.service, turn.scratch) {
                Ok(Flow::Blocked) => {}
                Ok(Flow::Yield) => self.runnable.push(key),
                Ok(Flow::Starved) => self.starved.arm(turn.now, key, connection.arrival()),
                Err(departure) => self.ended.push_back((key, departure)),
            }
            if connection.lingers() && !lingered {
                self.lingering.arm(turn.now, key, connection.arrival());
            }
        }
    }

    fn accept(&mut self, turn: &mut Turn<'_>) {
        for _ in 0..ACCEPT_BUDGET {
            if self.acceptor.is_ready(turn.capacity) && !self.has_memory_for_one_more() {
                self.acceptor.pause(turn.now, turn.capacity, &io::ErrorKind::OutOfMemory.into());
                return;
            }
            match self.acceptor.accept(turn.now, turn.capacity) {
                Accepted::Peer(stream, address) => self.arrive(stream, address, turn),
                Accepted::Lost => self.tally.lost += 1,
                Accepted::Nobody => return,
            }
        }
    }

    fn expire(&mut self, turn: &mut Turn<'_>) {
        self.acceptor.expire(turn.now);
        while let Some(timer) = self.lingering.expired(turn.now) {
            self.ask_lingerer(timer, turn.now);
        }
        while let Some(timer) = self.starved.expired(turn.now) {
            let owner = self.peers.get_mut(timer.key as usize).filter(|owner| owner.arrival() == timer.arrival);
            if owner.is_some_and(Connection::enqueue) {
                self.runnable.push(timer.key);
            }
        }
        if self.stop_by.is_some_and(|by| by <= turn.now) {
            self.stop_by = None;
            self.cut_all();
        }
    }

    fn reap(&mut self, turn: &mut Turn<'_>) {
        let budget = if turn.crowded { 1 } else { REAP_BUDGET };
        for _ in 0..budget {
            let Some((key, departure)) = self.ended.pop_front() else { break };
            let connection = self.peers.remove(key as usize);
            trace!("slot {key} is reaped");
            self.tell(connection, departure, turn);
            turn.capacity.depart();
        }
        if self.peers.is_empty() && self.peers.capacity() > KEPT_SLOTS {
            self.peers = Slab::new();
            self.ended.shrink_to_fit();
            self.running.shrink_to_fit();
            self.runnable.shrink_to_fit();
        }
        self.summarize(turn.now);
    }

    fn is_runnable(&self, capacity: &Capacity) -> bool {
        !self.runnable.is_empty() || !self.ended.is_empty() || self.acceptor.is_ready(capacity)
    }

    fn deadline(&self) -> Option<Moment> {
        [self.acceptor.deadline(), self.lingering.next(), self.starved.next(), self.stop_by, self.summary.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn stop(&mut self, by: Moment) {
        self.acceptor.close();
        self.stop_by = Some(by);
        for (key, connection) in &mut self.peers {
            connection.close();
            if connection.enqueue() {
                self.runnable.push(key as u32);
            }
        }
    }

    fn is_busy(&self) -> bool {
        !self.peers.is_empty()
    }

    fn count(&self, total: &mut Tally) {
        *total += Tally { connected: self.peers.len(), ..self.tally };
    }
}

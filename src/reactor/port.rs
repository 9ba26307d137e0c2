//! A port: a listener, its peers, and the service that they talk to.
//!
//! Owns the table of connections and the queues through which they move: those that can make progress,
//! those that may have ended, those that linger, those that have ended. A slot comes free in `reap` and
//! nowhere else.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use log::{LevelFilter, debug, info, log_enabled, trace, warn};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry};
use slab::Slab;

use crate::keepalive::Keepalive;
use crate::keepalive::owing::{Asking, FIRST_LOOK, Owing};
use crate::reactor::acceptor::Acceptor;
use crate::reactor::agenda::Agenda;
use crate::reactor::connection::{Connection, Flow};
use crate::reactor::departure::Departure;
use crate::reactor::host::Hosted;
use crate::reactor::limits::Limits;
use crate::reactor::listen::{Listen, Listening};
use crate::reactor::memory::{Relief, Sizes};
use crate::reactor::orders::Order;
use crate::reactor::peer_id::PeerId;
use crate::reactor::queue::Queue;
use crate::reactor::readiness::Readiness;
use crate::reactor::service::{Serving, Terms};
use crate::reactor::source::{Capacity, Names, Source, Turn};
use crate::reactor::tally::{Summary, Tally};
use crate::reactor::timers::{Moment, Timers};
use crate::reactor::watch::Watch;

mod clock;
mod door;

/// What a peer is registered for from its arrival on.
const INTEREST: Interest = Interest::READABLE.add(Interest::PRIORITY);
/// How many peers that may have ended are driven in a turn, after the others.
const LEAVING_BUDGET: usize = 64;
/// How many sockets are closed in a turn: closing is the most expensive thing that a turn does.
const REAP_BUDGET: usize = 16;
/// How often a lingering connection is asked whether its peer has everything.
const LINGER_CHECK: Duration = Duration::from_millis(50);
/// How long a connection waits before it is tried again after the kernel had no memory for it.
const STARVED_PAUSE: Duration = Duration::from_millis(100);
/// An empty table of more slots than this is given back to the system.
const KEPT_SLOTS: usize = 1024;

/// A listener, its peers and their service.
pub struct Port {
    service: Box<dyn Hosted>,
    acceptor: Acceptor,
    names: Names,
    peers: Slab<Connection<TcpStream>>,
    /// Those that may make progress.
    runnable: Queue,
    /// Those whose event announced more than data: most have ended or hung up, so they wait until the
    /// others are served.
    leaving: Queue,
    /// Those that have ended, and are to be reaped.
    ended: Queue,
    lingering: Timers,
    starved: Timers,
    /// The peers that were written to, and the terms on which they are looked at; `None` if the kernel keeps their
    /// deadline.
    watch: Option<(Asking, Watch<Option<Owing>>)>,
    /// The peers that were written to, and for how long their output may stall; `None` if it may for ever.
    stall: Option<(Duration, Watch<()>)>,
    /// When the service is to be asked about a peer; empty if it never is.
    agenda: Agenda,
    /// When each peer was last active, as far as is known; kept only if the most idle one may be evicted.
    idle: Agenda,
    limits: Limits,
    /// What holds for all peers; the time, the slot and `may_hold` are filled in for each call.
    terms: Terms,
    /// When to search the whole table for peers whose deadline could not be remembered for want of memory.
    look_through: Option<Moment>,
    /// The port is stopping, and cuts off the peers that are left at this moment.
    stop_by: Option<Moment>,
    tally: Tally,
    summary: Summary,
}

impl Port {
    /// The key of the listener; a peer's key is its slot.
    const LISTENER: usize = Names::MAX_KEY;

    /// Opens the listener and joins the loop under `names`.
    ///
    /// # Errors
    /// The listener cannot be made or registered.
    pub(super) fn open(
        listen: Listen,
        service: Box<dyn Hosted>,
        registry: &Registry,
        names: Names,
    ) -> io::Result<Self> {
        let limits = listen.limits;
        let acceptor = Acceptor::open(listen, registry, names.token(Self::LISTENER))?;
        Ok(Self {
            service,
            watch: watch(acceptor.keepalive()),
            acceptor,
            names,
            peers: Slab::new(),
            runnable: Queue::default(),
            leaving: Queue::default(),
            ended: Queue::default(),
            lingering: Timers::new(LINGER_CHECK),
            starved: Timers::new(STARVED_PAUSE),
            stall: limits.stalled().map(|limit| (limit, Watch::new(limit))),
            agenda: Agenda::new(),
            idle: Agenda::new(),
            limits,
            terms: Terms { now: Moment::default(), slot: 0, max_output: limits.max_output(), may_hold: 0 },
            look_through: None,
            stop_by: None,
            tally: Tally::default(),
            summary: Summary::default(),
        })
    }

    /// Where it listens, and with which deadline.
    ///
    /// # Errors
    /// The port has stopped.
    pub fn listening(&self) -> io::Result<Listening> {
        self.acceptor.listening()
    }

    fn drive_peer(&mut self, slot: u32, turn: &mut Turn<'_>) {
        let Some(connection) = self.peers.get_mut(slot as usize) else { return };
        let lingered = connection.lingers();
        // If the service measures silence, input in the middle of a turn is dated by the clock: by the
        // turn's own time it would seem older than it is.
        let now = if self.agenda.is_empty() { turn.now } else { turn.clock.now() };
        let memory = &mut turn.capacity.memory;
        let held = connection.holds();
        let most = turn.scratch.len().min(self.limits.max_output() / 2).min(memory.portion());
        let terms = Terms { now, slot, may_hold: held + memory.left(), ..self.terms };
        let (service, scratch) = (&mut *self.service, &mut turn.scratch[..most]);
        let flow = connection.drive(Serving { service, orders: turn.orders, scratch, terms });
        memory.changed(held, connection.holds());
        let mut remembered = Ok(());
        match flow {
            Ok(Flow::Blocked) => {}
            Ok(Flow::Yield) => self.runnable.push(&mut self.peers, slot),
            Ok(Flow::Starved) => remembered = self.starved.arm(turn.now, connection.id(slot)),
            Err(_) => return self.ended.push(&mut self.peers, slot),
        }
        let Some(connection) = self.peers.get_mut(slot as usize) else { return };
        let lingers_now = connection.lingers() && !lingered;
        if lingers_now {
            remembered = remembered.and(self.lingering.arm(turn.now, connection.id(slot)));
        }
        if connection.wants_watching() {
            match &mut self.watch {
                // No sign of life preceded our FIN: this peer may have been silent for long.
                Some(_) if lingers_now => self.look(slot, None, turn.now),
                Some((_, watch)) => remembered = remembered.and(watch.add(turn.now, connection.id(slot))),
                None => {}
            }
        }
        self.see_to_the_forgotten(remembered, slot, turn.now);
        self.watch_output(slot, turn.now);
        self.hear_of_room(slot, turn.registry);
    }

    /// Registers a peer for writing, too, when output has to wait for the first time. Few peers ever need
    /// that; registered for it from the start, each would cost one event.
    fn hear_of_room(&mut self, slot: u32, registry: &Registry) {
        let Some(connection) = self.peers.get_mut(slot as usize) else { return };
        if !connection.wants_to_hear_of_room() {
            return;
        }
        let token = self.names.token(slot as usize);
        if let Err(error) = registry.reregister(connection.stream_mut(), token, INTEREST | Interest::WRITABLE) {
            warn!("{} cannot be registered for writing and is let go: {error}", connection.peer());
            connection.refuse(Departure::of(&error, || None));
            self.enqueue(slot);
        }
    }

    /// Puts a peer in the run queue, if it is in none.
    fn enqueue(&mut self, slot: u32) {
        if self.peers.get_mut(slot as usize).is_some_and(Connection::enqueue) {
            self.runnable.push(&mut self.peers, slot);
        }
    }

    fn tell(&mut self, slot: u32, connection: &Connection<TcpStream>, turn: &mut Turn<'_>) {
        let Some(departure) = connection.departure() else { return };
        let info = if log_enabled!(log::Level::Debug) { connection.info() } else { None };
        let farewell = connection.farewell(departure, turn.now, info);
        turn.capacity.depart(farewell.peer);
        debug!("{farewell}");
        self.tally.departures.count(departure);
        // Whether the log takes lines of this module is checked when there is one to write.
        if log::max_level() >= LevelFilter::Info {
            self.summary.count(departure);
        }
        self.service.depart(slot, &farewell, turn.orders);
    }

    /// All slots, whether there is a peer in them or not.
    fn slots(&self) -> std::ops::Range<u32> {
        0..self.peers.capacity() as u32
    }

    fn summarize(&mut self, now: Moment) {
        if let Some(departures) = self.summary.due(now, !self.ended.is_empty()) {
            info!("{departures}; {} connected", self.peers.len());
        }
    }
}

/// The terms and the watch if the loop keeps the deadline while output is outstanding; `None` if the kernel does.
fn watch(keepalive: &Keepalive) -> Option<(Asking, Watch<Option<Owing>>)> {
    keepalive.asking().map(|asking| (asking, Watch::new(FIRST_LOOK)))
}

impl Source for Port {
    fn latch(&mut self, slot: usize, event: &Event) {
        if slot == Self::LISTENER {
            self.acceptor.latch();
            return;
        }
        let news = Readiness::of(event);
        let Some(connection) = self.peers.get_mut(slot) else { return };
        if !connection.latch(news) {
            return;
        }
        let queue = if news.has(Readiness::MORE_THAN_DATA) { &mut self.leaving } else { &mut self.runnable };
        queue.push(&mut self.peers, slot as u32);
    }

    fn drive(&mut self, turn: &mut Turn<'_>) {
        // A peer that yields is driven in the next turn.
        let mut running = std::mem::take(&mut self.runnable);
        while let Some(slot) = running.pop(&mut self.peers) {
            if turn.orders.are_many() {
                self.enqueue(slot);
            } else {
                self.drive_peer(slot, turn);
            }
        }
        let budget = if turn.crowded { 1 } else { LEAVING_BUDGET };
        for _ in 0..budget {
            let Some(slot) = self.leaving.pop(&mut self.peers) else { break };
            self.drive_peer(slot, turn);
        }
    }

    fn accept(&mut self, turn: &mut Turn<'_>) {
        self.accept_peers(turn);
    }

    /// What follows for its deadline and its end is seen to as after any other write: when it is driven.
    fn carry_out(&mut self, peer: PeerId, order: Order<'_>, turn: &mut Turn<'_>) {
        let slot = peer.slot();
        let Some(connection) = self.peers.get_mut(slot as usize).filter(|owner| owner.is_of(peer)) else { return };
        match order {
            Order::Send(bytes) => {
                let memory = &mut turn.capacity.memory;
                let held = connection.holds();
                let terms = Terms { now: turn.now, slot, may_hold: held + memory.left(), ..self.terms };
                connection.send(bytes, &terms);
                memory.changed(held, connection.holds());
            }
            Order::Close => connection.close(),
            Order::LetGo => connection.let_go(Departure::Unresponsive),
        }
        self.enqueue(slot);
    }

    fn expire(&mut self, turn: &mut Turn<'_>) {
        self.obey_the_clock(turn);
    }

    fn reap(&mut self, turn: &mut Turn<'_>) {
        let budget = if turn.crowded { 1 } else { REAP_BUDGET };
        for _ in 0..budget {
            let Some(slot) = self.ended.pop(&mut self.peers) else { break };
            let connection = self.peers.remove(slot as usize);
            trace!("slot {slot} is reaped");
            self.tell(slot, &connection, turn);
        }
        if self.peers.is_empty() && self.peers.capacity() > KEPT_SLOTS {
            self.peers = Slab::new();
            self.agenda.clear();
            self.idle.clear();
            if let Some((_, watch)) = &mut self.watch {
                watch.clear();
            }
            if let Some((_, watch)) = &mut self.stall {
                watch.clear();
            }
        }
        self.summarize(turn.now);
    }

    fn is_runnable(&self, capacity: &Capacity) -> bool {
        let any = !self.runnable.is_empty() || !self.leaving.is_empty() || !self.ended.is_empty();
        any || self.acceptor.is_ready(capacity)
    }

    fn deadline(&self) -> Option<Moment> {
        self.next_deadline()
    }

    fn stop(&mut self, by: Moment) {
        self.acceptor.close();
        self.stop_by = Some(by);
        for slot in self.slots() {
            if let Some(connection) = self.peers.get_mut(slot as usize) {
                connection.close();
                self.enqueue(slot);
            }
        }
    }

    fn is_busy(&self) -> bool {
        !self.peers.is_empty()
    }

    fn weigh(&self, sizes: &mut Sizes) {
        self.peers.iter().for_each(|(_, connection)| sizes.add(connection.holds(), connection.is_ending()));
    }

    fn relieve(&mut self, relief: &mut Relief) {
        for slot in self.slots() {
            if relief.excess == 0 {
                return;
            }
            let Some(connection) = self.peers.get(slot as usize) else { continue };
            let held = connection.holds();
            let is_large = held >= relief.least && !connection.is_ending();
            if is_large && (!relief.only_stuck || connection.is_stuck()) {
                relief.take(held);
                self.let_go(slot, Departure::MemoryLimit);
            }
        }
    }

    fn addresses(&self, told: &mut dyn FnMut(SocketAddr)) {
        self.peers.iter().for_each(|(_, connection)| told(connection.peer()));
    }

    fn count(&self, total: &mut Tally) {
        *total += Tally { connected: self.peers.len(), ..self.tally };
    }
}

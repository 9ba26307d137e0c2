//! Scripted peers, in scripted time.
//!
//! Owns the script's time and the peers' ends of the wires. What serves them is the code that serves real peers.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use mio::Poll;
use rustix::io::Errno;

use crate::keepalive::Keepalive;
use crate::machine::Machine;
use crate::reactor::awake::Awake;
use crate::reactor::carry_out::carry_out;
use crate::reactor::connection::readiness::Readiness;
use crate::reactor::departing::departure::Departure;
use crate::reactor::limits::Limits;
use crate::reactor::limits::capacity::Capacity;
use crate::reactor::limits::memory::Memory;
use crate::reactor::observing::figures::Counted;
use crate::reactor::observing::turn_times::Stopwatch;
use crate::reactor::peer_id::PeerId;
use crate::reactor::peers::{Arrival, NotArrived, Peers};
use crate::reactor::scratch::SCRATCH;
use crate::reactor::serving::host::Host;
use crate::reactor::serving::orders::Orders;
use crate::reactor::serving::saved::{CannotRestore, CannotSave, Saved};
use crate::reactor::serving::service::{Attempt, Service};
use crate::reactor::source::{Names, Request, Source, Turn};
use crate::reactor::testing::scripted_port::ScriptedPort;
use crate::reactor::testing::shared::Shared;
use crate::reactor::testing::wire::Wire;
use crate::reactor::time::moment::{Clock, Moment};
use crate::reactor::turn::tell;

/// More turns than this at one moment, and the service never comes to rest.
const MOST_TURNS: usize = 1_000_000;

/// A service with scripted peers.
///
/// Each call plays on until nothing is left to do at that moment; only [`Stage::wait`] lets time pass.
pub struct Stage<V> {
    service: Rc<RefCell<V>>,
    departures: Rc<RefCell<Vec<(PeerId, Departure)>>>,
    port: ScriptedPort,
    sources: Vec<Box<dyn Source>>,
    wires: BTreeMap<PeerId, Wire>,
    deadline: Duration,
    now: Rc<Cell<Moment>>,
    arrivals: u16,
    scratch: Vec<u8>,
    poll: Poll,
    capacity: Capacity,
    orders: Orders,
    requests: Vec<Request>,
    counted: Counted,
    awake: Awake,
    watch: Stopwatch,
}

impl<V: Service + 'static> Stage<V> {
    /// A stage with no peer yet, with the default deadline and limits.
    ///
    /// # Panics
    /// The system has no descriptor for a test.
    pub fn new(service: V) -> Self {
        Self::with(service, Keepalive::default(), Limits::default())
    }

    /// The same, with this deadline and these limits.
    ///
    /// # Panics
    /// The system has no descriptor for a test.
    pub fn with(service: V, keepalive: Keepalive, limits: Limits) -> Self {
        let service = Rc::new(RefCell::new(service));
        let departures = Rc::<RefCell<Vec<_>>>::default();
        let shared = Shared { service: service.clone(), departures: departures.clone() };
        let names = Names::of_source(0);
        let peers = Peers::new(Box::new(Host::new(shared)), &keepalive, limits, names);
        let port = ScriptedPort { peers: Rc::new(RefCell::new(peers)), connects: Rc::default() };
        // Not at the very start of the clock, as it is in a real loop.
        let now = Moment::after(Duration::from_secs(1));
        Self {
            service,
            departures,
            sources: vec![Box::new(port.clone())],
            port,
            wires: BTreeMap::new(),
            deadline: keepalive.deadline(),
            now: Rc::new(Cell::new(now)),
            arrivals: 0,
            scratch: vec![0; SCRATCH],
            poll: Poll::new().expect("an epoll instance for a test"),
            capacity: Capacity::of(usize::MAX >> 1, Memory::of(Machine::look())),
            orders: Orders::new(Clock::scripted(now)),
            requests: Vec::new(),
            counted: Counted::default(),
            awake: Awake::default(),
            watch: Stopwatch::default(),
        }
    }

    /// Input comes in pieces of at most this many bytes. TCP is a stream, so a service must give the same answers with 1.
    pub fn read_at_most(&mut self, bytes: usize) {
        self.scratch.resize(bytes.clamp(1, SCRATCH), 0);
    }

    /// The service.
    pub fn service(&self) -> Ref<'_, V> {
        self.service.borrow()
    }

    /// The service, to be changed.
    pub fn service_mut(&mut self) -> RefMut<'_, V> {
        self.service.borrow_mut()
    }

    /// The time of the script.
    pub fn now(&self) -> Moment {
        self.now.get()
    }

    /// A peer connects, from an address of its own.
    pub fn arrive(&mut self) -> PeerId {
        self.arrivals += 1;
        self.arrive_from(SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), self.arrivals))
    }

    /// A peer connects from this address.
    ///
    /// # Panics
    /// There is no memory for it.
    pub fn arrive_from(&mut self, address: SocketAddr) -> PeerId {
        self.let_arrive(address, Arrival::Accepted).expect("a peer is only refused when it is restored")
    }

    fn let_arrive(&mut self, address: SocketAddr, arrival: Arrival<'_>) -> Result<PeerId, CannotRestore> {
        let wire = Wire::new(&self.now);
        let peers = self.port.peers.clone();
        let arrived = self.with_turn(|_, turn| {
            let mut peers = peers.borrow_mut();
            assert!(peers.reserve(turn), "there is no memory for another peer");
            peers.arrive(wire.clone(), address, arrival, turn)
        });
        let arrived = match arrived {
            Ok(id) => id,
            Err(NotArrived::NotRestored(why)) => return Err(why),
            Err(NotArrived::Unregistered(error)) => panic!("a scripted peer needs no epoll: {error}"),
        };
        self.wires.insert(arrived, wire);
        self.play();
        Ok(arrived)
    }

    /// The peer sends these bytes.
    pub fn send(&mut self, peer: PeerId, bytes: &[u8]) {
        let now = self.now();
        self.act(peer, |wire| {
            let kernel = &mut *wire.kernel.borrow_mut();
            if kernel.pulled.is_none() && !kernel.fin && !kernel.dead {
                kernel.input.extend(bytes);
                kernel.data_received = now;
                kernel.news |= Readiness::READABLE;
            }
        });
    }

    /// What the peer has received since this was last asked.
    pub fn received(&mut self, peer: PeerId) -> Vec<u8> {
        self.wires.get(&peer).map_or(Vec::new(), |wire| std::mem::take(&mut wire.kernel.borrow_mut().output))
    }

    /// The peer takes this many more bytes, and then no more: what the service sends waits in the outbox.
    pub fn take_at_most(&mut self, peer: PeerId, bytes: usize) {
        self.act(peer, |wire| wire.set_room(bytes));
    }

    /// The peer takes everything again, as at the beginning.
    pub fn take_all(&mut self, peer: PeerId) {
        self.act(peer, |wire| wire.set_room(usize::MAX));
    }

    /// The peer closes its half (FIN).
    pub fn close(&mut self, peer: PeerId) {
        self.act(peer, |wire| {
            let kernel = &mut *wire.kernel.borrow_mut();
            kernel.fin = true;
            kernel.news |= Readiness::READABLE | Readiness::MORE_THAN_DATA;
        });
    }

    /// The peer resets the connection.
    pub fn reset(&mut self, peer: PeerId) {
        self.act(peer, |wire| wire.fail(Errno::CONNRESET));
    }

    /// The peer's cable is pulled: nothing comes from it any more, and nothing reaches it. It departs after the deadline, if
    /// [`Stage::wait`] lets so much time pass.
    pub fn pull_cable(&mut self, peer: PeerId) {
        let now = self.now();
        self.act(peer, |wire| {
            wire.kernel.borrow_mut().pulled.get_or_insert(now);
        });
    }

    /// Somebody calls from outside, as by [`Handle::wake`](crate::reactor::Handle::wake).
    pub fn call(&mut self) {
        let peers = self.port.peers.clone();
        self.with_turn(|_, turn| {
            turn.called = true;
            peers.borrow_mut().call_service(turn);
        });
        self.play();
    }

    /// Where the service wants to connect to, and under which labels, since this was last asked.
    pub fn connects(&mut self) -> Vec<(SocketAddr, u64)> {
        self.port.connects.borrow_mut().drain(..).map(|connect| (connect.address, connect.label)).collect()
    }

    /// A connection that the service wanted is established.
    ///
    /// # Panics
    /// There is no memory for it.
    pub fn connect(&mut self, to: SocketAddr, label: u64) -> PeerId {
        self.let_arrive(to, Arrival::Connected(label)).expect("a peer is only refused when it is restored")
    }

    /// A connection that the service wanted cannot be made.
    pub fn fail_to_connect(&mut self, to: SocketAddr, label: u64, error: &io::Error) {
        let peers = self.port.peers.clone();
        self.with_turn(|_, turn| {
            let attempt = Attempt { address: to, label, error, failures: 1, next: None };
            peers.borrow_mut().unreachable(&attempt, turn);
        });
        self.play();
    }

    /// Takes a peer out, with what the service remembers of it.
    ///
    /// # Errors
    /// See [`CannotSave`].
    pub fn release(&mut self, peer: PeerId) -> Result<Saved, CannotSave> {
        let (_, saved, _) = self.port.peers.borrow_mut().release(peer, &mut self.capacity)?;
        self.wires.remove(&peer);
        Ok(saved)
    }

    /// Brings back a peer that was taken out, of this stage or another one.
    ///
    /// # Errors
    /// The service does not take it over.
    pub fn adopt(&mut self, saved: &Saved) -> Result<PeerId, CannotRestore> {
        self.arrivals += 1;
        let address = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 2).into(), self.arrivals);
        self.let_arrive(address, Arrival::Restored(saved))
    }

    /// Why the peer has departed, if it has.
    pub fn departure(&self, peer: PeerId) -> Option<Departure> {
        self.departures.borrow().iter().find(|(departed, _)| *departed == peer).map(|(_, departure)| *departure)
    }

    /// How many peers are there.
    pub fn connected(&self) -> usize {
        self.port.peers.borrow().len()
    }

    /// Lets time pass. Everything that comes due meanwhile is done at its moment.
    ///
    /// # Panics
    /// The service never comes to rest.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now() + time;
        for _ in 0..MOST_TURNS {
            let probes = self.wires.values().filter_map(|wire| self.gives_up(wire)).min();
            let due = self.port.peers.borrow().deadline().if_ever().into_iter().chain(probes).min();
            let Some(due) = due.filter(|due| *due <= end) else {
                self.now.set(end);
                return self.play();
            };
            self.now.set(due.max(self.now()));
            for wire in self.wires.values() {
                if self.gives_up(wire).is_some_and(|at| at <= self.now()) {
                    wire.fail(Errno::TIMEDOUT);
                }
            }
            self.play();
        }
        panic!("the service is woken without end at {:?}", self.now());
    }

    /// When the kernel gives up on a peer whose cable is pulled, and that owes nothing: keepalive.
    fn gives_up(&self, wire: &Wire) -> Option<Moment> {
        let kernel = wire.kernel.borrow();
        let idle = kernel.unacknowledged == 0 && !kernel.dead;
        kernel.pulled.filter(|_| idle).map(|pulled| pulled + self.deadline)
    }

    fn act(&mut self, peer: PeerId, act: impl FnOnce(&Wire)) {
        if let Some(wire) = self.wires.get(&peer) {
            act(wire);
        }
        self.play();
    }

    /// Turns until nothing is left to do at this moment.
    fn play(&mut self) {
        for _ in 0..MOST_TURNS {
            for (peer, wire) in &self.wires {
                let news = std::mem::take(&mut wire.kernel.borrow_mut().news);
                // Its slot may be somebody else's by now.
                if news != Readiness::default() && self.departure(*peer).is_none() {
                    self.port.peers.borrow_mut().latch(peer.slot(), news);
                }
            }
            self.with_turn(|sources, turn| {
                sources.iter_mut().for_each(|source| source.drive(turn));
                sources.iter_mut().for_each(|source| source.accept(turn));
                sources.iter_mut().for_each(|source| source.expire(turn));
                carry_out(sources, turn);
                sources.iter_mut().for_each(|source| source.reap(turn));
                tell(sources, turn);
            });
            let has_news = |wire: &Wire| wire.kernel.borrow().news != Readiness::default();
            let news = self.wires.iter().any(|(peer, wire)| has_news(wire) && self.departure(*peer).is_none());
            if !news && self.orders.is_empty() && !self.port.peers.borrow().has_work() {
                return;
            }
        }
        panic!("the service never comes to rest at {:?}", self.now());
    }

    fn with_turn<R>(&mut self, act: impl FnOnce(&mut [Box<dyn Source>], &mut Turn<'_>) -> R) -> R {
        let (now, clock) = (self.now(), Clock::scripted(self.now()));
        (self.orders.now, self.orders.clock) = (now, clock);
        let mut turn = Turn {
            now,
            heard: now,
            clock,
            registry: self.poll.registry(),
            scratch: &mut self.scratch,
            capacity: &mut self.capacity,
            orders: &mut self.orders,
            crowded: false,
            requests: &mut self.requests,
            called: false,
            counted: &mut self.counted,
            awake: &mut self.awake,
            watch: &mut self.watch,
        };
        act(&mut self.sources, &mut turn)
    }
}

impl<V> fmt::Debug for Stage<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("now", &self.now).field("peers", &self.wires.len()).finish_non_exhaustive()
    }
}

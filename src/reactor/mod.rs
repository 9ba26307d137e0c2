//! The loop: one thread, one `poll`, and the sources that it drives.
//!
//! Owns the poll, the sources and the order of a turn. Knows nothing of the command line or of what
//! the services do.
#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use log::{debug, info, trace, warn};
use mio::{Events, Poll, Registry};

pub(crate) use self::agenda::waiting_time;
pub use self::departure::{Cause, Departure, Farewell};
use self::hearing::Hearing;
use self::host::{Host, Hosted};
use self::limits::Addresses;
pub use self::limits::{Limits, WhenFull};
pub use self::listen::{Listen, Listening};
use self::memory::Memory;
pub use self::memory::{Relief, Sizes};
pub use self::orders::{NoRoom, Order, Orders};
pub use self::outbox::OUTBOX_LIMIT;
pub use self::peer_id::PeerId;
pub use self::port::Port;
pub use self::readiness::Readiness;
#[cfg(target_env = "gnu")]
pub(crate) use self::scratch::SCRATCH;
use self::scratch::Scratch;
#[cfg(test)]
pub(crate) use self::service::Script;
pub use self::service::{Peer, Service};
pub use self::signals::Signals;
#[cfg(feature = "lab")]
pub(crate) use self::signals::unblock;
pub use self::source::{Capacity, Names, Request, Source, Turn};
use self::source::{see_to_memory, total};
pub use self::tally::{Departures, Tally};
pub use self::timers::{Clock, Moment};
use crate::count::so_many;
use crate::keepalive::{Unfit, unfit};
use crate::machine::Machine;

mod acceptor;
mod address;
mod agenda;
mod connection;
mod departure;
mod hearing;
mod host;
mod limits;
mod listen;
mod memory;
mod orders;
mod outbox;
mod peer_id;
mod port;
mod queue;
mod readiness;
mod scratch;
mod service;
mod signals;
mod source;
mod spread;
mod stream;
mod tally;
mod timers;
mod watch;

#[cfg(test)]
mod tests;

/// How many events are fetched at once.
const BATCH: usize = 1024;
/// A slot's number has 32 bits, and a few peers may be connected beyond the limit.
const MOST_CONNECTIONS: usize = i32::MAX as usize;
/// How often in a row `poll` may fail before the loop gives up.
const POLL_TRIES: u32 = 16;

/// How a loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to stop, and every peer was shut down.
    Orderly,
    /// It was asked to stop a second time. This many peers were cut off.
    Aborted { cut_off: usize },
}

/// The reactor: sources, and one [`Reactor::turn`].
pub struct Reactor {
    poll: Poll,
    events: Events,
    sources: Vec<Box<dyn Source>>,
    scratch: Scratch,
    hearing: Hearing,
    capacity: Capacity,
    requests: Vec<Request>,
    orders: Orders,
    /// The soonest deadline that was known before the wait.
    due: Moment,
    /// The batch of events was full.
    crowded: bool,
    failures: u32,
    stopping: bool,
    ending: Option<Ending>,
}

impl Reactor {
    /// A loop for at most `limit` connections, over all of its ports. A limit above 2147483647 is
    /// reduced to that.
    ///
    /// # Errors
    /// `InvalidInput`: the limit is 0, so no peer could ever connect. Otherwise the error of epoll_create1(2).
    pub fn new(limit: usize) -> io::Result<Self> {
        if limit == 0 {
            return Err(unfit("max-connections", "0".to_string(), "1 is the least".to_string()).into());
        }
        // Allocated first, while the heap has no free room for it, so that it is mapped: see malloc.rs.
        let scratch = Scratch::new();
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(BATCH),
            sources: Vec::new(),
            scratch,
            hearing: Hearing::start(),
            capacity: Capacity::of(limit.min(MOST_CONNECTIONS), Memory::of(Machine::look())),
            requests: Vec::with_capacity(8),
            orders: Orders::default(),
            due: Moment::default(),
            crowded: false,
            failures: 0,
            stopping: false,
            ending: None,
        })
    }

    /// Refuses a peer if there are `most` from its address already, over all ports: from its IPv4
    /// address, or the /64 of its IPv6 address. Peers that are already connected count, and stay.
    ///
    /// # Errors
    /// `InvalidInput`: the limit is 0. `OutOfMemory`: the addresses cannot be counted; nothing has changed.
    pub fn limit_per_address(&mut self, most: Option<usize>) -> io::Result<()> {
        let mut addresses = Addresses::limited(most)?;
        let mut has_memory = true;
        for source in &self.sources {
            source.addresses(&mut |address| {
                has_memory &= addresses.reserve().is_ok();
                if has_memory {
                    addresses.arrive(address);
                }
            });
        }
        if !has_memory {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.capacity.count_addresses(addresses);
        Ok(())
    }

    /// How much memory waiting output may take, in bytes, for all peers together. The default is a quarter of what
    /// the machine, the cgroup or the process's own limits allow, whichever is least. Near the limit, less is read
    /// at once; then the peers with the most waiting output are let go ([`Departure::MemoryLimit`]).
    ///
    /// # Errors
    /// Less than 1 MiB.
    pub fn limit_memory(&mut self, bytes: usize) -> Result<(), Unfit> {
        self.capacity.memory.set_limit(bytes)
    }

    /// The limit that [`Reactor::limit_memory`] has set, or the default.
    pub fn memory_limit(&self) -> usize {
        self.capacity.memory.limit()
    }

    /// Listens, and serves every peer that connects.
    ///
    /// # Errors
    /// The listener cannot be made: [`io::ErrorKind::AddrInUse`] and the like.
    pub fn listen<V: Service + 'static>(&mut self, listen: Listen, service: V) -> io::Result<Listening> {
        self.listen_for(listen, Box::new(Host::new(service)))
    }

    fn listen_for(&mut self, listen: Listen, service: Box<dyn Hosted>) -> io::Result<Listening> {
        let mut listening = None;
        self.add(|registry, names| {
            let port = Port::open(listen, service, registry, names)?;
            listening = Some(port.listening()?);
            Ok(port)
        })?;
        listening.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Stops at SIGTERM and SIGINT, within `grace`. SIGUSR1 logs the figures. Other signals that would end
    /// the process and are sent by habit, such as SIGHUP, are logged and otherwise ignored: see
    /// [`Signals::open_and_outlive_the_others`].
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn obey_signals(&mut self, grace: Duration) -> io::Result<()> {
        self.add(|registry, names| Signals::open_and_outlive_the_others(grace, registry, names))
    }

    /// Adds a source, which registers what it waits for under the names that it is given.
    ///
    /// # Errors
    /// Those of `open`; `OutOfMemory` at the 257th source.
    pub fn add<S: Source + 'static>(&mut self, open: impl FnOnce(&Registry, Names) -> io::Result<S>) -> io::Result<()> {
        if self.sources.len() == Names::SOURCES {
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, "a loop has at most 256 sources"));
        }
        let source = open(self.poll.registry(), Names::of_source(self.sources.len()))?;
        self.sources.push(Box::new(source));
        Ok(())
    }

    /// Turns until it is asked to stop and every peer is gone.
    ///
    /// # Errors
    /// `poll` keeps failing. No error of a connection or a listener ends the loop.
    pub fn run(&mut self) -> io::Result<Ending> {
        loop {
            self.turn()?;
            if let Some(ending) = self.ending {
                return Ok(ending);
            }
        }
    }

    /// One turn: wait, latch, drive, accept, expire, carry out, reap.
    ///
    /// # Errors
    /// `poll` keeps failing.
    pub fn turn(&mut self) -> io::Result<()> {
        self.turn_within(Duration::MAX)
    }

    /// The same, but it waits no longer than this, for those who drive the loop themselves. With a time of zero it does
    /// what can be done at once. [`Reactor::ending`] tells when the loop has ended.
    ///
    /// # Errors
    /// `poll` keeps failing.
    pub fn turn_within(&mut self, most: Duration) -> io::Result<()> {
        let is_heard = self.wait(most)?;
        let count = self.latch();
        if is_heard {
            self.hearing.hear(count, || total(&self.sources).connected);
        }
        let mut turn = Turn {
            now: self.hearing.now,
            heard: self.hearing.heard,
            clock: self.hearing.clock,
            registry: self.poll.registry(),
            scratch: self.scratch.bytes(),
            capacity: &mut self.capacity,
            orders: &mut self.orders,
            crowded: self.crowded,
            requests: &mut self.requests,
        };
        self.sources.iter_mut().for_each(|source| source.drive(&mut turn));
        self.sources.iter_mut().for_each(|source| source.accept(&mut turn));
        if self.due <= turn.heard {
            self.sources.iter_mut().for_each(|source| source.expire(&mut turn));
        }
        if !turn.orders.is_empty() {
            orders::carry_out(&mut self.sources, &mut turn);
        }
        self.sources.iter_mut().for_each(|source| source.reap(&mut turn));
        let now = turn.now;
        see_to_memory(&mut self.sources, &mut self.capacity, now);
        self.obey(now);
        Ok(())
    }

    /// Sleeps until the kernel announces something or a deadline comes. The only thing that blocks. False if
    /// the wait failed: then it is not even known whether anything came.
    fn wait(&mut self, most: Duration) -> io::Result<bool> {
        let timeout = self.timeout(most);
        match timeout {
            Some(Duration::ZERO) => trace!("turn: work is left, so it does not wait"),
            Some(timeout) => trace!("turn: waits {timeout:?} at most"),
            None => trace!("turn: waits for an event"),
        }
        let before = log::log_enabled!(log::Level::Trace).then(|| self.hearing.clock.now());
        let result = self.poll.poll(&mut self.events, timeout);
        if let Some(before) = before {
            let (waited, count) = (self.hearing.clock.now().since(before), self.events.iter().count());
            trace!("turn: waited {waited:?}: {}", so_many(count, "event"));
        }
        self.hearing.wakes();
        match result {
            Ok(()) => {
                self.failures = 0;
                return Ok(true);
            }
            // SIGCONT ends a wait like this. The next wait returns the events that came meanwhile.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) if self.failures < POLL_TRIES => {
                self.events.clear();
                self.failures += 1;
                warn!("poll failed and is tried again: {error}");
            }
            Err(error) => return Err(error),
        }
        Ok(false)
    }

    /// How long to sleep: not at all while work is left, for ever if nothing is due, and no longer than `most`.
    fn timeout(&mut self, most: Duration) -> Option<Duration> {
        if !self.orders.is_empty() || self.sources.iter().any(|source| source.is_runnable(&self.capacity)) {
            // The soonest deadline is not computed here, so every source is asked to expire what is due.
            self.due = Moment::default();
            self.hearing.does_not_wait();
            return Some(Duration::ZERO);
        }
        let deadlines = self.sources.iter().filter_map(|source| source.deadline());
        let deadline = deadlines.chain(self.capacity.memory.deadline()).min();
        self.due = deadline.unwrap_or(Moment::NEVER);
        self.hearing.waits_until(deadline, most)
    }

    /// Hands each event to its source, and returns how many there were. Sources only remember them, so no
    /// event can find a state that another one has changed.
    fn latch(&mut self) -> usize {
        let mut count = 0;
        for event in &self.events {
            let (source, key) = Names::split(event.token());
            self.sources[source].latch(key, event);
            count += 1;
        }
        self.crowded = count == BATCH;
        count
    }

    /// Does what the sources asked for.
    fn obey(&mut self, now: Moment) {
        if self.requests.is_empty() && !self.stopping {
            return;
        }
        // Put back below, so that its memory is used again.
        let mut requests = std::mem::take(&mut self.requests);
        for request in requests.drain(..) {
            match request {
                Request::Stop { grace } => {
                    self.stopping = true;
                    self.sources.iter_mut().for_each(|source| source.stop(now + grace));
                }
                Request::Abort => self.ending = Some(Ending::Aborted { cut_off: self.capacity.connected() }),
                Request::Figures => info!("{}", self.tally()),
            }
        }
        self.requests = requests;
        if self.stopping && self.ending.is_none() && !self.sources.iter().any(|source| source.is_busy()) {
            debug!("the last peer has gone");
            self.ending = Some(Ending::Orderly);
        }
    }

    /// How the loop has ended, once it has.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The figures of all ports together.
    pub fn tally(&self) -> Tally {
        total(&self.sources)
    }
}

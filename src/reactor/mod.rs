//! The loop: one thread, one `poll`, and the sources that it drives.
//!
//! Owns the poll and the sources; `turn.rs` owns the order of a turn. Knows nothing of the command line or of what the
//! services do.
//!
//! | room | what a reader finds there |
//! |---|---|
//! | `turn.rs`, `source.rs` | one turn, and what a turn drives |
//! | `port/` | a listener and what we connect to, with their peers |
//! | `arriving/` | accept(2), connect(2), the options of sockets, back-off |
//! | `peers/` | the table of peers, and what a turn does for each of them |
//! | `connection/` | one peer: reading, writing, the kernel's figures |
//! | `departing/` | why a connection is over, what is reported and counted |
//! | `serving/` | the trait of a service, its peers, orders for others |
//! | `observing/` | news, figures, and where a turn spends its time |
//! | `awake.rs` | which sources take part in a turn |
//! | `time/` | moments, timers, and the deadline while output is outstanding |
//! | `bounds.rs`, `limits/` | how many peers, from where, and how much memory |
//! | `handle.rs`, `signals.rs` | what comes from outside of the loop |
#![forbid(unsafe_code)]

use std::io;

use mio::{Events, Poll, Registry};

#[cfg(feature = "events")]
pub(crate) use self::arriving::dialer::is_established;
pub use self::arriving::listen::{Listen, Listening};
use self::awake::Awake;
pub use self::connection::readiness::Readiness;
pub use self::departing::departure::{Cause, Departure, Reason};
pub use self::departing::tally::{Departures, Tally};
pub use self::handle::{CannotSend, Handle, Mailbox};
pub use self::limits::capacity::Capacity;
use self::limits::memory::Memory;
pub use self::limits::memory::{Relief, Sizes};
pub use self::limits::{Limits, WhenFull};
use self::observing::figures::Counted;
pub use self::observing::figures::{Detection, Figures, Turns, Upgrades};
pub use self::observing::histogram::Histogram;
pub use self::observing::news::{Departed, Happening, News};
use self::observing::turn_times::Stopwatch;
pub use self::observing::turn_times::TurnTimes;
pub use self::peer_id::{NoPeerId, PeerId, PortId};
use self::port::Port;
#[cfg(feature = "serve")]
pub(crate) use self::scratch::SCRATCH;
use self::scratch::Scratch;
pub use self::serving::connect::{Backoff, Connect, ToConnect};
pub use self::serving::farewell::Farewell;
use self::serving::host::Host;
pub use self::serving::link::Alarm;
pub use self::serving::order::{Look, Order, Seen};
pub use self::serving::orders::{NoRoom, Orders};
pub use self::serving::peer::Peer;
pub use self::serving::saved::{CannotRestore, CannotSave, Carried, Saved};
use self::serving::service::Hosted;
pub use self::serving::service::{Attempt, Service};
#[cfg(feature = "signals")]
pub use self::signals::Signals;
use self::source::total;
pub use self::source::{Names, Request, Source, Turn};
#[cfg(feature = "upgrade")]
pub use self::state::{CannotGoOn, CannotWriteDown, State};
pub(crate) use self::time::agenda::waiting_time;
use self::time::hearing::Hearing;
pub use self::time::moment::{Clock, Moment};
#[cfg(feature = "upgrade")]
pub use self::upgrading::{Resumed, Unclaimed};
use crate::machine::Machine;

mod address;
mod arriving;
mod awake;
mod bounds;
mod carry_out;
mod connection;
mod departing;
mod handing_over;
mod handle;
#[cfg(feature = "observe")]
mod inquiries;
mod limits;
#[cfg_attr(not(feature = "observe"), allow(dead_code))]
mod observing;
mod peer_id;
mod peers;
mod port;
mod scratch;
mod serving;
#[cfg(feature = "signals")]
mod signals;
mod source;
#[cfg(feature = "upgrade")]
pub(crate) mod state;
pub mod testing;
mod time;
mod turn;
#[cfg(feature = "upgrade")]
mod upgrading;

#[cfg(test)]
mod tests;

/// How many events are fetched at once.
const BATCH: usize = 1024;
/// A slot's number has 32 bits, and a few peers may be connected beyond the limit.
const MOST_CONNECTIONS: usize = i32::MAX as usize;

/// How a loop ended, or why [`Reactor::run`] returned before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// It was asked to stop, and every peer was shut down.
    Orderly,
    /// It was asked to stop a second time. This many peers were cut off.
    Aborted {
        /// How many.
        cut_off: usize,
    },
    /// It has not ended: the program is asked for, may do what it likes between two turns, and runs the loop on.
    #[cfg(any(feature = "config", feature = "upgrade"))]
    Asked(Ask),
}

/// What the program is asked for by a source of its loop ([`Request::Program`]).
#[cfg(any(feature = "config", feature = "upgrade"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ask {
    /// To read its configuration again: SIGHUP, with [`Signals::that_ask`].
    Reload,
    /// To have another program go on with this loop: SIGUSR2, with [`Signals::that_ask`], or [`Orders::upgrade`].
    #[cfg(feature = "upgrade")]
    Upgrade,
    /// To leave the peers with a supervisor, and to end: SIGTERM, with [`Signals::that_hand_over`].
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    HandOver,
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
    awake: Awake,
    counted: Counted,
    watch: Stopwatch,
    /// Made when it is first asked for.
    handle: Option<Handle>,
    /// How many connections the descriptor limit allows.
    within_reach: usize,
    /// The soonest deadline that was known before the wait.
    due: Moment,
    /// The batch of events was full.
    crowded: bool,
    failures: u32,
    stopping: bool,
    /// The last peer has gone.
    is_last_turn: bool,
    ending: Option<Ending>,
    /// What the program is asked for and has not been told: each once, in the order in which it was asked.
    #[cfg(any(feature = "config", feature = "upgrade"))]
    asked: std::collections::VecDeque<Ask>,
    /// What it goes on with, until its ports are open.
    #[cfg(feature = "upgrade")]
    heritage: Option<Box<upgrading::Heritage>>,
}

impl Reactor {
    /// No limit of its own: as many connections as the descriptor limit allows.
    pub const NO_LIMIT: usize = usize::MAX;

    /// A loop for at most `limit` connections, over all of its ports. A limit above 2147483647 is reduced to that.
    ///
    /// The descriptor limit of the process is raised as far as the kernel lets it. If that is too low for `limit` connections,
    /// the log says so, and [`Reactor::within_reach`] has the number that it allows; beyond that, newcomers wait in the
    /// backlog.
    ///
    /// # Errors
    /// `InvalidInput`: the limit is 0, so no peer could ever connect. Otherwise the error of epoll_create1(2).
    pub fn new(limit: usize) -> io::Result<Self> {
        if limit == 0 {
            return Err(bounds::no_connections().into());
        }
        let within_reach = bounds::raise_descriptor_limit(limit);
        let limit = if limit == Self::NO_LIMIT { within_reach } else { limit };
        // Allocated first, while the heap has no free room for it, so that it is mapped: see malloc.rs.
        let scratch = Scratch::new();
        let hearing = Hearing::start();
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(BATCH),
            sources: Vec::new(),
            scratch,
            orders: Orders::new(hearing.clock),
            hearing,
            capacity: Capacity::of(limit.min(MOST_CONNECTIONS), Memory::of(Machine::look())),
            requests: Vec::with_capacity(8),
            awake: Awake::default(),
            counted: Counted::default(),
            watch: Stopwatch::default(),
            handle: None,
            within_reach,
            due: Moment::default(),
            crowded: false,
            failures: 0,
            stopping: false,
            is_last_turn: false,
            ending: None,
            #[cfg(any(feature = "config", feature = "upgrade"))]
            asked: std::collections::VecDeque::new(),
            #[cfg(feature = "upgrade")]
            heritage: None,
        })
    }

    /// Listens, and serves every peer that connects.
    ///
    /// # Errors
    /// The listener cannot be made: [`io::ErrorKind::AddrInUse`] and the like.
    pub fn listen<V: Service + 'static>(&mut self, listen: Listen, service: V) -> io::Result<Listening> {
        self.listen_for(listen, Box::new(Host::new(service)))
    }

    fn listen_for(&mut self, listen: Listen, service: Box<dyn Hosted>) -> io::Result<Listening> {
        if let Some(most) = listen.apart {
            self.capacity.keep_back(most, self.within_reach);
            self.within_reach = self.within_reach.saturating_sub(most).max(1);
        }
        #[cfg(feature = "upgrade")]
        let service = match self.claim(&listen, service) {
            Ok(claimed) => return claimed,
            Err(service) => service,
        };
        let mut listening = None;
        self.add(|registry, names| {
            let port = Port::listen(listen, service, registry, names)?;
            listening = Some(port.listening()?);
            Ok(port)
        })?;
        listening.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Connects to somebody, who is a peer like any other: with the same deadline, backpressure and departures. The service
    /// gets [`Service::connected`], or [`Service::unreachable`] for each attempt that fails. It can connect to more by
    /// [`Orders::connect`], and so can the program by [`Reactor::connect_through`].
    ///
    /// # Errors
    /// `OutOfMemory` at the 257th source. An attempt that fails is no error here.
    pub fn connect<V: Service + 'static>(&mut self, connect: Connect, service: V) -> io::Result<PortId> {
        let mut id = None;
        let service = Box::new(Host::new(service));
        self.add(|_, names| {
            let mut port = Port::dial(connect.keepalive.clone(), connect.limits, service, names);
            port.connect(ToConnect::new(connect));
            id = Some(port.id());
            Ok(port)
        })?;
        id.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Connects to somebody else for the service of this port, whose keepalive and limits count.
    ///
    /// # Errors
    /// `NotFound`: this loop has no such port.
    pub fn connect_through(&mut self, port: PortId, connect: Connect) -> io::Result<()> {
        self.sources.get_mut(port.source()).ok_or(io::ErrorKind::NotFound)?.connect(ToConnect::new(connect));
        self.awake.wake(port.source());
        Ok(())
    }

    /// Stops at SIGTERM and SIGINT, within `grace`. SIGUSR1 logs the figures. Other signals that would end
    /// the process and are sent by habit, such as SIGHUP, are logged and otherwise ignored: see
    /// [`Signals::open_and_outlive_the_others`].
    ///
    /// They are blocked, and read by the loop: call this before any other thread is started. Programs that are started by
    /// `Command` inherit the mask ([`Signals`]). A program that cannot do so sees to its signals itself, and calls
    /// [`Handle::stop`].
    ///
    /// # Errors
    /// Another thread runs already, or the signals cannot be blocked or read.
    #[cfg(feature = "signals")]
    pub fn obey_signals(&mut self, grace: std::time::Duration) -> io::Result<()> {
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
        #[cfg(feature = "upgrade")]
        let number = self.next_number();
        #[cfg(not(feature = "upgrade"))]
        let number = self.sources.len();
        let source = open(self.poll.registry(), Names::of_source(number))?;
        if cfg!(feature = "observe") && source.observes() {
            self.orders.audience.observe(number, true);
        }
        #[cfg(feature = "upgrade")]
        if let Some(vacant) = self.sources.get_mut(number) {
            *vacant = Box::new(source);
            self.awake.wake(number);
            return Ok(());
        }
        self.sources.push(Box::new(source));
        self.awake.add();
        Ok(())
    }

    /// A handle, by which other threads stop or wake the loop. A loop without one has no descriptor for it.
    ///
    /// # Errors
    /// The error of eventfd(2), or `OutOfMemory` at the 257th source.
    pub fn handle(&mut self) -> io::Result<Handle> {
        if let Some(handle) = &self.handle {
            return Ok(handle.clone());
        }
        let mut made = None;
        self.add(|registry, names| {
            let (handle, callers) = handle::open(registry, names)?;
            made = Some(handle);
            Ok(callers)
        })?;
        self.handle = made.clone();
        made.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// A mailbox into which other threads put messages for a service, which keeps the receiver: when messages have come, it
    /// gets [`Service::called`]. At most `bound` messages wait.
    ///
    /// # Errors
    /// As of [`Reactor::handle`].
    pub fn mailbox<M>(&mut self, bound: usize) -> io::Result<(Mailbox<M>, std::sync::mpsc::Receiver<M>)> {
        Ok(self.handle()?.mailbox(bound))
    }

    /// How the loop has ended, once it has.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// What the program is asked for, if anything; [`Reactor::run`] returns it as [`Ending::Asked`]. For those who drive the loop
    /// themselves.
    #[cfg(any(feature = "config", feature = "upgrade"))]
    pub fn asked(&mut self) -> Option<Ask> {
        if self.ending.is_some() { None } else { self.asked.pop_front() }
    }

    /// The figures of the loop: what its ports count, and what is counted of its turns.
    #[cfg(feature = "observe")]
    pub fn figures(&self) -> Figures {
        self.counted.figures(self.hearing.now, self.tally(), &self.capacity)
    }

    /// The figures of all ports together.
    pub fn tally(&self) -> Tally {
        total(&self.sources)
    }
}

impl std::fmt::Debug for Reactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tally = self.tally();
        f.debug_struct("Reactor").field("tally", &tally).field("ending", &self.ending).finish_non_exhaustive()
    }
}

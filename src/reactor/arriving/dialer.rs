//! When to connect, and what becomes of an attempt.
//!
//! Owns the sockets that are being connected, the pauses between attempts, and which peers came of them. Knows nothing of
//! what is said to a peer.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

use log::{debug, trace};
use mio::net::TcpStream;
use mio::{Interest, Registry};
use rustix::io::Errno;
use slab::Slab;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::keepalive::{Guard, Keepalive};
use crate::reactor::arriving::listen;
use crate::reactor::peer_id::PeerId;
use crate::reactor::peers::{Arrival, NotArrived, Peers};
use crate::reactor::serving::connect::{Connect, ToConnect};
use crate::reactor::serving::orders::{NoRoom, Orders};
use crate::reactor::serving::service::Attempt;
use crate::reactor::source::{Names, Turn};
use crate::reactor::time::alarms::Alarms;
use crate::reactor::time::moment::Moment;
use crate::scatter::scatter;

/// The keys of sockets that are being connected begin here, and end below that of a listener.
pub(crate) const FIRST_KEY: usize = Names::MAX_KEY / 2 + 1;
/// How long to wait when there is no room or no memory for one more peer.
const NO_ROOM: Duration = Duration::from_secs(1);

/// How many attempts are begun or concluded in a turn.
const DIAL_BUDGET: usize = 64;

impl ToConnect {
    /// The order names the code that carries it out: so a program in which nobody connects out does not have that code, and the
    /// orders need not know it.
    pub(in crate::reactor) fn new(connect: Connect) -> Self {
        let dialer = |keepalive| Box::new(Box::new(Dialer::new(keepalive)) as Box<dyn Dial>) as Box<dyn Any>;
        Self { connect, dialer }
    }
}

impl Orders {
    /// Connects to somebody, who will be a peer of the service that gives this order: see
    /// [`Service::connected`](crate::reactor::Service::connected).
    ///
    /// # Errors
    /// Too many orders wait: no attempt will be made.
    pub fn connect(&mut self, connect: Connect) -> Result<(), NoRoom> {
        self.give_to_connect(ToConnect::new(connect))
    }
}

/// The dialer of a port that has none yet.
pub(in crate::reactor) fn dialer_of(to: &ToConnect, keepalive: &Keepalive) -> Option<Box<dyn Dial>> {
    let dialer = (to.dialer)(keepalive.clone()).downcast::<Box<dyn Dial>>();
    debug_assert!(dialer.is_ok(), "`ToConnect::new` is the only one to make it");
    dialer.ok().map(|dialer| *dialer)
}

/// The connecting half of a port, as the port sees it.
pub(in crate::reactor) trait Dial: fmt::Debug {
    /// Connects, from the next turn on.
    fn add(&mut self, connect: Connect);

    /// The socket under this key was announced: it is connected, or the attempt has failed.
    fn latch(&mut self, key: usize);

    /// Something is to be done that no event will announce.
    fn is_ready(&self) -> bool;

    /// When the loop must wake.
    fn deadline(&self) -> Moment;

    /// Begins the attempts that are due, and lets those peers arrive to whom a connection is established.
    fn dial(&mut self, peers: &mut Peers<TcpStream>, turn: &mut Turn<'_>, names: Names);

    /// A peer has departed: if it is to be connected to again, that is done after a pause.
    fn departs(&mut self, peer: PeerId, now: Moment);

    /// Connects to nobody from now on. Attempts are given up; nothing is reported of them.
    fn stop(&mut self);
}

/// One thing to connect to.
#[derive(Debug)]
struct Target {
    connect: Connect,
    /// How many attempts in a row have failed, or connections did not last.
    failures: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Until its alarm.
    Waiting,
    /// Until the socket is writable, but not longer than this.
    Connecting { stream: TcpStream, until: Moment },
    /// It is a peer, since this moment.
    Connected(Moment),
}

/// The connecting half of a port.
#[derive(Debug)]
pub(crate) struct Dialer {
    keepalive: Keepalive,
    lines: Slab<Target>,
    /// How many are being connected: there must be room for them.
    connecting: usize,
    /// When each line is to try, or to give up an attempt.
    alarms: Alarms,
    /// Those whose socket was announced, or that are to try at once.
    ready: Vec<usize>,
    /// The lines that are to be connected again when their peer departs.
    peers: BTreeMap<PeerId, usize>,
}

impl Dial for Dialer {
    fn add(&mut self, connect: Connect) {
        let key = self.lines.insert(Target { connect, failures: 0, state: State::Waiting });
        self.ready.push(key);
    }

    fn latch(&mut self, key: usize) {
        if let Some(key) = key.checked_sub(FIRST_KEY).filter(|key| self.lines.contains(*key)) {
            self.ready.push(key);
        }
    }

    fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn deadline(&self) -> Moment {
        self.alarms.next()
    }

    fn dial(&mut self, peers: &mut Peers<TcpStream>, turn: &mut Turn<'_>, names: Names) {
        if !self.is_ready() && self.deadline() > turn.now {
            return;
        }
        for _ in 0..DIAL_BUDGET {
            if turn.orders.are_many() {
                return; // so the loop does not sleep
            }
            if !peers.reserve(turn) {
                return self.put_off(turn.now);
            }
            let Some(key) = self.next(turn.now) else { return };
            match self.step(key, turn, names) {
                Ok(None) => {}
                Ok(Some(stream)) => self.let_arrive(key, stream, peers, turn),
                Err(error) => self.fail(key, &error, peers, turn),
            }
        }
    }

    fn departs(&mut self, peer: PeerId, now: Moment) {
        let Some(key) = self.peers.remove(&peer) else { return };
        let Some(line) = self.lines.get_mut(key) else { return };
        let (State::Connected(since), Some(backoff)) = (&line.state, line.connect.backoff) else { return };
        let lasted = now.since(*since) >= backoff.longest();
        line.failures = if lasted { 1 } else { line.failures.saturating_add(1) };
        line.state = State::Waiting;
        let pause = backoff.pause(line.failures, chance(now, key));
        debug!("connects to {} again in {pause:?}", line.connect.address);
        self.set_alarm(key, now + pause);
    }

    fn stop(&mut self) {
        *self = Self::new(self.keepalive.clone());
    }
}

impl Dialer {
    /// All connections have this keepalive, as far as the kernel supports it.
    pub(crate) fn new(keepalive: Keepalive) -> Self {
        Self {
            keepalive,
            lines: Slab::new(),
            connecting: 0,
            alarms: Alarms::new(),
            ready: Vec::new(),
            peers: BTreeMap::new(),
        }
    }

    /// No peer can arrive now, for want of memory: everything that is to be done waits.
    fn put_off(&mut self, now: Moment) {
        while let Some(key) = self.next(now) {
            self.set_alarm(key, now + NO_ROOM);
        }
    }

    /// One step for one line. Returns the socket if the connection is established.
    ///
    /// # Errors
    /// The attempt has failed.
    fn step(&mut self, key: usize, turn: &Turn<'_>, names: Names) -> io::Result<Option<TcpStream>> {
        let Some(line) = self.lines.get_mut(key) else { return Ok(None) };
        match &line.state {
            State::Connected(_) => {}
            State::Waiting if turn.capacity.connected() + self.connecting >= turn.capacity.limit() => {
                self.set_alarm(key, turn.now + NO_ROOM);
            }
            State::Waiting => {
                let stream = begin(&line.connect, &mut self.keepalive, turn.registry, names, key)?;
                debug!("connects to {}", line.connect.address);
                // An attempt may take as long as a peer may be silent.
                let until = turn.now + self.keepalive.deadline();
                line.state = State::Connecting { stream, until };
                self.connecting += 1;
                self.set_alarm(key, until);
            }
            &State::Connecting { ref stream, until } => {
                if !is_established(stream)? {
                    if until <= turn.now {
                        return Err(Errno::TIMEDOUT.into());
                    }
                    self.set_alarm(key, until);
                } else if turn.capacity.has_room() {
                    return Ok(self.take_stream(key, State::Connected(turn.now)));
                } else {
                    // Others have taken the room that there was when the attempt began.
                    self.set_alarm(key, turn.now + NO_ROOM);
                }
            }
        }
        Ok(None)
    }

    /// The connection under this key is established: there is a new peer.
    fn let_arrive(&mut self, key: usize, mut stream: TcpStream, peers: &mut Peers<TcpStream>, turn: &mut Turn<'_>) {
        let Connect { address, label, backoff, .. } = self.lines[key].connect;
        if !matches!(self.keepalive.guard(), Guard::Loop { .. }) {
            peers.watch_no_more();
        }
        // From now on it is registered as a peer.
        if let Err(error) = turn.registry.deregister(&mut stream) {
            return self.fail(key, &error, peers, turn);
        }
        match peers.arrive(stream, address, Arrival::Connected(label), turn) {
            Ok(peer) if backoff.is_some() => drop(self.peers.insert(peer, key)),
            Ok(_) => drop(self.lines.remove(key)),
            Err(NotArrived::Unregistered(error)) => self.fail(key, &error, peers, turn),
            Err(NotArrived::NotRestored(_)) => {}
        }
    }

    /// The attempt under this key has failed. It is repeated after a pause, if it is to be.
    fn fail(&mut self, key: usize, error: &io::Error, peers: &mut Peers<TcpStream>, turn: &mut Turn<'_>) {
        drop(self.take_stream(key, State::Waiting));
        let Some(line) = self.lines.get_mut(key) else { return };
        let Connect { address, label, backoff, .. } = line.connect;
        line.failures = line.failures.saturating_add(1);
        let failures = line.failures;
        let next = backoff.map(|backoff| turn.now + backoff.pause(failures, chance(turn.now, key)));
        debug!("cannot connect to {address}: {error}");
        match next {
            Some(next) => self.set_alarm(key, next),
            None => drop(self.lines.remove(key)),
        }
        peers.unreachable(&Attempt { address, label, error, failures, next }, turn);
    }

    /// Ends an attempt, if one is going on: its socket is no longer the dialer's.
    fn take_stream(&mut self, key: usize, next: State) -> Option<TcpStream> {
        self.alarms.cancel(key as u32);
        match std::mem::replace(&mut self.lines.get_mut(key)?.state, next) {
            State::Connecting { stream, .. } => {
                self.connecting -= 1;
                Some(stream)
            }
            _ => None,
        }
    }

    fn next(&mut self, now: Moment) -> Option<usize> {
        self.ready.pop().or_else(|| self.alarms.due(now).map(|key| key as usize))
    }

    fn set_alarm(&mut self, key: usize, due: Moment) {
        if self.alarms.reserve_for(self.lines.capacity(), self.lines.len()).is_ok() {
            self.alarms.set(key as u32, due);
        } else {
            self.ready.push(key); // `add` made room for it; without a pause, but nothing is lost
        }
    }
}

/// Begins to connect. The socket has all its options before, so that the deadline holds from its first byte.
fn begin(
    connect: &Connect,
    keepalive: &mut Keepalive,
    registry: &Registry,
    names: Names,
    key: usize,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(connect.address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    listen::apply(keepalive, &SockRef::from(&socket))?;
    if let Some(from) = connect.from {
        socket.set_reuse_address(true)?;
        socket.bind(&from.into())?;
    }
    match socket.connect(&connect.address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    let mut stream = TcpStream::from_std(socket.into());
    registry.register(&mut stream, names.token(FIRST_KEY + key), Interest::WRITABLE)?;
    Ok(stream)
}

/// Whether the connection is established.
///
/// # Errors
/// The attempt has failed.
pub(crate) fn is_established(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    let peer = match stream.peer_addr() {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
        peer => peer?,
    };
    // To a port of this machine that nobody listens on, the kernel may choose that very port for our end: then both SYNs
    // meet, and the socket is connected to itself (RFC 9293, 3.5, simultaneous open).
    if stream.local_addr()? == peer {
        trace!("{peer}: connected to itself");
        return Err(Errno::CONNREFUSED.into());
    }
    Ok(true)
}

/// A number for the jitter. It differs for each line, and from one process to another by when each was started.
fn chance(now: Moment, key: usize) -> u64 {
    scatter(now.units(0) ^ scatter(key as u64))
}

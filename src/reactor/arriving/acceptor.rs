//! When to accept, and what each error of accept(2) means.
//!
//! Owns the listener, its latch and its pause. Knows nothing of what becomes of a peer.

use std::io;
use std::net::SocketAddr;
#[cfg(feature = "upgrade")]
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use log::{debug, info, trace, warn};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use socket2::SockRef;

use crate::count::so_many;
use crate::keepalive::Keepalive;
use crate::reactor::arriving::listen::Listen;
use crate::reactor::arriving::spread::Spread;
use crate::reactor::limits::capacity::Room;
use crate::reactor::limits::{Limits, WhenFull};
use crate::reactor::peers::REAP_BUDGET;
use crate::reactor::time::moment::Moment;

/// How long to wait for descriptors or memory that only other processes can free. A departure of one
/// of our own peers ends the wait at once.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a warning that there is no room is not repeated, so that a busy limit does not flood the log.
const QUIET: Duration = Duration::from_secs(10);

/// How many evicted peers may wait to be reaped while newcomers have already taken their places: as many as the next turn reaps.
const MOST_OVER: usize = REAP_BUDGET;

/// The result of an attempt to accept.
pub(crate) enum Accepted {
    /// A peer; its options are those of the listener.
    Peer(TcpStream, SocketAddr),
    /// This peer was lost before it was accepted. There may be others.
    Lost,
    /// A signal came in between. The peer is still there.
    Interrupted,
    /// There is nobody to accept, or no room.
    Nobody,
    /// There is nothing to accept with: see [`Acceptor::pause`].
    Exhausted(io::Error),
}

/// What to do after an error of accept(2).
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The backlog is empty: wait for the next edge.
    Empty,
    /// A signal came in between: try again.
    Again,
    /// The peer, or the path to it, was lost while it waited: go on to the next one.
    PeerLost,
    /// No descriptors or memory, or an unforeseen error: keep the latch, and try later.
    Exhausted,
}

impl Refusal {
    fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::AGAIN) => Self::Empty,
            Some(Errno::INTR) => Self::Again,
            // accept(2): errors that are already pending on the new socket are to be treated as
            // "try again"; EPERM comes from a firewall.
            Some(
                Errno::CONNABORTED
                | Errno::NETDOWN
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NETUNREACH
                | Errno::TIMEDOUT
                | Errno::PERM,
            ) => Self::PeerLost,
            _ => Self::Exhausted,
        }
    }
}

/// The accepting half of a port.
pub(crate) struct Acceptor {
    listener: TcpListener,
    listen: Listen,
    /// Connections may wait. Only an empty backlog clears it: after EMFILE no edge would come.
    latched: bool,
    /// No attempt before this moment, unless a departure frees a descriptor.
    paused: Option<(Moment, u64)>,
    /// Whether accepted sockets inherit the listener's options; read back from the first one.
    inherits: Option<bool>,
    spread: Spread,
    /// When the log last said that there is no room.
    told_full: Option<Moment>,
}

impl Acceptor {
    /// # Errors
    /// The listener cannot be made or registered.
    pub(crate) fn open(mut listen: Listen, registry: &Registry, token: Token) -> io::Result<Self> {
        let listener = listen.open()?;
        Self::join(listen, listener, registry, token)
    }

    fn join(listen: Listen, mut listener: TcpListener, registry: &Registry, token: Token) -> io::Result<Self> {
        registry.register(&mut listener, token, Interest::READABLE)?;
        let spread = Spread::new(&listen.keepalive);
        // A socket of the file system has none of these options.
        let inherits = (!listen.is_tcp()).then_some(true);
        Ok(Self { listener, listen, latched: false, paused: None, inherits, spread, told_full: None })
    }

    /// Goes on with a listener that another program has opened, and that may have other options so far.
    ///
    /// # Errors
    /// It takes no options, or cannot be registered.
    #[cfg(feature = "upgrade")]
    pub(crate) fn inherit(
        mut listen: Listen,
        listener: OwnedFd,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let listener = listen.inherit(listener)?;
        Self::join(listen, listener, registry, token)
    }

    /// Where it was to listen: port 0 is any.
    #[cfg(feature = "upgrade")]
    pub(crate) fn asked(&self) -> SocketAddr {
        self.listen.address
    }

    /// The listener and its path, if it is a socket of the file system.
    #[cfg(feature = "upgrade")]
    pub(crate) fn socket(&self) -> (RawFd, Option<&str>) {
        (self.listener.as_raw_fd(), self.listen.path())
    }

    /// The address that it listens on, with the port that the kernel chose.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        if self.listen.is_tcp() { self.listener.local_addr() } else { Ok(self.listen.address) }
    }

    /// The listener's keepalive, as far as this kernel supports it.
    pub(crate) fn keepalive(&self) -> &Keepalive {
        &self.listen.keepalive
    }

    /// These limits hold from now on.
    pub(crate) fn limit(&mut self, limits: Limits) {
        self.listen.limits = limits;
    }

    pub(crate) fn latch(&mut self) {
        trace!("{}: peers wait in the backlog", self.listen);
        self.latched = true;
    }

    /// Peers may be waiting.
    pub(crate) fn is_latched(&self) -> bool {
        self.latched
    }

    /// Peers may be waiting, and one can be accepted: the loop must not sleep.
    pub(crate) fn is_ready(&self, room: &Room) -> bool {
        if !self.latched {
            return false;
        }
        let paused = self.paused.is_some_and(|(_, departures)| departures == room.departures());
        !paused && (room.is_left() || self.may_be_over(room))
    }

    /// Without room, a peer is accepted only to be refused or to take the place of an evicted one, of which
    /// some may still wait to be reaped.
    fn may_be_over(&self, room: &Room) -> bool {
        self.listen.limits.when_full() != WhenFull::Wait && room.connected() < room.limit() + MOST_OVER
    }

    /// When to try again even if nothing departs.
    pub(crate) fn deadline(&self) -> Moment {
        self.paused.map_or(Moment::NEVER, |(until, _)| until)
    }

    pub(crate) fn expire(&mut self, now: Moment) {
        if self.paused.is_some_and(|(until, _)| until <= now) {
            self.paused = None;
        }
    }

    /// Warns that there is no room, unless it did so shortly before. True if it did.
    pub(crate) fn warns_of_limit(&mut self, now: Moment, room: &Room) -> bool {
        let warns = self.latched && !room.is_left() && self.take_turn_to_warn(now);
        if warns {
            let what = match self.listen.limits.when_full() {
                WhenFull::Wait => "newcomers wait in the backlog until a peer departs",
                WhenFull::Refuse => "newcomers are refused until a peer departs",
                WhenFull::EvictOldestIdle => "a newcomer takes the place of the peer that has been idle longest",
            };
            warn!("the limit of {} is reached: {what}", so_many(room.limit(), "connection"));
        }
        warns
    }

    /// Takes one peer from the backlog: one accept4(2).
    pub(crate) fn accept(&mut self, now: Moment, room: &Room) -> Accepted {
        if !self.is_ready(room) {
            return Accepted::Nobody;
        }
        let error = match self.listen.accept(&self.listener) {
            Ok((stream, peer)) => {
                self.paused = None;
                self.see_to_options(&stream);
                self.keep_probes_apart(now);
                return Accepted::Peer(stream, peer);
            }
            Err(error) => error,
        };
        trace!("accept says {error}");
        match Refusal::of(&error) {
            Refusal::Empty => self.latched = false,
            Refusal::Again => return Accepted::Interrupted,
            Refusal::PeerLost => {
                debug!("a peer was lost before it was accepted: {error}");
                return Accepted::Lost;
            }
            Refusal::Exhausted => return Accepted::Exhausted(error),
        }
        Accepted::Nobody
    }

    /// Accepts nothing until a peer departs or the pause is over.
    pub(crate) fn pause(&mut self, now: Moment, room: &Room, error: &io::Error) {
        self.paused = Some((now + PAUSE, room.departures()));
        if self.take_turn_to_warn(now) {
            warn!("accepting on {} pauses: {error}; newcomers wait in the backlog", self.listen);
        }
    }

    /// While a crowd arrives, gives the listener another split from time to time, so that later peers are
    /// probed at other moments than earlier ones.
    fn keep_probes_apart(&mut self, now: Moment) {
        let Some(split) = self.spread.arrived(now).filter(|_| self.listen.is_tcp()) else { return };
        if let Err(error) = split.clone().apply(&SockRef::from(&self.listener)) {
            warn!(
                "the listener's keepalive options cannot be changed: {error}; later peers may outlive their deadline"
            );
        }
    }

    fn take_turn_to_warn(&mut self, now: Moment) -> bool {
        let may = self.told_full.is_none_or(|last| now.since(last) >= QUIET);
        if may {
            self.told_full = Some(now);
        }
        may
    }

    /// Linux lets an accepted socket inherit the listener's options. This is trusted once it was seen;
    /// where it does not hold, the options are set on each accepted socket.
    fn see_to_options(&mut self, stream: &TcpStream) {
        let socket = SockRef::from(stream);
        if self.inherits.is_none() {
            // If the options cannot be read, nothing is concluded: the next socket is asked.
            self.inherits = self.listen.is_applied(&socket).ok();
            if self.inherits == Some(false) {
                info!("accepted sockets do not inherit the listener's options here: they are set one by one");
            }
        }
        if self.inherits != Some(true) {
            let before = self.listen.keepalive.clone();
            if let Err(error) = self.listen.apply(&socket) {
                warn!("a peer cannot be given its keepalive options: {error}; it may outlive its deadline");
            }
            // An accepted socket may support less than the listener did.
            if let Some(shortfall) = self.listen.keepalive.shortfall(&before) {
                warn!("{shortfall}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a peer inherits is what the listener has when its handshake ends.
    #[test]
    fn a_crowd_inherits_one_split_after_the_other() {
        let poll = mio::Poll::new().unwrap();
        let listen = Listen::on("127.0.0.1:0".parse().unwrap());
        let mut acceptor = Acceptor::open(listen, poll.registry(), Token(0)).unwrap();
        let (address, keepalive) = (acceptor.address().unwrap(), acceptor.keepalive().clone());
        let room = Room::of(10_000);
        let mut idle = Vec::new();
        for _ in 0..600 {
            let _client = std::net::TcpStream::connect(address).unwrap();
            acceptor.latch();
            let Accepted::Peer(stream, _) = acceptor.accept(Moment::default(), &room) else { panic!() };
            idle.push(SockRef::from(&stream).tcp_keepalive_time().unwrap().as_secs());
        }
        idle.dedup();
        // A kernel without TCP_RTO_MAX_MS has a user timeout, and that goes with one split only.
        let splits = keepalive.splits();
        let expected: &[u64] = if splits.len() > 1 { &[5, 6, 7] } else { &[5] };
        assert_eq!(idle, expected);
    }

    #[test]
    fn each_error_of_accept_has_a_meaning() {
        for (errno, refusal) in [
            (Errno::AGAIN, Refusal::Empty),
            (Errno::INTR, Refusal::Again),
            (Errno::CONNABORTED, Refusal::PeerLost),
            (Errno::PERM, Refusal::PeerLost),
            (Errno::MFILE, Refusal::Exhausted),
            (Errno::NFILE, Refusal::Exhausted),
            (Errno::NOBUFS, Refusal::Exhausted),
            (Errno::NOMEM, Refusal::Exhausted),
            (Errno::BADF, Refusal::Exhausted),
        ] {
            assert_eq!(Refusal::of(&errno.into()), refusal, "{errno}");
        }
    }
}

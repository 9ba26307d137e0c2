//! News: what has happened to the peers of a loop, for those who observe it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::reactor::departing::departure::Departure;
use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::farewell::Farewell;
use crate::reactor::serving::link::Link;
use crate::reactor::time::moment::Moment;
use crate::tcp_info::TcpInfo;

/// Something that has happened in a turn. It is told at the end of that turn, in order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct News {
    /// Its number: everything that happens in a loop has one, beginning with 1, also while nobody observes. So whoever
    /// observes later, or not all the time, sees how much is missing, and all who observe have the same numbers.
    /// [`Happening::Stopping`] has none of its own, nor has [`Happening::LeftOut`]: theirs is that of what was last, or is next.
    pub number: u64,
    /// When the turn woke in which it happened.
    pub at: Moment,
    /// What it is.
    pub what: Happening,
}

/// What can happen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Happening {
    /// A peer has connected to us, or we to it.
    Arrived {
        /// Its name from now on.
        id: PeerId,
        /// The other end.
        peer: SocketAddr,
        /// Our end; `None` if the kernel does not say.
        local: Option<SocketAddr>,
    },
    /// A connection is over.
    Departed(Departed),
    /// A newcomer was refused. It never had a name.
    Refused {
        /// The other end.
        peer: SocketAddr,
        /// Why.
        departure: Departure,
    },
    /// There are as many peers as there may be. Told again after some seconds at the earliest.
    LimitReached {
        /// How many there may be.
        limit: usize,
    },
    /// Nobody can be accepted for a while.
    AcceptPaused {
        /// Why, as in errno(3): EMFILE, ENFILE, ENOBUFS or ENOMEM.
        errno: i32,
    },
    /// The loop was asked to stop: it accepts nobody any more, and its peers are being shut down.
    Stopping,
    /// This program goes on with a loop that another one has written down.
    #[cfg(feature = "upgrade")]
    Upgraded {
        /// The version of that program.
        version: String,
        /// How often the loop was handed over.
        generation: u64,
        /// How many peers stay.
        peers: usize,
    },
    /// There was no memory to note as many happenings as this, which came before the next one.
    LeftOut {
        /// How many.
        count: u64,
    },
}

/// What is told of a connection that is over.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Departed {
    /// Its name, which is never used again.
    pub id: PeerId,
    /// The other end.
    pub peer: SocketAddr,
    /// Our end; `None` if the kernel does not say.
    pub local: Option<SocketAddr>,
    /// Why.
    pub departure: Departure,
    /// What the service calls its own reason, if it is one ([`Departure::ByService`]).
    pub reason: Option<&'static str>,
    /// From its arrival until its slot was reaped.
    pub connected: Duration,
    /// The kernel's figures at the end; `None` where it has none.
    pub info: Option<TcpInfo>,
}

/// Something that has happened, where it happens: the kernel has not been asked about it yet.
#[derive(Clone, Copy)]
pub(in crate::reactor) enum Incident<'a> {
    Arrived { id: PeerId, peer: SocketAddr, line: &'a dyn Link },
    Departed(&'a Farewell<'a>),
    Refused { peer: SocketAddr, departure: Departure },
    LimitReached { limit: usize },
    AcceptPaused { errno: i32 },
    Stopping,
}

impl From<Incident<'_>> for Happening {
    /// Asks the kernel for what it knows: up to two system calls.
    fn from(incident: Incident<'_>) -> Self {
        match incident {
            Incident::Arrived { id, peer, line } => Self::Arrived { id, peer, local: line.local() },
            Incident::Departed(farewell) => {
                let Farewell { peer, departure, reason, connected, line, .. } = *farewell;
                let id = farewell.id.unwrap_or(PeerId::NOBODY);
                let (local, info) = (line.and_then(Link::local), farewell.info());
                Self::Departed(Departed { id, peer, local, departure, reason, connected, info })
            }
            Incident::Refused { peer, departure } => Self::Refused { peer, departure },
            Incident::LimitReached { limit } => Self::LimitReached { limit },
            Incident::AcceptPaused { errno } => Self::AcceptPaused { errno },
            Incident::Stopping => Self::Stopping,
        }
    }
}

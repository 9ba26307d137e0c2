//! What an order is, and the answer to a look.
//!
//! Owns their forms. Knows neither who gives them nor how they are carried out.

use std::any::Any;
use std::net::SocketAddr;

use crate::reactor::departing::departure::Departure;
use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::connect::ToConnect;
use crate::reactor::time::moment::Moment;
use crate::tcp_info::TcpInfo;

/// What is to be done to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order<'a> {
    /// Send it these bytes.
    Send(&'a [u8]),
    /// End the connection in an orderly way, for this reason: see [`Peer::close`](crate::reactor::Peer::close).
    Close(Departure),
    /// End it now, for this reason: see [`Peer::let_go`](crate::reactor::Peer::let_go).
    LetGo(Departure),
    /// Call its service for it: see [`Service::called_for`](crate::reactor::Service::called_for).
    Call,
}

/// The answer to [`Orders::look_at`](crate::reactor::Orders::look_at): one peer, as it is now.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Look {
    /// Which peer.
    pub peer: PeerId,
    /// For whom it was asked.
    pub asker: Option<PeerId>,
    /// What was seen; `None`: the peer has departed.
    pub seen: Option<Seen>,
    /// How many answers to the same order are still to come.
    pub left: usize,
}

/// What is seen of a peer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Seen {
    /// The other end.
    pub address: SocketAddr,
    /// Our end; `None` if the kernel does not say.
    pub local: Option<SocketAddr>,
    /// When it arrived.
    pub arrived: Moment,
    /// How many bytes wait in its outbox.
    pub waiting: usize,
    /// The kernel's figures; `None` where it has none.
    pub info: Option<TcpInfo>,
}

/// An order that waits. It owns its bytes, which are there once, however many peers they are for.
#[derive(Debug)]
pub(in crate::reactor) struct WaitingOrder {
    pub(in crate::reactor) what: OrderKind,
    pub(in crate::reactor) to: Recipients,
}

#[derive(Debug)]
pub(in crate::reactor) enum OrderKind {
    Send(Vec<u8>),
    Close(Departure),
    LetGo(Departure),
    Call,
    /// Tell this source what is seen.
    Look {
        giver: usize,
        asker: Option<PeerId>,
    },
    /// Answer this source.
    #[cfg_attr(not(feature = "observe"), allow(dead_code))]
    Inquire(Inquiry),
    /// Connect, for this source.
    Connect(usize, Box<ToConnect>),
}

/// A question about the loop or about all peers, and what answers it: see `inquiries.rs`, which alone names that code. So a
/// program that asks no such question does not have it.
#[cfg_attr(not(feature = "observe"), allow(dead_code))]
#[derive(Clone, Copy, Debug)]
pub(in crate::reactor) struct Inquiry {
    pub(in crate::reactor) giver: usize,
    pub(in crate::reactor) asker: Option<PeerId>,
    /// The peers after this one, and how many of them.
    pub(in crate::reactor) after: Option<PeerId>,
    pub(in crate::reactor) most: usize,
    pub(in crate::reactor) answer: &'static dyn Any,
}

#[derive(Debug)]
pub(in crate::reactor) enum Recipients {
    One(PeerId),
    /// The last one is next: they are in reverse order.
    Many(Vec<PeerId>),
    None,
}

impl WaitingOrder {
    /// How many bytes it takes.
    pub(super) fn takes(&self) -> usize {
        let sent = match &self.what {
            OrderKind::Send(bytes) => bytes.len(),
            OrderKind::Connect(..) => size_of::<ToConnect>(),
            _ => 0,
        };
        let listed = if let Recipients::Many(ids) = &self.to { ids.capacity() } else { 0 };
        size_of::<Self>() + sent + listed * size_of::<PeerId>()
    }
}

impl Recipients {
    pub(in crate::reactor) fn next(&mut self) -> Option<PeerId> {
        match self {
            Self::Many(ids) => ids.pop(),
            Self::One(id) => {
                let id = *id;
                *self = Self::None;
                Some(id)
            }
            Self::None => None,
        }
    }

    pub(in crate::reactor) fn len(&self) -> usize {
        match self {
            Self::Many(ids) => ids.len(),
            Self::One(_) => 1,
            Self::None => 0,
        }
    }
}

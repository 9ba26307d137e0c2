//! What a service writes to, and what holds meanwhile.
//!
//! Owns the part of a connection that does not depend on the kind of stream. Knows no service.

use std::net::SocketAddr;
use std::time::Duration;

use crate::reactor::departing::departure::Departure;
use crate::reactor::peer_id::PeerId;
use crate::reactor::time::moment::Moment;
use crate::tcp_info::TcpInfo;

/// What holds for a peer while its service runs. Passed to each call, so that it takes no memory per peer.
#[derive(Clone, Copy, Debug)]
pub(in crate::reactor) struct Terms {
    pub now: Moment,
    /// Where the peer is in its port's table.
    pub slot: u32,
    /// How many bytes of output may wait.
    pub max_output: usize,
    /// How much memory its outbox may take, given what is left for all peers.
    pub may_hold: usize,
    pub alarm: Alarm,
    /// How many bytes were read from the peer, and written to it, in this call.
    pub received: u32,
    pub sent: u32,
}

/// What a service has said during a call about when the peer is to be woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alarm {
    /// Nothing: the alarm stays as it was.
    #[default]
    AsBefore,
    /// At this moment ([`Peer::wake_at`](crate::reactor::Peer::wake_at)).
    At(Moment),
    /// Never ([`Peer::let_sleep`](crate::reactor::Peer::let_sleep)).
    Never,
}

/// The part of a connection that does not depend on the kind of stream: what a service writes to.
pub(in crate::reactor) trait Link {
    fn send(&mut self, bytes: &[u8], terms: &mut Terms);
    fn room(&self, terms: &Terms) -> usize;
    fn close(&mut self, departure: Departure);
    /// A peer that has closed its half stays until `close`.
    fn stay(&mut self);
    fn let_go(&mut self, departure: Departure);
    fn took_output(&self) -> Option<Duration>;
    fn address(&self) -> SocketAddr;
    fn info(&self) -> Option<TcpInfo>;
    /// The address of our end.
    fn local(&self) -> Option<SocketAddr>;
    /// How many bytes wait in the outbox.
    fn waiting(&self) -> usize;
    /// The id of the peer, whose slot this is.
    fn id(&self, slot: u32) -> PeerId;
}

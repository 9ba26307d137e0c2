//! A peer, as its service sees it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::reactor::departing::departure::{Departure, Reason};
use crate::reactor::peer_id::PeerId;
use crate::reactor::serving::link::{Alarm, Link, Terms};
use crate::reactor::serving::orders::Orders;
use crate::reactor::time::moment::Moment;
use crate::tcp_info::TcpInfo;

/// A peer, as its service sees it during a call.
pub struct Peer<'a, T> {
    /// What the service remembers about this peer.
    pub state: &'a mut T,
    pub(in crate::reactor) line: &'a mut dyn Link,
    pub(in crate::reactor) orders: &'a mut Orders,
    pub(in crate::reactor) terms: &'a mut Terms,
}

impl<T> Peer<'_, T> {
    /// Sends bytes, in order. What the kernel does not take at once waits in the outbox.
    ///
    /// The outbox is bounded: a peer for which more would wait than [`Peer::room`] is let go
    /// ([`Departure::OutboxFull`], or [`Departure::MemoryLimit`] where the outboxes of all peers together
    /// leave no more). Sending to a peer that is gone does nothing;
    /// [`Service::departed`](crate::reactor::Service::departed) gets its departure.
    pub fn send(&mut self, bytes: &[u8]) {
        self.line.send(bytes, self.terms);
    }

    /// How many more bytes may wait in the outbox.
    pub fn room(&self) -> usize {
        self.line.room(self.terms)
    }

    /// When this turn heard the peer; in [`Service::woken`](crate::reactor::Service::woken), the moment up to which its
    /// input was received. If the loop was stopped, the time may be well past it.
    pub fn now(&self) -> Moment {
        self.terms.now
    }

    /// Has [`Service::woken`](crate::reactor::Service::woken) called at this moment, in place of the one that was set before,
    /// whether that was sooner or later. A peer that has closed its half is not woken any more.
    ///
    /// To wait for silence, it is cheaper to leave the alarm where it is when the peer speaks, and to set it anew when it
    /// comes too soon: so input moves no timer.
    pub fn wake_at(&mut self, moment: Moment) {
        self.terms.alarm = Alarm::At(moment);
    }

    /// The same, this long from now by the clock. For the answer to something that was sent just now: the peer has the whole
    /// time for it, also if the loop is late.
    pub fn wake_after(&mut self, time: Duration) {
        self.wake_at(self.orders.clock.now() + time);
    }

    /// It is not woken any more.
    pub fn let_sleep(&mut self) {
        self.terms.alarm = Alarm::Never;
    }

    /// What was said about the alarm during this call, which then counts no more. For a service that wraps another one and
    /// has alarms of its own: a peer has only one.
    pub fn take_alarm(&mut self) -> Alarm {
        std::mem::take(&mut self.terms.alarm)
    }

    /// A part of the state, for a service that wraps another one.
    pub fn part<U>(&mut self, part: impl FnOnce(&mut T) -> &mut U) -> Peer<'_, U> {
        Peer { state: part(self.state), line: self.line, orders: self.orders, terms: self.terms }
    }

    /// Ends the connection in an orderly way ([`Departure::ShutDown`]): what was sent is delivered, then a FIN; input that
    /// still comes is read and dropped, so that no reset destroys what was sent.
    pub fn close(&mut self) {
        self.line.close(Departure::ShutDown);
    }

    /// In [`Service::half_closed`](crate::reactor::Service::half_closed): the peer stays until the service closes it, because
    /// something for it is still being made. Without this, it departs when what it was sent before is written.
    pub fn stay(&mut self) {
        self.line.stay();
    }

    /// The same as [`Peer::close`], for a reason that the service names ([`Departure::ByService`]).
    pub fn close_for(&mut self, reason: Reason) {
        self.line.close(Departure::ByService(reason));
    }

    /// Ends the connection now, because the peer's program does not answer, though its kernel may
    /// ([`Departure::Unresponsive`]). What it has not acknowledged is lost.
    pub fn let_go(&mut self) {
        self.line.let_go(Departure::Unresponsive);
    }

    /// The same, for a reason that the service names ([`Departure::ByService`]).
    pub fn let_go_for(&mut self, reason: Reason) {
        self.line.let_go(Departure::ByService(reason));
    }

    /// How long ago output was last sent to the peer; `None` if none waits. While output waits, the peer is
    /// not read, so it may have spoken unheard. Zero if the peer has taken everything that the kernel had, so
    /// that the rest waits only for us.
    pub fn took_output(&self) -> Option<Duration> {
        self.line.took_output()
    }

    /// What the kernel knows of the connection: one getsockopt(2). `None` where it has no figures.
    pub fn info(&self) -> Option<TcpInfo> {
        self.line.info()
    }

    /// How long ago the last sign of life came: data, or an ACK, which also answers a keepalive probe. To the kernel's
    /// tick, 1 to 10 ms. So it tells of the peer's kernel, and not only of what its program says.
    pub fn silent(&self) -> Option<Duration> {
        self.info().map(|info| info.silent)
    }

    /// The other end: where it connected from, or where we connected to.
    pub fn address(&self) -> SocketAddr {
        self.line.address()
    }

    /// What is to be done to other peers.
    pub fn orders(&mut self) -> &mut Orders {
        self.orders
    }

    /// Its name, which no other peer of this loop ever has: to remember it by, and to reach it later.
    pub fn id(&self) -> PeerId {
        self.line.id(self.terms.slot)
    }
}

impl<T> fmt::Debug for Peer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("id", &self.id()).field("address", &self.address()).finish_non_exhaustive()
    }
}

//! A port: a listener, the connections that we make ourselves, and the peers that come of both.
//!
//! Owns how they come: the acceptor says when to accept, the dialer when to connect, the limits who is admitted. What becomes
//! of them is the [`Peers`]' own business.

use std::any::Any;
use std::collections::TryReserveError;
use std::io;
use std::net::SocketAddr;
#[cfg(feature = "upgrade")]
use std::time::Duration;

use mio::Registry;
use mio::event::Event;
use mio::net::TcpStream;

use crate::keepalive::Keepalive;
use crate::reactor::arriving::acceptor::Acceptor;
use crate::reactor::arriving::dialer::{Dial, FIRST_KEY, dialer_of};
use crate::reactor::arriving::listen::{Listen, Listening};
use crate::reactor::connection::readiness::Readiness;
use crate::reactor::departing::tally::Tally;
use crate::reactor::limits::Limits;
use crate::reactor::limits::capacity::Capacity;
use crate::reactor::limits::memory::{Relief, Sizes};
use crate::reactor::observing::figures::Figures;
use crate::reactor::observing::news::News;
use crate::reactor::observing::turn_times::TurnTimes;
use crate::reactor::peer_id::{PeerId, PortId};
use crate::reactor::peers::{Peers, REAP_BUDGET, Relimit};
use crate::reactor::serving::connect::ToConnect;
use crate::reactor::serving::order::{Look, Order, Seen};
use crate::reactor::serving::service::Hosted;
use crate::reactor::source::{Names, Source, Turn};
use crate::reactor::time::moment::Moment;

mod accepting;
mod handing_over;
#[cfg(feature = "upgrade")]
mod written;

/// A listener, and what we connect to; their peers, and the service that they talk to.
pub(super) struct Port {
    /// Only if it listens.
    acceptor: Option<Acceptor>,
    /// Only if it has ever connected to somebody.
    dialer: Option<Box<dyn Dial>>,
    keepalive: Keepalive,
    peers: Peers<TcpStream>,
    names: Names,
    limits: Limits,
    /// It accepts nobody and connects to nobody any more.
    is_stopping: bool,
    /// If only the peers are left that came before.
    #[cfg(feature = "upgrade")]
    was_open_on: Option<SocketAddr>,
}

impl Port {
    /// The key of the listener; a peer's key is its slot, and those of the dialer are below the listener's.
    const LISTENER: usize = Names::MAX_KEY;

    /// Opens the listener and joins the loop under `names`.
    ///
    /// # Errors
    /// The listener cannot be made or registered.
    pub(super) fn listen(
        listen: Listen,
        service: Box<dyn Hosted>,
        registry: &Registry,
        names: Names,
    ) -> io::Result<Self> {
        let limits = listen.limits;
        let apart = listen.apart;
        let acceptor = Acceptor::open(listen, registry, names.token(Self::LISTENER))?;
        let mut peers = Peers::new(service, acceptor.keepalive(), limits, names);
        if let Some(most) = apart {
            peers.set_apart(most);
        }
        let keepalive = acceptor.keepalive().clone();
        Ok(Self::with(Some(acceptor), keepalive, peers, names, limits))
    }

    /// A port that does not listen: all its peers are connected to by us, on these terms.
    pub(super) fn dial(keepalive: Keepalive, limits: Limits, service: Box<dyn Hosted>, names: Names) -> Self {
        let peers = Peers::new(service, &keepalive, limits, names);
        Self::with(None, keepalive, peers, names, limits)
    }

    fn with(
        acceptor: Option<Acceptor>,
        keepalive: Keepalive,
        peers: Peers<TcpStream>,
        names: Names,
        limits: Limits,
    ) -> Self {
        Self {
            acceptor,
            dialer: None,
            keepalive,
            peers,
            names,
            limits,
            is_stopping: false,
            #[cfg(feature = "upgrade")]
            was_open_on: None,
        }
    }

    /// Where it listens, and with which deadline.
    ///
    /// # Errors
    /// The port does not listen, or not any more.
    pub(super) fn listening(&self) -> io::Result<Listening> {
        let acceptor = self.acceptor.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Listening { address: acceptor.address()?, keepalive: acceptor.keepalive().clone(), port: self.id() })
    }

    /// The peer in the lowest slot.
    #[cfg(test)]
    pub(super) fn first_peer(&self) -> Option<PeerId> {
        self.peers.next_peer(0)
    }

    pub(super) fn id(&self) -> PortId {
        PortId::of(self.names.source())
    }

    /// Makes what these limits need.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(super) fn prepare(&self, limits: Limits) -> Result<Relimit, TryReserveError> {
        self.peers.prepare(limits)
    }

    /// These limits hold from now on.
    pub(super) fn limit(&mut self, limits: Limits, relimit: Relimit, now: Moment) {
        self.limits = limits;
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.limit(limits);
        }
        self.peers.limit(relimit, now);
    }

    /// How many peers it may have, if they are apart from those of the other ports.
    pub(super) fn room_apart(&self) -> usize {
        self.peers.room_apart()
    }

    /// Calls the service if it is called, accepts, and connects.
    #[inline(never)]
    fn let_come(&mut self, turn: &mut Turn<'_>) {
        self.peers.call_service(turn);
        self.accept_peers(turn);
        if self.acceptor.as_ref().is_some_and(Acceptor::is_latched) {
            turn.stay_awake(self.names); // another port's departure may give it room
        }
        if let Some(dialer) = &mut self.dialer {
            dialer.dial(&mut self.peers, turn, self.names);
        }
    }

    /// False if its peers stay: they may watch how the others go.
    fn accept_no_more(&mut self) -> bool {
        if self.peers.is_apart() {
            return false;
        }
        self.is_stopping = true;
        // What waits in the backlog is reset by the kernel.
        self.acceptor = None;
        if let Some(dialer) = &mut self.dialer {
            dialer.stop();
        }
        true
    }

    /// Frees the slots of peers that have departed.
    #[inline(never)]
    fn let_leave(&mut self, turn: &mut Turn<'_>) {
        let budget = if turn.crowded { 1 } else { REAP_BUDGET };
        for _ in 0..budget {
            let Some(id) = self.peers.reap(turn) else { break };
            if let Some(dialer) = &mut self.dialer {
                dialer.departs(id, turn.now);
            }
        }
    }

    /// Its peers' keepalive, as far as this kernel supports it.
    #[cfg(feature = "upgrade")]
    pub(super) fn keepalive(&self) -> &Keepalive {
        &self.keepalive
    }

    /// Frees the slots of all peers that have departed.
    #[cfg(feature = "upgrade")]
    pub(super) fn reap_all(&mut self, turn: &mut Turn<'_>) {
        while self.peers.reap(turn).is_some() {}
    }
}

impl Source for Port {
    fn latch(&mut self, key: usize, event: &Event) {
        match u32::try_from(key) {
            Ok(slot) if key < FIRST_KEY => self.peers.latch(slot, Readiness::of(event)),
            _ if key == Self::LISTENER => self.acceptor.iter_mut().for_each(Acceptor::latch),
            _ => self.dialer.iter_mut().for_each(|dialer| dialer.latch(key)),
        }
    }

    fn drive(&mut self, turn: &mut Turn<'_>) {
        self.peers.drive(turn);
        #[cfg(feature = "upgrade")]
        self.peers.refit_some(turn.now);
    }

    fn accept(&mut self, turn: &mut Turn<'_>) {
        let is_latched = self.acceptor.as_ref().is_some_and(Acceptor::is_latched);
        // In most turns nobody comes.
        if is_latched || self.dialer.is_some() || self.peers.is_called(turn) {
            self.let_come(turn);
        }
    }

    fn carry_out(&mut self, peer: PeerId, order: Order<'_>, turn: &mut Turn<'_>) {
        self.peers.carry_out(peer, order, turn);
    }

    fn look(&mut self, peer: PeerId) -> Option<Seen> {
        self.peers.look_at(peer)
    }

    fn looked(&mut self, look: &Look, turn: &mut Turn<'_>) {
        self.peers.looked(look, turn);
    }

    fn next_peer(&self, slot: u32) -> Option<PeerId> {
        if self.peers.is_apart() { None } else { self.peers.next_peer(slot) }
    }

    fn counted(&mut self, figures: &Figures, asker: Option<PeerId>, turn: &mut Turn<'_>) {
        self.peers.counted(figures, asker, turn);
    }

    fn observe(&mut self, news: &[News], turn: &mut Turn<'_>) {
        self.peers.observe(news, turn);
    }

    fn turned(&mut self, times: &TurnTimes, turn: &mut Turn<'_>) {
        self.peers.turned(times, turn);
    }

    fn connect(&mut self, to: ToConnect) {
        if !self.is_stopping {
            let Some(dialer) = self.dialer.take().or_else(|| dialer_of(&to, &self.keepalive)) else { return };
            self.dialer.insert(dialer).add(to.connect);
        }
    }

    fn expire(&mut self, turn: &mut Turn<'_>) {
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.expire(turn.heard);
        }
        self.peers.expire(turn);
    }

    fn reap(&mut self, turn: &mut Turn<'_>) {
        // In most turns nobody goes.
        if self.peers.has_departed() {
            self.let_leave(turn);
        }
        self.peers.report(turn.now);
    }

    fn is_runnable(&self, capacity: &Capacity) -> bool {
        let accepts = self.acceptor.as_ref().is_some_and(|acceptor| acceptor.is_ready(self.peers.room(capacity)));
        self.peers.has_work() || accepts || self.dialer.as_ref().is_some_and(|dialer| dialer.is_ready())
    }

    fn deadline(&self) -> Option<Moment> {
        let accepts = self.acceptor.as_ref().map_or(Moment::NEVER, Acceptor::deadline);
        let dials = self.dialer.as_ref().map_or(Moment::NEVER, |dialer| dialer.deadline());
        self.peers.deadline().min(accepts).min(dials).if_ever()
    }

    fn stop(&mut self, by: Moment) {
        if self.accept_no_more() {
            self.peers.stop(by);
        }
    }

    #[cfg(feature = "upgrade")]
    fn stop_evenly(&mut self, now: Moment, over: Duration, grace: Duration) {
        if self.accept_no_more() {
            self.peers.stop_evenly(now, over, grace);
        }
    }

    fn is_busy(&self) -> bool {
        self.peers.len() > 0 && !self.peers.is_apart()
    }

    fn weigh(&self, sizes: &mut Sizes) {
        self.peers.weigh(sizes);
    }

    fn relieve(&mut self, relief: &mut Relief) {
        self.peers.relieve(relief);
    }

    fn addresses(&self, tell: &mut dyn FnMut(SocketAddr)) {
        self.peers.addresses(tell);
    }

    fn count(&self, total: &mut Tally) {
        if !self.peers.is_apart() {
            *total += self.peers.tally();
        }
    }

    fn as_any(&mut self) -> Option<&mut dyn Any> {
        Some(self)
    }
}

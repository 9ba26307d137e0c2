//! The peers of a port: their table, their deadlines, and the service that they talk to.
//!
//! Owns what a turn does for each of them, from its arrival until it is reaped. Knows neither where they come from (the port
//! does) nor what kind of stream they have: scripted streams make a service's test of the very code that serves.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use log::{LevelFilter, debug, info, trace, warn};

use crate::keepalive::Keepalive;
use crate::malloc;
use crate::reactor::connection::readiness::Readiness;
use crate::reactor::connection::stream::Stream;
use crate::reactor::connection::{Connection, Flow};
use crate::reactor::departing::departure::Departure;
use crate::reactor::departing::farewell::Farewell;
use crate::reactor::departing::tally::{Summary, Tally};
use crate::reactor::limits::capacity::Capacity;
use crate::reactor::limits::memory::{Relief, Sizes};
use crate::reactor::limits::{Limits, WhenFull};
use crate::reactor::peers::deadlines::Deadlines;
use crate::reactor::peers::table::Table;
use crate::reactor::serving::orders::{Look, Order, Seen};
use crate::reactor::serving::peer_id::PeerId;
use crate::reactor::serving::saved::{CannotRestore, CannotSave, Saved};
use crate::reactor::serving::service::{Alarm, Attempt, Hosted, Line, Serving, Terms};
use crate::reactor::source::{Names, Turn};
use crate::reactor::time::moment::Moment;

mod deadlines;
mod due;
mod idle;
pub(in crate::reactor) mod queue;
mod table;

/// How many peers that may have ended are driven in a turn, after the others; one, if more events wait.
const LEAVING_BUDGET: usize = 64;
/// How many sockets are closed in a turn, because closing is the most expensive thing that a turn does; one, if more events
/// wait.
pub(super) const REAP_BUDGET: usize = 16;

/// How a peer came.
#[derive(Clone, Copy)]
pub(super) enum Arrival<'a> {
    /// It connected to us.
    Accepted,
    /// We connected to it, under this label.
    Connected(u64),
    /// It was served elsewhere until now.
    Restored(&'a Saved),
}

/// Why a newcomer has not arrived.
pub(super) enum NotArrived {
    /// It could not be registered with epoll: it was refused.
    Unregistered(io::Error),
    /// The service does not take it over.
    NotRestored(CannotRestore),
}

/// What preceded something that was written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Preceded {
    /// Input, which is a sign of life: the peer has its whole deadline before it.
    Input,
    /// No sign of life: it was a greeting, a ping, or our FIN. The peer may have been silent for long, and this gives it no new
    /// deadline, so it is looked at immediately.
    Nothing,
    /// It was an order, so that is not known. The peer is looked at with the next batch: one order may be for thousands.
    Unknown,
}

/// The peers of a port.
pub(super) struct Peers<S> {
    service: Box<dyn Hosted>,
    table: Table<S>,
    deadlines: Deadlines,
    names: Names,
    limits: Limits,
    /// What holds for all peers; the time, the slot and `may_hold` are filled in for each call.
    terms: Terms,
    tally: Tally,
    summary: Summary,
    /// The service wants to be called again ([`Service::called`](crate::reactor::Service::called)).
    has_more_to_do: bool,
    is_stopping: bool,
}

impl<S: Stream> Peers<S> {
    pub(super) fn new(service: Box<dyn Hosted>, keepalive: &Keepalive, limits: Limits, names: Names) -> Self {
        let evicts = limits.when_full() == WhenFull::EvictOldestIdle;
        let (now, may_hold) = (Moment::default(), 0);
        Self {
            service,
            table: Table::new(),
            deadlines: Deadlines::new(keepalive, limits.stalled(), evicts),
            names,
            limits,
            terms: Terms { now, slot: 0, max_output: limits.max_output(), may_hold, alarm: Alarm::AsBefore },
            tally: Tally::default(),
            summary: Summary::default(),
            has_more_to_do: false,
            is_stopping: false,
        }
    }

    /// The kernel has no figures after all: there is nothing to look at, and a user timeout keeps the deadline.
    pub(super) fn watch_no_more(&mut self) {
        self.deadlines.watch = None;
    }

    /// A peer was lost while it waited to be accepted.
    pub(super) fn count_lost(&mut self) {
        self.tally.lost += 1;
    }

    /// An attempt to connect has failed.
    pub(super) fn unreachable(&mut self, attempt: &Attempt<'_>, turn: &mut Turn<'_>) {
        turn.orders.giver = self.names.source();
        self.service.unreachable(attempt, turn.orders);
    }

    /// The service gets the answer to a look that it has asked for.
    pub(super) fn looked(&mut self, look: &Look, turn: &mut Turn<'_>) {
        turn.orders.giver = self.names.source();
        self.service.looked(look, turn.orders);
    }

    /// A table that cannot grow aborts the program, which would cut off every peer. So what it is going to
    /// allocate is allocated here first, in a way that may fail, and freed again. False: there is no memory for one more.
    pub(super) fn reserve(&mut self, turn: &mut Turn<'_>) -> bool {
        let slot = self.table.vacant();
        if !turn.capacity.memory.has_room_for_a_peer()
            || self.service.reserve(slot).is_err()
            || self.deadlines.reserve_for(slot as usize + 1).is_err()
            || turn.capacity.reserve().is_err()
        {
            return false;
        }
        let growth = self.table.growth();
        if growth == 0 {
            return true;
        }
        let mut larger = Vec::<(usize, Connection<S>)>::new();
        let granted = larger.try_reserve_exact(growth).is_ok();
        // The compiler may optimize away an allocation that is never used.
        std::hint::black_box(&larger);
        granted && malloc::leaves_room()
    }

    /// A newcomer, for which memory is reserved.
    ///
    /// # Errors
    /// It has not arrived, and its stream is closed.
    pub(super) fn arrive(
        &mut self,
        mut stream: S,
        address: SocketAddr,
        arrival: Arrival<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<PeerId, NotArrived> {
        debug!("{address} arrived");
        let slot = self.table.vacant();
        if let Err(error) = stream.register(turn.registry, self.names.token(slot as usize)) {
            warn!("{address} cannot be registered with epoll and is refused: {error}");
            self.refuse(stream, address, Departure::of(&error, || None));
            return Err(NotArrived::Unregistered(error));
        }
        let mut connection = Connection::new(stream, address, turn.capacity.stamp(turn.now, self.names.source()));
        let id = connection.id(slot);
        turn.orders.giver = self.names.source();
        let memory = &mut turn.capacity.memory;
        let terms = Terms { now: turn.now, slot, may_hold: memory.left(), ..self.terms };
        let mut serving = Serving { service: &mut *self.service, orders: turn.orders, scratch: &mut [], terms };
        serving
            .call(&mut connection, |service, peer| match arrival {
                Arrival::Accepted => {
                    service.arrived(peer);
                    Ok(())
                }
                Arrival::Connected(label) => {
                    service.connected(peer, label);
                    Ok(())
                }
                Arrival::Restored(saved) => service.restore(peer, saved),
            })
            .map_err(NotArrived::NotRestored)?;
        let alarm = serving.terms.alarm;
        memory.changed(0, connection.holds());
        self.table.insert(connection);
        self.tally.accepted += 1;
        turn.capacity.arrive(address);
        if let Some(idle) = &mut self.deadlines.idle {
            idle.set(slot, turn.now);
        }
        self.settle(slot, Preceded::Nothing, alarm, turn);
        Ok(id)
    }

    /// A newcomer that is refused. The service never hears of it.
    pub(super) fn refuse(&mut self, mut stream: S, peer: SocketAddr, departure: Departure) {
        // The peer knows at once, and nothing is left in the kernel.
        stream.reset_on_close();
        self.tally.accepted += 1;
        self.count(departure);
        let connected = Duration::ZERO;
        debug!("{}", Farewell { id: None, peer, departure, reason: None, connected, line: None });
    }

    fn count(&mut self, departure: Departure) {
        self.tally.departures.count(departure);
        // Whether the log takes lines of this module is checked when there is one to write.
        if log::max_level() >= LevelFilter::Info {
            self.summary.count(departure);
        }
    }

    /// Remembers what the kernel announced for the peer in this slot.
    pub(super) fn latch(&mut self, slot: u32, news: Readiness) {
        self.table.latch(slot, news);
    }

    /// Drives every peer that can make progress, each within its budget.
    pub(super) fn drive(&mut self, turn: &mut Turn<'_>) {
        // A peer that yields is driven in the next turn.
        let mut running = self.table.take_runnable();
        while let Some(slot) = self.table.next_of(&mut running) {
            if turn.orders.are_many() {
                self.table.schedule(slot);
            } else {
                self.drive_peer(slot, turn);
            }
        }
        let budget = if turn.crowded { 1 } else { LEAVING_BUDGET };
        for _ in 0..budget {
            let Some(slot) = self.table.next_leaving() else { break };
            self.drive_peer(slot, turn);
        }
    }

    fn drive_peer(&mut self, slot: u32, turn: &mut Turn<'_>) {
        // If the service measures silence, input in the middle of a turn is dated by the clock: by the
        // turn's own time it would seem older than it is.
        let now = if self.deadlines.alarms.is_empty() { turn.now } else { turn.clock.now() };
        let most = turn.scratch.len().min(self.limits.max_output() / 2).min(turn.capacity.memory.portion());
        let driven = self.serve(slot, now, most, turn, |connection, serving| {
            let lingered = connection.lingers();
            let flow = connection.drive(serving);
            (flow, connection.lingers() && !lingered)
        });
        let Some(((flow, lingers_now), alarm)) = driven else { return };
        match flow {
            Ok(Flow::Blocked) => {}
            Ok(Flow::Yield) => self.table.go_on(slot),
            Ok(Flow::Starved) => self.remember(slot, turn.now, |deadlines, id| deadlines.starved.arm(turn.now, id)),
            Err(_) => return self.table.depart(slot),
        }
        if lingers_now {
            self.remember(slot, turn.now, |deadlines, id| deadlines.lingering.arm(turn.now, id));
        }
        self.settle(slot, if lingers_now { Preceded::Nothing } else { Preceded::Input }, alarm, turn);
    }

    /// Does something with a connection and what it is served with, and sees to how much memory its outbox takes.
    /// At most `most` bytes are read at once. Returns what the service has said about its next call, too.
    fn serve<R>(
        &mut self,
        slot: u32,
        now: Moment,
        most: usize,
        turn: &mut Turn<'_>,
        act: impl FnOnce(&mut Connection<S>, &mut Serving<'_, dyn Hosted>) -> R,
    ) -> Option<(R, Alarm)> {
        let connection = self.table.get_mut(slot)?;
        let memory = &mut turn.capacity.memory;
        let held = connection.holds();
        let terms = Terms { now, slot, may_hold: held + memory.left(), ..self.terms };
        let (service, scratch) = (&mut *self.service, &mut turn.scratch[..most]);
        let mut serving = Serving { service, orders: turn.orders, scratch, terms };
        let result = act(connection, &mut serving);
        let alarm = serving.terms.alarm;
        memory.changed(held, connection.holds());
        Some((result, alarm))
    }

    /// What follows when something may have been written to a peer: epoll is asked to announce room for what waits, the
    /// watch and the search for stalls learn of it, its alarm is set, and it is driven if its end is decided.
    fn settle(&mut self, slot: u32, preceded: Preceded, alarm: Alarm, turn: &Turn<'_>) {
        let Some(connection) = self.table.get_mut(slot) else { return };
        // Few peers ever need this; registered for it from the start, each would cost one event.
        if connection.take_wish_for_room() {
            let token = self.names.token(slot as usize);
            if let Err(error) = connection.stream_mut().register_for_room(turn.registry, token) {
                warn!("{} cannot be registered for writing and is let go: {error}", connection.address());
                connection.let_go(Departure::of(&error, || None));
            }
        }
        if preceded != Preceded::Input && connection.has_to_end() {
            self.table.schedule(slot);
        }
        self.watch_peer(slot, preceded, turn);
        self.watch_output(slot, turn.now);
        match alarm {
            Alarm::AsBefore => {}
            Alarm::At(moment) => self.deadlines.alarms.set(slot, moment),
            Alarm::Never => self.deadlines.alarms.cancel(slot),
        }
    }

    /// Carries out an order.
    pub(super) fn carry_out(&mut self, peer: PeerId, order: Order<'_>, turn: &mut Turn<'_>) {
        if !self.table.has(peer) {
            return;
        }
        let slot = peer.slot();
        self.serve(slot, turn.now, 0, turn, |connection, serving| match order {
            Order::Send(bytes) => connection.send(bytes, &serving.terms),
            Order::Close(departure) => connection.close(departure),
            Order::LetGo(departure) => connection.let_go(departure),
        });
        self.settle(slot, Preceded::Unknown, Alarm::AsBefore, turn);
    }

    /// What can be seen of a peer.
    pub(super) fn look_at(&mut self, peer: PeerId) -> Option<Seen> {
        let connection = self.table.of(peer)?;
        Some(Seen {
            address: connection.address(),
            arrived: connection.arrival(),
            waiting: connection.waiting(),
            info: connection.info(),
        })
    }

    /// Tells the service that somebody has called, or that it wanted to go on.
    pub(super) fn call_service(&mut self, turn: &mut Turn<'_>) {
        self.has_more_to_do |= turn.called;
        if self.has_more_to_do && !turn.orders.are_many() {
            turn.orders.giver = self.names.source();
            self.has_more_to_do = self.service.called(turn.orders);
        }
    }

    /// Frees the slot of the next peer that has departed, and reports its departure.
    pub(super) fn reap(&mut self, turn: &mut Turn<'_>) -> Option<PeerId> {
        let (slot, connection) = self.table.take_departed()?;
        if self.table.give_back() {
            self.deadlines.clear();
        }
        trace!("slot {slot} is reaped");
        self.deadlines.depart(slot);
        let id = connection.id(slot);
        let departure = connection.departure()?;
        let reason =
            if let Departure::ByService(reason) = departure { Some(self.service.reason(reason)) } else { None };
        let farewell = Farewell {
            id: Some(id),
            peer: connection.address(),
            departure,
            reason,
            connected: turn.now.since(connection.arrival()),
            line: Some(&connection),
        };
        turn.capacity.depart(farewell.peer);
        debug!("{farewell}");
        self.count(departure);
        turn.orders.giver = self.names.source();
        self.service.depart(slot, &farewell, turn.orders);
        Some(id)
    }

    /// After reaping: the departures are logged.
    pub(super) fn report(&mut self, now: Moment) {
        if let Some(departures) = self.summary.due(now, self.table.has_departed()) {
            info!("{departures}; {} connected", self.table.len());
        }
    }

    /// There is work that no event will announce.
    pub(super) fn has_work(&self) -> bool {
        self.table.has_work() || self.has_more_to_do
    }

    /// When the loop must wake for the next deadline.
    pub(super) fn deadline(&self) -> Moment {
        let service = self.service.deadline().unwrap_or(Moment::NEVER);
        self.deadlines.next().min(self.summary.deadline()).min(service)
    }

    /// Ends all of them in an orderly way, until `by` at the latest.
    pub(super) fn stop(&mut self, by: Moment) {
        (self.is_stopping, self.deadlines.stop_by) = (true, by);
        for slot in self.table.slots() {
            if let Some(connection) = self.table.get_mut(slot) {
                connection.close(Departure::ShutDown);
                self.table.schedule(slot);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The peer in the lowest slot.
    #[cfg(test)]
    pub(super) fn first(&self) -> Option<PeerId> {
        self.table.slots().find_map(|slot| self.table.get(slot).map(|connection| connection.id(slot)))
    }

    /// Ends a connection for a reason of ours.
    fn let_go(&mut self, slot: u32, departure: Departure) {
        let Some(connection) = self.table.get_mut(slot) else { return };
        connection.let_go(departure);
        self.table.schedule(slot);
    }

    pub(super) fn weigh(&self, sizes: &mut Sizes) {
        self.table.iter().for_each(|connection| sizes.add(connection.holds(), connection.is_ending()));
    }

    pub(super) fn relieve(&mut self, relief: &mut Relief) {
        for slot in self.table.slots() {
            if relief.excess == 0 {
                return;
            }
            let Some(connection) = self.table.get(slot) else { continue };
            let held = connection.holds();
            let is_large = held >= relief.least && !connection.is_ending();
            if is_large && (!relief.only_stuck || connection.is_stuck()) {
                relief.take(held);
                self.let_go(slot, Departure::MemoryLimit);
            }
        }
    }

    pub(super) fn addresses(&self, tell: &mut dyn FnMut(SocketAddr)) {
        self.table.iter().for_each(|connection| tell(connection.address()));
    }

    pub(super) fn tally(&self) -> Tally {
        Tally { connected: self.table.len(), ..self.tally }
    }

    /// Takes a peer out of the table, with what its service remembers and what waits for it, so that it can be served
    /// elsewhere. Between two turns only: no event of it may be latched.
    ///
    /// # Errors
    /// See [`CannotSave`]; the peer stays.
    pub(super) fn release(&mut self, peer: PeerId, capacity: &mut Capacity) -> Result<(S, Saved, Vec<u8>), CannotSave> {
        let connection = self.table.of(peer).ok_or(CannotSave::Gone)?;
        connection.check_releasable()?;
        let saved = self.service.save_slot(peer.slot())?;
        let connection = self.table.take(peer.slot()).ok_or(CannotSave::Gone)?;
        capacity.memory.changed(connection.holds(), 0);
        capacity.depart(connection.address());
        self.deadlines.depart(peer.slot());
        self.service.forget_slot(peer.slot());
        let (stream, unsent) = connection.take_apart();
        Ok((stream, saved, unsent))
    }
}

//! The peers of a port: their table, their deadlines, and the service that they talk to.
//!
//! Owns what a turn does for each of them, from its arrival until it is reaped. Knows neither where they come from (the port
//! does) nor what kind of stream they have: scripted streams make a service's test of the very code that serves.

use std::net::SocketAddr;
use std::time::Duration;

pub(super) use self::arrivals::{Arrival, NotArrived};
pub(super) use self::relimit::Relimit;
use crate::keepalive::Keepalive;
use crate::reactor::connection::readiness::Readiness;
use crate::reactor::connection::stream::Stream;
use crate::reactor::connection::{Connection, Flow};
use crate::reactor::departing::departure::Departure;
use crate::reactor::departing::tally::{Summary, Tally};
use crate::reactor::limits::capacity::{Capacity, Room};
use crate::reactor::limits::{Limits, WhenFull};
use crate::reactor::observing::IS_THERE;
use crate::reactor::observing::figures::Figures;
use crate::reactor::observing::news::News;
use crate::reactor::observing::turn_times::TurnTimes;
use crate::reactor::peer_id::PeerId;
use crate::reactor::peers::deadlines::Deadlines;
use crate::reactor::peers::table::Table;
use crate::reactor::serving::link::{Alarm, Link, Terms};
use crate::reactor::serving::order::{Look, Order, Seen};
use crate::reactor::serving::service::{Attempt, Hosted, Serving};
use crate::reactor::source::{Names, Turn};
use crate::reactor::time::moment::Moment;
use crate::told::warn;

mod arrivals;
mod deadlines;
mod departures;
mod due;
mod idle;
#[cfg(feature = "upgrade")]
mod one_by_one;
#[cfg(feature = "upgrade")]
mod refit;
mod relimit;
mod table;
#[cfg(feature = "upgrade")]
mod written;

/// How many peers that may have ended are driven in a turn, after the others; one, if more events wait.
const LEAVING_BUDGET: usize = 64;
/// How many sockets are closed in a turn, because closing is the most expensive thing that a turn does; one, if more events
/// wait.
pub(super) const REAP_BUDGET: usize = 16;

/// What preceded something that was written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Preceded {
    /// Input, which is a sign of life: the peer has its whole deadline before it.
    Input,
    /// No sign of life: it was a greeting, a ping, or our FIN. The peer may have been silent for long, and this gives it no new
    /// deadline, so it is looked at immediately.
    Nothing,
    /// That is not known: it was an order for many. They are looked at in one batch, half a second later; at once, it would be
    /// a system call more for each of thousands. So such a peer may be found dead by so much past its deadline.
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
    /// They are closed one by one.
    #[cfg(feature = "upgrade")]
    one_by_one: Option<Box<one_by_one::OneByOne>>,
    /// Their room, if they are apart from the other peers of the loop.
    apart: Option<Room>,
    /// When the latest of them should be found that is dead.
    latest: Duration,
    /// Those that came when other options applied; `None`: there are none.
    #[cfg(feature = "upgrade")]
    refit: Option<refit::Refit>,
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
            terms: Terms {
                now,
                slot: 0,
                max_output: limits.max_output(),
                may_hold,
                alarm: Alarm::AsBefore,
                received: 0,
                sent: 0,
            },
            tally: Tally::default(),
            summary: Summary::default(),
            has_more_to_do: false,
            is_stopping: false,
            #[cfg(feature = "upgrade")]
            one_by_one: None,
            apart: None,
            #[cfg(feature = "upgrade")]
            refit: None,
            latest: if IS_THERE { keepalive.latest().unwrap_or(Duration::MAX) } else { Duration::MAX },
        }
    }

    /// They do not count among the peers of the loop, and there may be this many.
    pub(super) fn set_apart(&mut self, most: usize) {
        self.apart = Some(Room::of(most));
    }

    /// How many there may be, if they are apart.
    pub(super) fn room_apart(&self) -> usize {
        self.apart.as_ref().map_or(0, Room::limit)
    }

    pub(super) fn is_apart(&self) -> bool {
        self.apart.is_some()
    }

    /// What a newcomer needs room in.
    pub(super) fn room<'a>(&'a self, capacity: &'a Capacity) -> &'a Room {
        self.apart.as_ref().unwrap_or(&capacity.room)
    }

    /// The kernel has no figures after all: there is nothing to look at, and a user timeout keeps the deadline.
    pub(super) fn watch_no_more(&mut self) {
        self.deadlines.watch = None;
    }

    /// An attempt to connect has failed.
    pub(super) fn unreachable(&mut self, attempt: &Attempt<'_>, turn: &mut Turn<'_>) {
        self.service.unreachable(attempt, turn.orders);
    }

    /// The service gets the answer to a look that it has asked for.
    pub(super) fn looked(&mut self, look: &Look, turn: &mut Turn<'_>) {
        self.service.looked(look, turn.orders);
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
        let Terms { alarm, received, sent, .. } = serving.terms;
        memory.changed(held, connection.holds());
        self.tally.received += u64::from(received);
        self.tally.sent += u64::from(sent);
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
        let served = self.serve(slot, turn.now, 0, turn, |connection, serving| match order {
            Order::Send(bytes) => connection.send(bytes, &mut serving.terms),
            Order::Close(departure) => connection.close(departure),
            Order::LetGo(departure) => connection.let_go(departure),
            Order::Call if connection.is_open() => serving.call(connection, |service, peer| service.called_for(peer)),
            Order::Call => {}
        });
        let preceded = if turn.orders.is_for_one { Preceded::Nothing } else { Preceded::Unknown };
        self.settle(slot, preceded, served.map_or(Alarm::AsBefore, |((), alarm)| alarm), turn);
    }

    /// The first peer in this slot or a later one.
    pub(super) fn next_peer(&self, slot: u32) -> Option<PeerId> {
        let slots = slot..self.table.slots().end;
        slots.into_iter().find_map(|slot| self.table.get(slot).map(|connection| connection.id(slot)))
    }

    /// The service is told what has happened.
    pub(super) fn observe(&mut self, news: &[News], turn: &mut Turn<'_>) {
        self.service.observed(news, turn.orders);
    }

    /// The service is told where the turn has spent its time.
    pub(super) fn turned(&mut self, times: &TurnTimes, turn: &mut Turn<'_>) {
        self.service.turned(times, turn.orders);
    }

    /// The service gets the figures that it has asked for.
    pub(super) fn counted(&mut self, figures: &Figures, asker: Option<PeerId>, turn: &mut Turn<'_>) {
        self.service.counted(figures, asker, turn.orders);
    }

    /// What can be seen of a peer.
    pub(super) fn look_at(&mut self, peer: PeerId) -> Option<Seen> {
        let connection = self.table.of(peer)?;
        Some(Seen {
            address: connection.address(),
            local: connection.local(),
            arrived: connection.arrival(),
            waiting: connection.waiting(),
            info: connection.info(),
        })
    }

    /// Tells the service that somebody has called, or that it wanted to go on.
    pub(super) fn call_service(&mut self, turn: &mut Turn<'_>) {
        self.has_more_to_do |= turn.called;
        if self.has_more_to_do && !turn.orders.are_many() {
            self.has_more_to_do = self.service.called(turn.orders);
        }
    }

    /// Somebody has called, or the service wanted to go on.
    pub(super) fn is_called(&self, turn: &Turn<'_>) -> bool {
        turn.called || self.has_more_to_do
    }

    /// Some have departed, and are still to be reaped.
    pub(super) fn has_departed(&self) -> bool {
        self.table.has_departed()
    }

    /// There is work that no event will announce.
    pub(super) fn has_work(&self) -> bool {
        #[cfg(feature = "upgrade")]
        if self.refits() {
            return true;
        }
        self.table.has_work() || self.has_more_to_do
    }

    /// When the loop must wake for the next deadline.
    pub(super) fn deadline(&self) -> Moment {
        let service = self.service.deadline().unwrap_or(Moment::NEVER);
        #[cfg(feature = "upgrade")]
        let service = self.one_by_one.as_ref().map_or(service, |all| service.min(all.deadline()));
        #[cfg(feature = "upgrade")]
        let service = service.min(self.refit_deadline());
        self.deadlines.next().min(self.summary.deadline()).min(service)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn addresses(&self, tell: &mut dyn FnMut(SocketAddr)) {
        self.table.iter().for_each(|connection| tell(connection.address()));
    }

    pub(super) fn tally(&self) -> Tally {
        Tally { connected: self.table.len(), ..self.tally }
    }
}

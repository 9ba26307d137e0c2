//! The peers of a port, written down: another program goes on with them, under the same ids and with the same deadlines.
//!
//! Owns what of a port's peers is written, and how each finds its slot, its place in epoll and its deadlines again. Neither program
//! serves anybody meanwhile. Knows no descriptor's number beyond the one that is written with each peer.

use std::os::fd::{OwnedFd, RawFd};

use mio::net::TcpStream;

use crate::keepalive::owing::Owing;
use crate::reactor::connection::Connection;
use crate::reactor::connection::stream::Stream;
use crate::reactor::connection::written::Written;
use crate::reactor::departing::departure::Departure;
use crate::reactor::departing::tally::Tally;
use crate::reactor::observing::news::Incident;
use crate::reactor::peer_id::{PeerId, Stamp};
use crate::reactor::peers::{Peers, Preceded};
use crate::reactor::serving::farewell::Farewell;
use crate::reactor::serving::link::{Alarm, Terms};
use crate::reactor::serving::saved::Saved;
use crate::reactor::serving::service::Serving;
use crate::reactor::source::Turn;
use crate::reactor::state::fields::{Reader, Torn, Writer};
use crate::reactor::state::records;
use crate::reactor::state::{CannotWriteDown, Sockets};
use crate::reactor::time::alarms::Alarms;
use crate::reactor::time::moment::Moment;
use crate::reactor::time::timers::{Timer, Timers};
use crate::reactor::time::watch::Watch;
use crate::told::warn;

/// What an entry of a list of deadlines takes at most.
const ENTRY: usize = 64;

impl<S: Stream> Peers<S> {
    /// Writes down all of them, and adds the numbers of their sockets. Between two turns only.
    ///
    /// # Errors
    /// The service cannot, or there is no memory. Nothing has changed.
    pub(in crate::reactor) fn write_down(
        &mut self,
        to: &mut Writer,
        numbers: &mut Vec<RawFd>,
    ) -> Result<(), CannotWriteDown> {
        let no_memory = |_| CannotWriteDown::NoMemory;
        numbers.try_reserve(self.table.len()).map_err(no_memory)?;
        let saved = self.service.save_service().map_err(CannotWriteDown::Service)?;
        let lists = ENTRY * (8 * self.table.len() + 8);
        if !to.reserve(lists + saved.size() + ENTRY) {
            return Err(CannotWriteDown::NoMemory);
        }
        to.record(records::TALLY, |to| write_tally(&self.tally, to));
        to.record(records::SERVICE, |to| saved.write_down(to));
        to.record(records::PEERS, |to| {
            to.u32(self.table.len() as u32);
            for slot in self.table.slots() {
                let Some(connection) = self.table.get(slot) else { continue };
                let saved = match self.service.save_slot(slot) {
                    Ok(saved) => saved,
                    // Whatever it remembers: this peer departs as soon as it is driven.
                    Err(_) if connection.is_ending() => Saved::default(),
                    Err(because) => return Err(CannotWriteDown::Service(because)),
                };
                numbers.push(connection.write_down(slot, &saved, to).map_err(|_| CannotWriteDown::NoMemory)?);
            }
            Ok(())
        })?;
        self.write_deadlines(to);
        Ok(())
    }

    fn write_deadlines(&self, to: &mut Writer) {
        let deadlines = &self.deadlines;
        to.record(records::LINGERING, |to| write_timers(&deadlines.lingering, to));
        to.record(records::STARVED, |to| write_timers(&deadlines.starved, to));
        if let Some((_, watch)) = &deadlines.watch {
            to.record(records::WATCH_BATCH, |to| write_batch(watch, to));
            to.record(records::SUSPECTS, |to| {
                watch.each_suspect(&mut |due, id, owing| {
                    to.moment(due);
                    write_id(id, to);
                    let numbers = owing.map_or([0; Owing::NUMBERS], Owing::to_numbers);
                    to.u8(owing.is_some().into());
                    numbers.iter().for_each(|number| to.u32(*number));
                });
            });
        }
        if let Some((_, stall)) = &deadlines.stall {
            to.record(records::STALL_BATCH, |to| write_batch(stall, to));
            to.record(records::STALL_SUSPECTS, |to| {
                stall.each_suspect(&mut |due, id, ()| {
                    to.moment(due);
                    write_id(id, to);
                });
            });
        }
        to.record(records::ALARMS, |to| write_alarms(&deadlines.alarms, to));
        if let Some(idle) = &deadlines.idle {
            to.record(records::IDLE, |to| write_alarms(idle, to));
        }
    }

    /// What the program before has counted goes on.
    pub(in crate::reactor) fn count_on(&mut self, tally: Tally) {
        self.tally += tally;
    }
}

impl Peers<TcpStream> {
    /// Goes on with all peers of a port's record. One that cannot be taken over is let go, and reported. Returns how many stay.
    ///
    /// # Errors
    /// The record is torn; those that were read by then stay.
    pub(in crate::reactor) fn resume(
        &mut self,
        port: Reader<'_>,
        sockets: &mut Sockets,
        has_new_options: bool,
        turn: &mut Turn<'_>,
    ) -> Result<usize, Torn> {
        let mut parts = [None; records::IDLE as usize + 1];
        let mut rest = port;
        while let Ok((tag, record)) = rest.record() {
            if let Some(part) = parts.get_mut(usize::from(tag)) {
                *part = Some(record);
            }
        }
        let part = |tag: u16| parts[usize::from(tag)].unwrap_or(Reader::of(&[]));
        if let Some(mut record) = parts[usize::from(records::TALLY)] {
            self.count_on(read_tally(&mut record)?);
        }
        if let Some(mut record) = parts[usize::from(records::SERVICE)] {
            let saved = Saved::read(&mut record)?;
            if let Err(because) = self.service.restore_service(&saved) {
                warn!("the service begins anew, beside its peers: {because}");
            }
        }
        // By slot. (To sort them takes 3 kB of the program.)
        let mut alarms: Vec<Moment> = Vec::new();
        let mut is_room = true;
        read_alarms(part(records::ALARMS), |due, slot| {
            let slots = alarms.len().max((slot as usize).saturating_add(1));
            is_room = is_room && alarms.try_reserve(slots - alarms.len()).is_ok();
            if is_room {
                alarms.resize(slots, Moment::NEVER);
                alarms[slot as usize] = due;
            }
        })?;
        if !is_room {
            return Err(Torn); // no loop has had so many slots
        }
        let mut peers = part(records::PEERS);
        let count = peers.u32().unwrap_or(0);
        let (mut came, mut settings) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let written = Written::read(&mut peers)?;
            let slot = written.slot;
            let alarm = alarms.get(slot as usize).copied().and_then(Moment::if_ever);
            match self.take_over(&written, alarm, sockets.take(written.descriptor), turn) {
                Ok((connection, alarm)) => {
                    came.push((slot, connection));
                    settings.push((slot, alarm));
                }
                Err(because) => self.lose(&written, &because, turn),
            }
        }
        let stays = settings.len();
        self.table.fill(came.into_iter());
        self.resume_deadlines(part, has_new_options, turn)?;
        for (slot, alarm) in settings {
            // Its state may want to be driven, and what waits for it to be announced.
            if self.table.get(slot).is_some_and(Connection::is_not_open) {
                self.table.schedule(slot);
            }
            // Whoever is watched already goes by the new deadline from now on.
            if has_new_options && self.table.get(slot).is_some_and(Connection::is_watched) {
                self.refit_now(slot);
            }
            self.settle(slot, Preceded::Unknown, alarm, turn);
        }
        Ok(stays)
    }

    /// The idle time of the peer in this slot, as its socket has it.
    #[cfg(test)]
    pub(in crate::reactor) fn idle_of(&self, slot: u32) -> std::time::Duration {
        use socket2::SockRef;
        let connection = self.table.get(slot).unwrap();
        SockRef::from(connection.stream()).tcp_keepalive_time().unwrap()
    }

    /// Registers a peer, and has its service restore what it remembers of it.
    fn take_over(
        &mut self,
        written: &Written<'_>,
        alarm: Option<Moment>,
        socket: std::io::Result<OwnedFd>,
        turn: &mut Turn<'_>,
    ) -> Result<(Connection<TcpStream>, Alarm), String> {
        let in_words = |error: std::io::Error| error.to_string();
        let stream = std::net::TcpStream::from(socket.map_err(in_words)?);
        let mut stream = TcpStream::from_std(stream);
        let slot = written.slot;
        stream.register(turn.registry, self.names.token(slot as usize)).map_err(in_words)?;
        let mut connection = Connection::resume(stream, written).map_err(|_| "there is no memory for its output")?;
        if self.service.reserve(slot).is_err() || turn.capacity.reserve().is_err() {
            return Err("there is no memory for it".to_string());
        }
        turn.orders.giver = self.names.source();
        let memory = &mut turn.capacity.memory;
        let terms = Terms {
            now: turn.now,
            slot,
            may_hold: memory.left(),
            alarm: alarm.map_or(Alarm::AsBefore, Alarm::At),
            ..self.terms
        };
        let mut serving = Serving { service: &mut *self.service, orders: turn.orders, scratch: &mut [], terms };
        let restored = serving.call(&mut connection, |service, peer| service.restore(peer, &written.saved));
        if !connection.is_ending() {
            restored.map_err(|because| because.to_string())?;
        }
        let Terms { alarm, sent, .. } = serving.terms;
        self.tally.sent += u64::from(sent);
        memory.changed(0, connection.holds());
        match &mut self.apart {
            Some(room) => room.arrive(),
            None => turn.capacity.arrive(written.address),
        }
        Ok((connection, alarm))
    }

    /// A peer that cannot be taken over is reported as any other that departs. Its socket is closed.
    fn lose(&mut self, written: &Written<'_>, because: &str, turn: &mut Turn<'_>) {
        let (id, peer, departure) = (Some(written.id()), written.address, Departure::ShutDown);
        warn!("{} {peer} cannot be taken over and is let go: {because}", written.id());
        self.count(departure);
        let connected = turn.now.since(written.id().stamp().moment());
        let farewell = Farewell { id, peer, departure, reason: None, connected, line: None };
        turn.orders.audience.note(turn.now, Incident::Departed(&farewell));
    }

    fn resume_deadlines<'a>(
        &mut self,
        part: impl Fn(u16) -> Reader<'a>,
        has_new_options: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), Torn> {
        let (table, deadlines) = (&mut self.table, &mut self.deadlines);
        let (slots, peers) = (table.slots().end as usize, table.len());
        if deadlines.reserve_for(slots, peers).is_err() {
            warn!("there is no memory for the deadlines of all peers: the whole table is searched for them");
            deadlines.look_through = turn.now;
            return Ok(());
        }
        for (tag, timers) in
            [(records::LINGERING, &mut deadlines.lingering), (records::STARVED, &mut deadlines.starved)]
        {
            let mut list = part(tag);
            while !list.is_empty() {
                let timer = Timer { id: read_id(&mut list)?, since: list.moment()?, due: list.moment()? };
                if table.has(timer.id) && timers.resume(timer).is_err() {
                    deadlines.look_through = turn.now;
                }
            }
        }
        if let Some((asking, watch)) = &mut deadlines.watch {
            read_batch(part(records::WATCH_BATCH), |due, id| {
                if let Some(connection) = table.of(id).filter(|_| watch.resume_batch(due, id).is_ok()) {
                    connection.is_watched_again();
                }
            })?;
            let mut list = part(records::SUSPECTS);
            while !list.is_empty() {
                let (mut due, id, is_known) = (list.moment()?, read_id(&mut list)?, list.u8()? != 0);
                let mut numbers = [0; Owing::NUMBERS];
                for number in &mut numbers {
                    *number = list.u32()?;
                }
                let mut owing = is_known.then(|| Owing::of_numbers(numbers));
                if has_new_options {
                    // It is given them now, and is looked at by the new deadline.
                    owing = owing.map(Owing::with_new_options);
                    due = due.min(turn.now + asking.pace);
                }
                if let Some(connection) = table.of(id).filter(|_| watch.resume_suspect(due, id, owing).is_ok()) {
                    connection.is_watched_again();
                }
            }
        }
        if let Some((limit, stall)) = &mut deadlines.stall {
            let latest = turn.now + *limit;
            let again = |table: &mut super::table::Table<TcpStream>, id| {
                if let Some(connection) = table.of(id) {
                    connection.is_looked_at_again();
                }
            };
            read_batch(part(records::STALL_BATCH), |due, id| {
                if table.has(id) && stall.resume_batch(due.min(latest), id).is_ok() {
                    again(table, id);
                }
            })?;
            let mut list = part(records::STALL_SUSPECTS);
            while !list.is_empty() {
                let (due, id) = (list.moment()?, read_id(&mut list)?);
                if table.has(id) && stall.resume_suspect(due.min(latest), id, ()).is_ok() {
                    again(table, id);
                }
            }
        }
        if let Some(idle) = &mut deadlines.idle {
            // Whoever is not in the list counts as active now.
            for slot in table.slots() {
                if table.get(slot).is_some() {
                    idle.set(slot, turn.now);
                }
            }
            read_alarms(part(records::IDLE), |due, slot| {
                if table.get(slot).is_some() {
                    idle.set(slot, due);
                }
            })?;
        }
        Ok(())
    }
}

fn write_id(id: PeerId, to: &mut Writer) {
    to.u64(id.stamp().raw());
    to.u32(id.slot());
}

fn read_id(from: &mut Reader<'_>) -> Result<PeerId, Torn> {
    Ok(PeerId::new(Stamp::of_raw(from.u64()?), from.u32()?))
}

fn write_timers(timers: &Timers, to: &mut Writer) {
    for timer in timers.iter() {
        write_id(timer.id, to);
        to.moment(timer.since);
        to.moment(timer.due);
    }
}

fn write_batch<T: Copy>(watch: &Watch<T>, to: &mut Writer) {
    let (due, batch) = watch.batch();
    to.moment(due);
    batch.iter().for_each(|id| write_id(*id, to));
}

fn read_batch(mut from: Reader<'_>, mut tell: impl FnMut(Moment, PeerId)) -> Result<(), Torn> {
    if from.is_empty() {
        return Ok(());
    }
    let due = from.moment()?;
    while !from.is_empty() {
        tell(due, read_id(&mut from)?);
    }
    Ok(())
}

fn write_alarms(alarms: &Alarms, to: &mut Writer) {
    alarms.each(&mut |due, slot| {
        to.moment(due);
        to.u32(slot);
    });
}

fn read_alarms(mut from: Reader<'_>, mut tell: impl FnMut(Moment, u32)) -> Result<(), Torn> {
    while !from.is_empty() {
        tell(from.moment()?, from.u32()?);
    }
    Ok(())
}

fn write_tally(tally: &Tally, to: &mut Writer) {
    to.numbers(&[tally.accepted, tally.lost, tally.received, tally.sent]);
    to.numbers(tally.departures.counts());
}

fn read_tally(from: &mut Reader<'_>) -> Result<Tally, Torn> {
    let (mut numbers, mut departures) = ([0; 4], [0; Departure::REASONS]);
    from.numbers(&mut numbers)?;
    from.numbers(&mut departures)?;
    let [accepted, lost, received, sent] = numbers;
    Ok(Tally { accepted, lost, received, sent, departures: departures.into(), ..Tally::default() })
}

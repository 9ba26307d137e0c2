//! How peers leave the table: reaped when they have departed, let go for a reason of ours, released to be served elsewhere.
//!
//! Owns what is reported and counted of it.

use log::{LevelFilter, debug, info, trace};

use crate::reactor::connection::stream::Stream;
use crate::reactor::departing::departure::{Departure, Reason};
use crate::reactor::limits::capacity::Capacity;
use crate::reactor::limits::memory::{Relief, Sizes};
use crate::reactor::observing::news::Incident;
use crate::reactor::peer_id::PeerId;
use crate::reactor::peers::Peers;
use crate::reactor::serving::farewell::Farewell;
use crate::reactor::serving::link::Link;
use crate::reactor::serving::saved::{CannotSave, Saved};
use crate::reactor::source::Turn;
use crate::reactor::time::moment::Moment;

impl<S: Stream> Peers<S> {
    pub(in crate::reactor) fn count(&mut self, departure: Departure) {
        self.tally.departures.count(departure);
        if self.is_apart() {
            return;
        }
        // Whether the log takes lines of this module is checked when there is one to write.
        if log::max_level() >= LevelFilter::Info {
            self.summary.count(departure);
        }
    }

    /// Frees the slot of the next peer that has departed, and reports its departure.
    pub(in crate::reactor) fn reap(&mut self, turn: &mut Turn<'_>) -> Option<PeerId> {
        let (slot, connection) = self.table.take_departed()?;
        if self.table.give_back() {
            self.deadlines.clear();
        }
        trace!("slot {slot} is reaped");
        self.deadlines.depart(slot);
        let id = connection.id(slot);
        let departure = connection.departure()?;
        let reason = match departure {
            Departure::ByService(Reason::OPERATOR) => Some("by the operator"),
            Departure::ByService(reason) => Some(self.service.reason(reason)),
            _ => None,
        };
        let farewell = Farewell {
            id: Some(id),
            peer: connection.address(),
            departure,
            reason,
            connected: turn.now.since(connection.arrival()),
            line: Some(&connection),
        };
        match &mut self.apart {
            Some(room) => room.depart(),
            None => {
                turn.capacity.depart(farewell.peer);
                debug!("{farewell}");
                if let Some(info) = Some(&farewell).filter(|_| departure.is_found_dead()).and_then(Farewell::info) {
                    turn.counted.detection.record(info.silent, self.latest);
                }
                turn.orders.audience.note(turn.now, Incident::Departed(&farewell));
            }
        }
        self.count(departure);
        self.service.depart(slot, &farewell, turn.orders);
        Some(id)
    }

    /// After reaping: the departures are logged.
    pub(in crate::reactor) fn report(&mut self, now: Moment) {
        if self.summary.deadline() == Moment::NEVER {
            return; // there are none
        }
        if let Some(departures) = self.summary.due(now, self.table.has_departed()) {
            info!("{departures}; {} connected", self.table.len());
        }
    }

    /// Ends all of them in an orderly way, until `by` at the latest.
    pub(in crate::reactor) fn stop(&mut self, by: Moment) {
        (self.is_stopping, self.deadlines.stop_by) = (true, by);
        #[cfg(feature = "upgrade")]
        {
            self.one_by_one = None;
        }
        for slot in self.table.slots() {
            if let Some(connection) = self.table.get_mut(slot) {
                connection.close(Departure::ShutDown);
                self.table.schedule(slot);
            }
        }
    }

    /// Ends a connection for a reason of ours.
    pub(in crate::reactor) fn let_go(&mut self, slot: u32, departure: Departure) {
        let Some(connection) = self.table.get_mut(slot) else { return };
        connection.let_go(departure);
        self.table.schedule(slot);
    }

    pub(in crate::reactor) fn weigh(&self, sizes: &mut Sizes) {
        self.table.iter().for_each(|connection| sizes.add(connection.holds(), connection.is_ending()));
    }

    pub(in crate::reactor) fn relieve(&mut self, relief: &mut Relief) {
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

    /// Takes a peer out of the table, with what its service remembers and what waits for it, so that it can be served
    /// elsewhere. Between two turns only: no event of it may be latched.
    ///
    /// # Errors
    /// See [`CannotSave`]; the peer stays.
    pub(in crate::reactor) fn release(
        &mut self,
        peer: PeerId,
        capacity: &mut Capacity,
    ) -> Result<(S, Saved, Vec<u8>), CannotSave> {
        let connection = self.table.of(peer).ok_or(CannotSave::Gone)?;
        connection.check_releasable()?;
        let saved = self.service.save_slot(peer.slot())?;
        let connection = self.table.take(peer.slot()).ok_or(CannotSave::Gone)?;
        capacity.memory.changed(connection.holds(), 0);
        match &mut self.apart {
            Some(room) => room.depart(),
            None => capacity.depart(connection.address()),
        }
        self.deadlines.depart(peer.slot());
        self.service.forget_slot(peer.slot());
        let (stream, unsent) = connection.take_apart();
        Ok((stream, saved, unsent))
    }
}

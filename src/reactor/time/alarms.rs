//! One deadline for each peer of a port, at most: it can be moved, either way, and cancelled.
//!
//! Owns which entry of an [`Agenda`] belongs to which slot. A peer's deadline is cancelled when it departs, so the slot alone
//! names it.

use std::collections::TryReserveError;

use crate::malloc;
use crate::reactor::time::agenda::Agenda;
use crate::reactor::time::moment::Moment;

/// This slot has no deadline.
const NONE: u32 = u32::MAX;

/// Deadlines by slot: 24 bytes for each peer that has one, and none if none ever had.
#[derive(Debug)]
pub(crate) struct Alarms {
    agenda: Agenda<u32>,
    /// Where the deadline of each slot is on the agenda; shorter than the table of peers if the last ones never had one.
    places: Vec<u32>,
}

impl Alarms {
    pub(crate) const fn new() -> Self {
        Self { agenda: Agenda::new(), places: Vec::new() }
    }

    /// No peer has a deadline.
    pub(crate) fn is_empty(&self) -> bool {
        self.agenda.is_empty()
    }

    /// Allocates what a table of this many slots with this many peers may need. Called at each arrival: a service that sets a deadline later finds
    /// room for it, however short memory is by then.
    ///
    /// # Errors
    /// There is no memory for them.
    pub(crate) fn reserve_for(&mut self, slots: usize, peers: usize) -> Result<(), TryReserveError> {
        self.agenda.reserve_for(peers)?;
        let more = slots.saturating_sub(self.places.len());
        malloc::reserve(&mut self.places, more)
    }

    /// Sets the deadline of the peer in this slot, in place of the one that it had.
    pub(crate) fn set(&mut self, slot: u32, due: Moment) {
        self.cancel(slot);
        let slots = slot as usize + 1;
        if self.places.len() < slots {
            self.places.resize(slots, NONE);
        }
        let armed = self.agenda.arm(due, slot);
        debug_assert!(armed.is_ok(), "its place was reserved at the arrival");
        self.places[slot as usize] = armed.unwrap_or(NONE);
    }

    /// The peer in this slot has no deadline any more.
    pub(crate) fn cancel(&mut self, slot: u32) {
        let Some(place) = self.places.get_mut(slot as usize) else { return };
        if *place != NONE {
            self.agenda.cancel(std::mem::replace(place, NONE));
        }
    }

    /// No peer is left: all memory is given up.
    pub(crate) fn clear(&mut self) {
        self.agenda.clear();
        self.places = Vec::new();
    }

    /// Goes through all deadlines, in no order.
    #[cfg(feature = "upgrade")]
    pub(crate) fn each(&self, tell: &mut dyn FnMut(Moment, u32)) {
        self.agenda.each(tell);
    }

    /// When the loop must wake.
    pub(crate) fn next(&self) -> Moment {
        self.agenda.next()
    }

    /// The slot of the next peer whose deadline has come, never early. It has none any more.
    pub(crate) fn due(&mut self, now: Moment) -> Option<u32> {
        let slot = self.agenda.due(now)?;
        self.places[slot as usize] = NONE;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_deadline_can_be_moved_and_cancelled() {
        let at = |seconds| Moment::after(Duration::from_secs(seconds));
        let mut alarms = Alarms::new();
        alarms.cancel(7);
        alarms.set(7, at(30));
        alarms.set(2, at(20));
        alarms.set(7, at(10)); // earlier
        assert_eq!((alarms.due(at(9)), alarms.due(at(11)), alarms.due(at(11))), (None, Some(7), None));
        alarms.set(2, at(50)); // later
        alarms.set(7, at(40));
        assert_eq!((alarms.due(at(30)), alarms.due(at(60)), alarms.due(at(60))), (None, Some(7), Some(2)));
        alarms.set(2, at(70));
        alarms.cancel(2);
        alarms.cancel(2);
        assert_eq!((alarms.due(at(100)), alarms.next(), alarms.is_empty()), (None, Moment::NEVER, true));
    }
}

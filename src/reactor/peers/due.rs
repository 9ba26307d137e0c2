//! What is done for peers when a time has come: lingering peers, starved peers, signs of life, stalled output, alarms.
//!
//! Owns what is done; [`Deadlines`](super::deadlines::Deadlines) owns the times.

use std::collections::TryReserveError;
use std::time::Duration;

use crate::count::so_many;
use crate::keepalive::owing::Owing;
use crate::reactor::connection::looking::{OutputState, Sign};
use crate::reactor::connection::stream::Stream;
use crate::reactor::departing::departure::Departure;
use crate::reactor::peer_id::PeerId;
use crate::reactor::peers::deadlines::{Deadlines, STARVED_PAUSE};
use crate::reactor::peers::{Peers, Preceded};
use crate::reactor::source::Turn;
use crate::reactor::time::moment::Moment;
use crate::reactor::time::timers::Timer;
use crate::told::warn;

/// How many peers are looked at for a sign of life in a turn, and how many for a stall.
const LOOK_BUDGET: usize = 256;
/// How many peers are woken in a turn. The service may write to each, which is
/// expensive: about half a millisecond in all.
const WAKE_BUDGET: usize = 64;
/// How long a connection may linger after its service closed it.
const LINGER: Duration = Duration::from_secs(10);

impl<S: Stream> Peers<S> {
    /// Does everything that is due at `turn.heard`, the moment up to which all peers have been heard.
    pub(crate) fn expire(&mut self, turn: &mut Turn<'_>) {
        let now = turn.heard;
        while let Some(timer) = self.deadlines.lingering.expired(now) {
            self.check_lingering(timer, now);
        }
        while let Some(timer) = self.deadlines.starved.expired(now) {
            if self.table.has(timer.id) {
                self.table.schedule(timer.id.slot());
            }
        }
        if self.deadlines.look_through <= now {
            self.look_through_the_table(now);
        }
        self.look_for_signs_of_life(turn);
        self.look_for_stalls(turn);
        self.wake_peers(turn);
        if self.service.deadline().is_some_and(|at| at <= now) && !turn.orders.are_many() {
            self.service.expired(now, turn.orders);
        }
        #[cfg(feature = "upgrade")]
        self.close_one_by_one(turn);
        if self.deadlines.stop_by <= now {
            self.deadlines.stop_by = Moment::NEVER;
            self.let_go_of_all();
        }
    }

    /// Notes a deadline of the peer in this slot. There may be no memory for it: no peer is let go for that, and none is
    /// kept longer, because until there is memory again, the whole table is searched for such peers.
    pub(super) fn remember(
        &mut self,
        slot: u32,
        now: Moment,
        note: impl FnOnce(&mut Deadlines, PeerId) -> Result<(), TryReserveError>,
    ) {
        let Some(connection) = self.table.get_mut(slot) else { return };
        if note(&mut self.deadlines, connection.id(slot)).is_err() {
            connection.forget();
            self.deadlines.look_through = self.deadlines.look_through.min(now + STARVED_PAUSE);
        }
    }

    fn look_through_the_table(&mut self, now: Moment) {
        self.deadlines.look_through = Moment::NEVER;
        for slot in self.table.slots() {
            let Some(connection) = self.table.get_mut(slot) else { continue };
            if !connection.take_forgotten() {
                continue;
            }
            let (id, lingers) = (connection.id(slot), connection.lingers());
            if lingers {
                self.check_lingering(Timer { id, since: now, due: now }, now);
            }
            self.look(slot, None, now);
            self.look_for_a_stall(slot, now);
            // It may be a peer that the kernel had no memory for: then it is to be driven again.
            self.table.schedule(slot);
        }
    }

    /// Checks whether the peer of a lingering connection has everything; if not, it is checked again later.
    fn check_lingering(&mut self, timer: Timer, now: Moment) {
        let is_stopping = self.is_stopping;
        let Some(connection) = self.table.of(timer.id).filter(|connection| connection.lingers()) else { return };
        let too_long = !is_stopping && now.since(timer.since) >= LINGER;
        // Whoever was closed in its turn has its own time.
        #[cfg(feature = "upgrade")]
        let too_long = too_long && !connection.lingers_for(Departure::ShutDown);
        if connection.has_delivered() || too_long {
            connection.stop_lingering();
            self.table.schedule(timer.id.slot());
        } else {
            self.remember(timer.id.slot(), now, |deadlines, _| deadlines.lingering.rearm(now, timer));
        }
    }

    /// Has a peer watched that was written to, unless it is watched already.
    pub(super) fn watch_peer(&mut self, slot: u32, preceded: Preceded, turn: &Turn<'_>) {
        let Some(connection) = self.table.get_mut(slot) else { return };
        if !connection.take_wish_to_be_watched() || self.deadlines.watch.is_none() {
            return;
        }
        #[cfg(feature = "upgrade")]
        self.refit_now(slot);
        if preceded == Preceded::Nothing {
            return self.look(slot, None, turn.clock.now());
        }
        self.remember(slot, turn.now, |deadlines, id| match &mut deadlines.watch {
            Some((_, watch)) => watch.add(turn.now, id),
            None => Ok(()),
        });
    }

    /// Asks the kernel about the peers that were written to and are due for a look.
    fn look_for_signs_of_life(&mut self, turn: &Turn<'_>) {
        // The kernel's figures are those of this moment, not of `turn.heard`.
        let now = turn.now;
        for _ in 0..LOOK_BUDGET {
            let Some((_, watch)) = &mut self.deadlines.watch else { return };
            let batch = watch.due_in_batch(turn.heard).map(|id| (id, None));
            let Some((id, owing)) = batch.or_else(|| watch.due_suspect(turn.heard)) else { return };
            if self.table.has(id) {
                self.look(id.slot(), owing, now);
            }
        }
    }

    /// Asks the kernel about one peer; `before` is what was remembered from the last look.
    fn look(&mut self, slot: u32, before: Option<Owing>, now: Moment) {
        let (Some((asking, watch)), Some(connection)) = (&mut self.deadlines.watch, self.table.get_mut(slot)) else {
            return;
        };
        match connection.look(asking, before, now) {
            Sign::Acknowledged => {}
            Sign::Owes { owing, after } => {
                // Peers that were looked at in one turn, as a batch, are spread over the turns to come.
                let spread =
                    if before.is_none() && after == asking.pace { phase(slot, after / 2) } else { Duration::ZERO };
                let id = connection.id(slot);
                let is_living = |id| self.table.has(id);
                let remembered = watch.suspect(now, id, owing, after - spread, is_living);
                self.remember(slot, now, |_, _| remembered);
            }
            Sign::None => self.table.schedule(slot),
        }
    }

    /// Watches a peer that was written to for a stall, unless it is watched already.
    pub(super) fn watch_output(&mut self, slot: u32, now: Moment) {
        if self.deadlines.stall.is_none() {
            return;
        }
        if self.table.get_mut(slot).is_some_and(|connection| connection.take_chance_of_a_stall()) {
            self.remember(slot, now, |deadlines, id| match &mut deadlines.stall {
                Some((_, stall)) => stall.add(now, id),
                None => Ok(()),
            });
        }
    }

    /// Asks the kernel about output that may have stalled.
    fn look_for_stalls(&mut self, turn: &Turn<'_>) {
        let now = turn.now;
        for _ in 0..LOOK_BUDGET {
            let Some((_, stall)) = &mut self.deadlines.stall else { return };
            let batch = stall.due_in_batch(turn.heard).map(|id| (id, ()));
            let Some((id, ())) = batch.or_else(|| stall.due_suspect(turn.heard)) else { return };
            if self.table.has(id) {
                self.look_for_a_stall(id.slot(), now);
            }
        }
    }

    fn look_for_a_stall(&mut self, slot: u32, now: Moment) {
        let (Some((limit, stall)), Some(connection)) = (&mut self.deadlines.stall, self.table.get_mut(slot)) else {
            return;
        };
        match connection.look_at_output(*limit) {
            OutputState::Gone => {}
            OutputState::Waits { after } => {
                let id = connection.id(slot);
                let remembered = stall.suspect(now, id, (), after, |id| self.table.has(id));
                self.remember(slot, now, |_, _| remembered);
            }
            OutputState::Stalled => self.let_go(slot, Departure::Stalled),
        }
    }

    /// Wakes the peers whose alarm has come.
    fn wake_peers(&mut self, turn: &mut Turn<'_>) {
        for _ in 0..WAKE_BUDGET {
            if turn.orders.are_many() {
                return;
            }
            let Some(slot) = self.deadlines.alarms.due(turn.heard) else { return };
            let Some(connection) = self.table.get(slot).filter(|connection| connection.is_open()) else { continue };
            if connection.may_hold_input() {
                self.deadlines.alarms.set(slot, turn.now + STARVED_PAUSE);
                continue;
            }
            let woken = self.serve(slot, turn.heard, 0, turn, |connection, serving| {
                serving.call(connection, |service, peer| service.woken(peer));
            });
            if let Some(((), alarm)) = woken {
                self.settle(slot, Preceded::Nothing, alarm, turn);
            }
        }
    }

    /// The grace time is over: the peers that are left are let go now.
    fn let_go_of_all(&mut self) {
        let mut lost = 0;
        for slot in self.table.slots() {
            let Some(connection) = self.table.get_mut(slot) else { continue };
            lost += u64::from(connection.departure().is_none() && !connection.has_delivered());
            self.let_go(slot, Departure::ShutDown);
        }
        tell_of_the_lost(lost);
    }
}

/// Output of so many was not acknowledged when their time was over.
pub(super) fn tell_of_the_lost(count: u64) {
    if count > 0 {
        warn!("the grace time is over; some output was not acknowledged by {}", so_many(count, "peer"));
    }
}

/// A part of `most` that depends on the slot; those of neighbours are far apart (the golden ratio).
fn phase(slot: u32, most: Duration) -> Duration {
    let share = u64::from(slot.wrapping_mul(0x9E37_79B9));
    Duration::from_micros((most.as_micros() as u64 * share) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_looked_at_far_apart() {
        let most = Duration::from_secs(1);
        let mut tenths = [0; 10];
        for slot in 0..1000 {
            let phase = phase(slot, most);
            assert!(phase < most && (slot == 0 || phase.abs_diff(super::phase(slot - 1, most)) > most / 3));
            tenths[(phase.as_micros() / 100_000) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (95..=105).contains(count)), "{tenths:?}");
    }
}

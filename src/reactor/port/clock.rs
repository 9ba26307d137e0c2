//! What a port does by the clock: lingering peers, starved peers, signs of life, stalled output, and
//! the questions to the service about a quiet peer.
//!
//! Owns what is done; the times are kept by [`Timers`], [`Watch`] and [`Agenda`].
//!
//! [`Timers`]: crate::reactor::timers::Timers
//! [`Watch`]: crate::reactor::watch::Watch
//! [`Agenda`]: crate::reactor::agenda::Agenda

use std::collections::TryReserveError;
use std::time::Duration;

use log::warn;
use mio::Registry;
use mio::net::TcpStream;
use slab::Slab;

use crate::count::so_many;
use crate::keepalive::owing::Owing;
use crate::reactor::connection::{Connection, Output, Sign};
use crate::reactor::departure::Departure;
use crate::reactor::peer_id::PeerId;
use crate::reactor::port::{Port, STARVED_PAUSE};
use crate::reactor::service::{Serving, Terms};
use crate::reactor::source::Turn;
use crate::reactor::timers::{Moment, Timer, soonest};

/// How many peers are looked at for a sign of life in a turn, and how many for a stall.
const LOOK_BUDGET: usize = 1024;
/// How many times the service is asked about a quiet peer in a turn. It may write each time, which is
/// expensive: about half a millisecond in all.
const QUIET_BUDGET: usize = 64;
/// How long a connection may linger after its service closed it.
const LINGER: Duration = Duration::from_secs(10);

impl Port {
    /// Does everything that is due at `turn.heard`, the moment up to which all peers have been heard.
    pub(super) fn obey_the_clock(&mut self, turn: &mut Turn<'_>) {
        let now = turn.heard;
        self.acceptor.expire(now);
        while let Some(timer) = self.lingering.expired(now) {
            self.ask_lingerer(timer, now);
        }
        while let Some(timer) = self.starved.expired(now) {
            if self.has(timer.id) {
                self.enqueue(timer.id.slot());
            }
        }
        if self.look_through.is_some_and(|at| at <= now) {
            self.look_through_the_table(now);
        }
        self.look_for_signs_of_life(turn);
        self.look_for_stalls(turn);
        self.ask_about_the_quiet(turn);
        if self.stop_by.is_some_and(|by| by <= now) {
            self.stop_by = None;
            self.cut_all();
        }
    }

    /// When the loop must wake for the next of these.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        soonest([
            self.acceptor.deadline(),
            self.lingering.next(),
            self.starved.next(),
            self.watch.as_ref().and_then(|(_, watch)| watch.next()),
            self.stall.as_ref().and_then(|(_, watch)| watch.next()),
            self.agenda.next(),
            self.summary.deadline(),
            self.stop_by,
            self.look_through,
        ])
    }

    /// There may have been no memory to remember a deadline of this peer. No peer is let go for that, and none is
    /// kept longer: until there is memory again, the whole table is searched for such peers.
    pub(super) fn see_to_the_forgotten(&mut self, remembered: Result<(), TryReserveError>, slot: u32, now: Moment) {
        if remembered.is_ok() {
            return;
        }
        if let Some(connection) = self.peers.get_mut(slot as usize) {
            connection.forget();
            self.look_through.get_or_insert(now + STARVED_PAUSE);
        }
    }

    fn look_through_the_table(&mut self, now: Moment) {
        self.look_through = None;
        for slot in self.slots() {
            let Some(connection) = self.peers.get_mut(slot as usize) else { continue };
            if !connection.was_forgotten() {
                continue;
            }
            let (id, lingers) = (connection.id(slot), connection.lingers());
            if lingers {
                self.ask_lingerer(Timer { id, since: now, due: now }, now);
            }
            self.look(slot, None, now);
            self.look_for_a_stall(slot, now);
            // It may be a peer that the kernel had no memory for: then it is to be driven again.
            self.enqueue(slot);
        }
    }

    /// Checks whether the peer of a lingering connection has everything; if not, it is checked again later.
    fn ask_lingerer(&mut self, timer: Timer, now: Moment) {
        let Some(connection) = self.peers.get_mut(timer.id.slot() as usize) else { return };
        if !connection.is_of(timer.id) || !connection.lingers() {
            return;
        }
        let too_long = self.stop_by.is_none() && now.since(timer.since) >= LINGER;
        if connection.has_delivered() || too_long {
            connection.cut();
            self.enqueue(timer.id.slot());
        } else {
            let remembered = self.lingering.rearm(now, timer);
            self.see_to_the_forgotten(remembered, timer.id.slot(), now);
        }
    }

    /// Asks the kernel about the peers that were written to and are due for a look.
    fn look_for_signs_of_life(&mut self, turn: &Turn<'_>) {
        // The kernel's figures are those of this moment, not of `turn.heard`.
        let now = turn.now;
        for _ in 0..LOOK_BUDGET {
            let Some((_, watch)) = &mut self.watch else { return };
            let batch = watch.due_in_batch(turn.heard).map(|id| (id, None));
            let Some((id, owing)) = batch.or_else(|| watch.due_suspect(turn.heard)) else { return };
            if self.has(id) {
                self.look(id.slot(), owing, now);
            }
        }
    }

    /// Asks the kernel about one peer; `before` is what was remembered from the last look.
    pub(super) fn look(&mut self, slot: u32, before: Option<Owing>, now: Moment) {
        let (Some((asking, watch)), Some(connection)) = (&mut self.watch, self.peers.get_mut(slot as usize)) else {
            return;
        };
        match connection.look(asking, before, now) {
            Sign::Acknowledged => {}
            Sign::Owes { owing, after } => {
                // Peers that were looked at in one turn, as a batch, are spread over the turns to come.
                let spread =
                    if before.is_none() && after == asking.pace { phase(slot, after / 2) } else { Duration::ZERO };
                let id = connection.id(slot);
                let is_living = |id| is_one_of(&self.peers, id);
                let remembered = watch.suspect(now, id, owing, after - spread, is_living);
                self.see_to_the_forgotten(remembered, slot, now);
            }
            Sign::None => self.enqueue(slot),
        }
    }

    /// Watches a peer that was written to for a stall, unless it is watched already.
    pub(super) fn watch_output(&mut self, slot: u32, now: Moment) {
        let Some((_, stall)) = &mut self.stall else { return };
        let Some(connection) = self.peers.get_mut(slot as usize) else { return };
        if connection.may_stall() {
            let remembered = stall.add(now, connection.id(slot));
            self.see_to_the_forgotten(remembered, slot, now);
        }
    }

    /// Asks the kernel about output that may have stalled.
    fn look_for_stalls(&mut self, turn: &Turn<'_>) {
        let now = turn.now;
        for _ in 0..LOOK_BUDGET {
            let Some((_, stall)) = &mut self.stall else { return };
            let batch = stall.due_in_batch(turn.heard).map(|id| (id, ()));
            let Some((id, ())) = batch.or_else(|| stall.due_suspect(turn.heard)) else { return };
            if self.has(id) {
                self.look_for_a_stall(id.slot(), now);
            }
        }
    }

    fn look_for_a_stall(&mut self, slot: u32, now: Moment) {
        let (Some((limit, stall)), Some(connection)) = (&mut self.stall, self.peers.get_mut(slot as usize)) else {
            return;
        };
        match connection.look_at_output(*limit) {
            Output::Gone => {}
            Output::Waits { after } => {
                let id = connection.id(slot);
                let remembered = stall.suspect(now, id, (), after, |id| is_one_of(&self.peers, id));
                self.see_to_the_forgotten(remembered, slot, now);
            }
            Output::Stalled => self.let_go(slot, Departure::Stalled),
        }
    }

    /// Ends a connection for a reason of ours.
    pub(super) fn let_go(&mut self, slot: u32, departure: Departure) {
        let Some(connection) = self.peers.get_mut(slot as usize) else { return };
        connection.let_go(departure);
        self.enqueue(slot);
    }

    /// Whether this peer is still there.
    pub(super) fn has(&self, id: PeerId) -> bool {
        is_one_of(&self.peers, id)
    }

    fn ask_about_the_quiet(&mut self, turn: &mut Turn<'_>) {
        for _ in 0..QUIET_BUDGET {
            if turn.orders.are_many() {
                return;
            }
            let Some(id) = self.agenda.due(turn.heard) else { return };
            if !self.has(id) {
                continue;
            }
            if self.peers[id.slot() as usize].may_hold_input() {
                self.ask_again(turn.now + STARVED_PAUSE, id);
            } else {
                self.ask_service(id.slot(), turn.heard, turn);
            }
        }
    }

    /// Asks the service what to do about a peer that was heard up to `now`, and notes when to ask
    /// again.
    pub(super) fn ask_service(&mut self, slot: u32, now: Moment, turn: &mut Turn<'_>) {
        let Some(connection) = self.peers.get_mut(slot as usize) else { return };
        let memory = &mut turn.capacity.memory;
        let held = connection.holds();
        let terms = Terms { now, slot, may_hold: held + memory.left(), ..self.terms };
        let service = &mut *self.service;
        let due = connection.quiet(Serving { service, orders: turn.orders, scratch: &mut [], terms });
        memory.changed(held, connection.holds());
        // What the service has just sent went out at this moment, so the time for the answer starts here.
        let sent = turn.clock.now();
        if let Some(due) = due {
            let id = connection.id(slot);
            self.ask_again(due + sent.since(now), id);
            self.agenda.tidy(self.peers.len(), |id| is_one_of(&self.peers, id));
        }
        self.see_to_a_spontaneous_write(slot, sent, turn.registry);
    }

    fn ask_again(&mut self, due: Moment, id: PeerId) {
        let armed = self.agenda.arm(due, id);
        debug_assert!(armed.is_ok(), "its place was reserved at the arrival");
    }

    /// Output that no sign of life preceded: a greeting, a ping. The peer may have been silent for long,
    /// so this gives it no new deadline: it is looked at immediately.
    pub(super) fn see_to_a_spontaneous_write(&mut self, slot: u32, now: Moment, registry: &Registry) {
        self.hear_of_room(slot, registry);
        let Some(connection) = self.peers.get_mut(slot as usize) else { return };
        let (has_to_end, wants_watching) = (connection.has_to_end(), connection.wants_watching());
        if has_to_end {
            self.enqueue(slot);
        }
        if wants_watching {
            self.look(slot, None, now);
        }
        self.watch_output(slot, now);
    }

    /// The grace time is over: the peers that are left are cut off now.
    fn cut_all(&mut self) {
        let mut lost = 0;
        for slot in self.slots() {
            let Some(connection) = self.peers.get_mut(slot as usize) else { continue };
            lost += u64::from(connection.cut());
            self.enqueue(slot);
        }
        if lost > 0 {
            warn!("the grace time is over; some output was not acknowledged by {}", so_many(lost, "peer"));
        }
    }
}

/// A part of `most` that depends on the slot; those of neighbours are far apart (the golden ratio).
fn phase(slot: u32, most: Duration) -> Duration {
    let share = u64::from(slot.wrapping_mul(0x9E37_79B9));
    Duration::from_micros((most.as_micros() as u64 * share) >> 32)
}

fn is_one_of(peers: &Slab<Connection<TcpStream>>, id: PeerId) -> bool {
    peers.get(id.slot() as usize).is_some_and(|owner| owner.is_of(id))
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

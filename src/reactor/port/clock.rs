//! What a port does by the clock: lingerers, starved peers, signs of life, and what a service wants
//! to be asked when a peer is quiet.
//!
//! Owns the questions; the times are kept by [`Timers`], [`Watch`] and [`Agenda`].
//!
//! [`Timers`]: crate::reactor::timers::Timers
//! [`Watch`]: crate::reactor::watch::Watch
//! [`Agenda`]: crate::reactor::agenda::Agenda

use std::time::Duration;

use log::warn;
use mio::Registry;

use crate::count::so_many;
use crate::keepalive::owing::Owing;
use crate::reactor::agenda::Ticket;
use crate::reactor::connection::{Connection, Output, Sign};
use crate::reactor::departure::Departure;
use crate::reactor::port::{Port, STARVED_PAUSE};
use crate::reactor::service::Terms;
use crate::reactor::source::Turn;
use crate::reactor::timers::{Moment, Timer, soonest};

/// How many peers are looked at for a sign of life in a turn.
const LOOK_BUDGET: usize = 1024;
/// How many services are asked about a quiet peer in a turn. Each may write to it, which is as dear
/// as anything: about half a millisecond in all.
const QUIET_BUDGET: usize = 64;
/// How long a connection lingers at most that its service closed.
const LINGER: Duration = Duration::from_secs(10);

impl Port {
    /// Everything that is due, as of the moment until which the peers were heard.
    pub(super) fn obey_the_clock(&mut self, turn: &Turn<'_>) {
        let now = turn.heard;
        self.acceptor.expire(now);
        while let Some(timer) = self.lingering.expired(now) {
            self.ask_lingerer(timer, now);
        }
        while let Some(timer) = self.starved.expired(now) {
            let owner = self.peers.get_mut(timer.key as usize).filter(|owner| owner.arrival() == timer.arrival);
            if owner.is_some_and(Connection::enqueue) {
                self.runnable.push(timer.key);
            }
        }
        self.look_for_signs_of_life(turn);
        self.look_for_stalls(turn);
        self.ask_about_the_quiet(turn);
        if self.stop_by.is_some_and(|by| by <= now) {
            self.stop_by = None;
            self.cut_all();
        }
    }

    /// When the loop must wake for that.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        soonest(&[
            self.acceptor.deadline(),
            self.lingering.next(),
            self.starved.next(),
            self.watch.as_ref().and_then(|(_, watch)| watch.next()),
            self.stall.as_ref().and_then(|(_, watch)| watch.next()),
            self.agenda.next(),
            self.summary.deadline(),
            self.stop_by,
        ])
    }

    /// Asks a lingering connection whether its peer has everything; if not, it is asked again.
    fn ask_lingerer(&mut self, timer: Timer, now: Moment) {
        let Some(connection) = self.peers.get_mut(timer.key as usize) else { return };
        if connection.arrival() != timer.arrival || !connection.lingers() {
            return;
        }
        let too_long = self.stop_by.is_none() && now.since(timer.since) >= LINGER;
        if connection.has_delivered() || too_long {
            connection.cut();
            if connection.enqueue() {
                self.runnable.push(timer.key);
            }
        } else {
            self.lingering.rearm(now, timer);
        }
    }

    /// Asks the kernel about the peers that were written to and whose deadline has come.
    fn look_for_signs_of_life(&mut self, turn: &Turn<'_>) {
        // The kernel's figures are of now.
        let now = turn.now;
        for _ in 0..LOOK_BUDGET {
            let Some((_, watch)) = &mut self.watch else { return };
            if let Some(key) = watch.due_in_batch(turn.heard) {
                self.look(key, None, now);
            } else if let Some((ticket, owing)) = watch.due_suspect(turn.heard) {
                if self.has(ticket) {
                    self.look(ticket.key, owing, now);
                }
            } else {
                return;
            }
        }
    }

    /// Asks the kernel about one peer; `before` is what the last look remembered.
    pub(super) fn look(&mut self, key: u32, before: Option<Owing>, now: Moment) {
        let (Some((asking, watch)), Some(connection)) = (&mut self.watch, self.peers.get_mut(key as usize)) else {
            return;
        };
        match connection.look(asking, before, now) {
            Sign::Acknowledged => {}
            Sign::Owes { owing, after } => {
                // A batch that was looked at in one turn need not be looked at in one turn for ever.
                let spread =
                    if before.is_none() && after == asking.pace { phase(key, after / 2) } else { Duration::ZERO };
                watch.suspect(now, Ticket::new(key, connection.arrival()), owing, after - spread);
            }
            Sign::None => {
                if connection.enqueue() {
                    self.runnable.push(key);
                }
            }
        }
    }

    /// Enters a peer that was written to, if it is not yet among those whose output may stall.
    pub(super) fn watch_output(&mut self, key: u32, now: Moment) {
        let Some((_, stall)) = &mut self.stall else { return };
        let Some(connection) = self.peers.get_mut(key as usize) else { return };
        if connection.may_stall() {
            stall.add(now, key);
        }
    }

    /// Asks the kernel about output that may not have moved for long.
    fn look_for_stalls(&mut self, turn: &Turn<'_>) {
        let now = turn.now;
        for _ in 0..LOOK_BUDGET {
            let Some((_, stall)) = &mut self.stall else { return };
            let key = if let Some(key) = stall.due_in_batch(turn.heard) {
                key
            } else if let Some((ticket, ())) = stall.due_suspect(turn.heard) {
                if !self.has(ticket) {
                    continue;
                }
                ticket.key
            } else {
                return;
            };
            let (Some((limit, stall)), Some(connection)) = (&mut self.stall, self.peers.get_mut(key as usize)) else {
                continue;
            };
            match connection.look_at_output(*limit) {
                Output::Gone => {}
                Output::Waits { after } => stall.suspect(now, Ticket::new(key, connection.arrival()), (), after),
                Output::Stalled => self.let_go(key, Departure::Stalled),
            }
        }
    }

    /// Ends a connection for a reason of ours.
    pub(super) fn let_go(&mut self, key: u32, departure: Departure) {
        let Some(connection) = self.peers.get_mut(key as usize) else { return };
        connection.let_go(departure);
        if connection.enqueue() {
            self.runnable.push(key);
        }
    }

    /// Whether the peer that is meant is still there.
    fn has(&self, ticket: Ticket) -> bool {
        self.peers.get(ticket.key as usize).is_some_and(|owner| ticket.is_for(owner.arrival()))
    }

    fn ask_about_the_quiet(&mut self, turn: &Turn<'_>) {
        for _ in 0..QUIET_BUDGET {
            let Some(ticket) = self.agenda.due(turn.heard) else { return };
            if !self.has(ticket) {
                continue;
            }
            if self.peers[ticket.key as usize].may_hold_input() {
                self.agenda.arm(turn.now + STARVED_PAUSE, ticket);
            } else {
                self.ask_service(ticket.key, turn.heard, turn);
            }
        }
    }

    /// Asks the service what the time means for a peer that was heard until `now`, and writes down when
    /// to ask again.
    pub(super) fn ask_service(&mut self, key: u32, now: Moment, turn: &Turn<'_>) {
        let terms = Terms { now, slot: key, ..self.terms };
        let Some(connection) = self.peers.get_mut(key as usize) else { return };
        let due = connection.quiet(&mut *self.service, terms);
        // What it has just sent went out now: the time for the answer begins now, too.
        let sent = turn.clock.now();
        if let Some(due) = due {
            self.agenda.arm(due + sent.since(now), Ticket::new(key, connection.arrival()));
            let living = |ticket: Ticket| {
                self.peers.get(ticket.key as usize).is_some_and(|owner| ticket.is_for(owner.arrival()))
            };
            self.agenda.tidy(self.peers.len(), living);
        }
        self.see_to_a_spontaneous_write(key, sent, turn.registry);
    }

    /// What was sent without a sign of life before it: a greeting, a ping. The peer may have been
    /// silent for long, and gets no new deadline.
    pub(super) fn see_to_a_spontaneous_write(&mut self, key: u32, now: Moment, registry: &Registry) {
        self.hear_of_room(key, registry);
        let Some(connection) = self.peers.get_mut(key as usize) else { return };
        if connection.is_ending() && connection.enqueue() {
            self.runnable.push(key);
        }
        if connection.wants_watching() {
            self.look(key, None, now);
        }
        self.watch_output(key, now);
    }

    /// The grace time is over: whoever is left goes now.
    fn cut_all(&mut self) {
        let mut lost = 0;
        for (key, connection) in &mut self.peers {
            lost += u64::from(connection.cut());
            if connection.enqueue() {
                self.runnable.push(key as u32);
            }
        }
        if lost > 0 {
            warn!("the grace time is over, and not all output was acknowledged: by {}", so_many(lost, "peer"));
        }
    }
}

/// A part of `most` that is a slot's own: neighbours are far apart (the golden ratio).
fn phase(key: u32, most: Duration) -> Duration {
    let share = u64::from(key.wrapping_mul(0x9E37_79B9));
    Duration::from_micros((most.as_micros() as u64 * share) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_looked_at_far_apart() {
        let most = Duration::from_secs(1);
        let mut tenths = [0; 10];
        for key in 0..1000 {
            let phase = phase(key, most);
            assert!(phase < most && (key == 0 || phase.abs_diff(super::phase(key - 1, most)) > most / 3));
            tenths[(phase.as_micros() / 100_000) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (95..=105).contains(count)), "{tenths:?}");
    }
}

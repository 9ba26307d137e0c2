//! New keepalive options for peers that came when others applied.
//!
//! Owns which of them have the new options already. A few get them in each turn; whoever is to be watched gets them before that, so
//! that the watch and the kernel never go by different deadlines. Knows nothing of why they changed.
//!
//! A peer that has unanswered probes keeps what it has until it has answered one: the kernel would hold them against a new, smaller
//! count, and give it up before either deadline.

use std::time::Duration;

use crate::keepalive::Keepalive;
use crate::reactor::connection::stream::Stream;
use crate::reactor::peer_id::PeerId;
use crate::reactor::peers::Peers;
use crate::reactor::serving::link::Link;
use crate::reactor::time::moment::Moment;

/// How many peers are given new options in a turn: about half a millisecond.
const REFIT_BUDGET: usize = 256;
/// When a peer with unanswered probes is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Peers that still have the old options.
#[derive(Debug)]
pub(super) struct Refit {
    /// Neighbours get different splits of the deadline: see `arriving/spread.rs`.
    splits: Vec<Keepalive>,
    /// Whoever came before this moment has the old options,
    before: Moment,
    /// if it is in this slot or a later one,
    next: u32,
    /// or one of these, which have unanswered probes.
    postponed: Vec<PeerId>,
    again: Moment,
}

impl Refit {
    /// Those that are to be tried again now.
    fn take_due(&mut self, now: Moment) -> Vec<PeerId> {
        if self.again > now {
            return Vec::new();
        }
        self.again = Moment::NEVER;
        std::mem::take(&mut self.postponed)
    }

    /// Those that are left are tried again after a while, however many turns there are until then.
    fn set_again(&mut self, now: Moment) {
        if self.again == Moment::NEVER && !self.postponed.is_empty() {
            self.again = now + AGAIN;
        }
    }
}

impl<S: Stream> Peers<S> {
    /// All peers that are there are given these options, a few in each turn.
    pub(in crate::reactor) fn begin_to_refit(&mut self, keepalive: &Keepalive, now: Moment) {
        let splits = keepalive.splits();
        self.refit = Some(Refit { splits, before: now, next: 0, postponed: Vec::new(), again: Moment::NEVER });
    }

    /// Some peers still have the old options, and nothing stands in the way of giving them the new ones.
    pub(super) fn refits(&self) -> bool {
        self.refit.as_ref().is_some_and(|refit| refit.next < self.table.slots().end)
    }

    /// When those are tried again that have unanswered probes.
    pub(super) fn refit_deadline(&self) -> Moment {
        self.refit.as_ref().map_or(Moment::NEVER, |refit| refit.again)
    }

    /// Gives some peers their new options.
    pub(in crate::reactor) fn refit_some(&mut self, now: Moment) {
        let Some(mut refit) = self.refit.take() else { return };
        let end = self.table.slots().end;
        for slot in (refit.next..end).take(REFIT_BUDGET) {
            refit.next = slot + 1;
            self.refit_peer(slot, &mut refit);
        }
        for id in refit.take_due(now) {
            if self.table.has(id) {
                self.refit_peer(id.slot(), &mut refit);
            }
        }
        refit.set_again(now);
        if refit.next < end || !refit.postponed.is_empty() {
            self.refit = Some(refit);
        }
    }

    /// Gives the peer in this slot its new options at once, if it still has the old ones.
    pub(super) fn refit_now(&mut self, slot: u32) {
        let Some(refit) = &mut self.refit else { return };
        let Some(connection) = self.table.get_mut(slot) else { return };
        let id = connection.id(slot);
        let is_postponed = refit.postponed.iter().position(|postponed| *postponed == id);
        if slot < refit.next && is_postponed.is_none() || connection.arrival() >= refit.before {
            return;
        }
        if let Some(at) = is_postponed {
            refit.postponed.swap_remove(at);
        }
        apply(connection, slot, &refit.splits);
    }

    fn refit_peer(&mut self, slot: u32, refit: &mut Refit) {
        let Some(connection) = self.table.get_mut(slot) else { return };
        if connection.arrival() >= refit.before || connection.is_ending() {
            return;
        }
        // A peer that owes an ACK is the watch's business, and has them already.
        if connection.info().is_some_and(|info| info.probes > 0 && !info.owes()) {
            refit.postponed.push(connection.id(slot));
        } else {
            apply(connection, slot, &refit.splits);
        }
    }
}

/// How many neighbours have the same split.
const CHUNK: usize = 256;

fn apply<S: Stream>(connection: &mut crate::reactor::connection::Connection<S>, slot: u32, splits: &[Keepalive]) {
    let Some(split) = splits.get(slot as usize / CHUNK % splits.len().max(1)) else { return };
    // A connection that has just died takes no options. That it died is learned otherwise.
    let result = connection.stream_mut().apply(split);
    log::trace!("{}: new options: {result:?}", connection.address());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::peer_id::Stamp;

    /// A busy loop has turned on and on, and put off the moment each time.
    #[test]
    fn a_peer_with_unanswered_probes_is_tried_again_after_a_second_also_in_a_busy_loop() {
        let at = |milliseconds| Moment::after(Duration::from_millis(milliseconds));
        let peer = PeerId::new(Stamp::NONE, 7);
        let mut refit =
            Refit { splits: Vec::new(), before: at(0), next: 0, postponed: vec![peer], again: Moment::NEVER };
        let mut tried = Vec::new();
        for now in (0..3500).step_by(10).map(at) {
            for id in refit.take_due(now) {
                tried.push(now);
                refit.postponed.push(id); // it has not answered yet
            }
            refit.set_again(now);
        }
        assert_eq!(tried, [at(1000), at(2000), at(3000)]);
    }
}

//! Which peer makes room for a newcomer: the one that has been idle longest.
//!
//! The deadlines hold when each peer was active, as far as we know; the kernel knows better, and is asked about those in front.

use std::time::Duration;

use crate::reactor::connection::stream::Stream;
use crate::reactor::departing::departure::Departure;
use crate::reactor::peers::Peers;
use crate::reactor::serving::link::Link;
use crate::reactor::source::Turn;
use crate::reactor::time::moment::Moment;
use crate::tcp_info::COARSEST_TICK;

/// How many peers are checked for how long they have been idle, to admit one newcomer.
const ASK_BUDGET: usize = 1024;
/// A peer that moved data, or arrived, within this time is not idle.
const BUSY: Duration = Duration::from_secs(1);

impl<S: Stream> Peers<S> {
    /// Lets go of the peer that has moved no data for the longest time, if there is one that is idle.
    pub(crate) fn evict(&mut self, turn: &Turn<'_>) -> bool {
        let Some(slot) = self.take_most_idle(turn) else { return false };
        self.let_go(slot, Departure::Evicted);
        true
    }

    /// The peer that has moved no data for the longest time; its activity is not remembered any more.
    ///
    /// A peer that was active since it was last asked about is put back at that moment: its activity pays for the question.
    /// If there are too many of those, the most idle one that was asked about is taken.
    fn take_most_idle(&mut self, turn: &Turn<'_>) -> Option<u32> {
        let mut found: Option<(Moment, u32)> = None;
        let mut asked = 0;
        while asked < ASK_BUDGET {
            let Some(idle) = &mut self.deadlines.idle else { return None };
            let Some(known) = idle.next().if_ever() else { break };
            if known + BUSY > turn.now || found.is_some_and(|(earliest, _)| earliest <= known + COARSEST_TICK) {
                break;
            }
            let Some(slot) = idle.due(turn.now) else { break };
            let Some(active) = self.last_active(slot, turn) else { continue };
            asked += 1;
            match found {
                Some((earliest, _)) if earliest <= active => self.note_activity(slot, active),
                _ => {
                    if let Some((later, other)) = found.replace((active, slot)) {
                        self.note_activity(other, later);
                    }
                }
            }
        }
        let (active, slot) = found?;
        if active + BUSY <= turn.now {
            return Some(slot);
        }
        self.note_activity(slot, active);
        None
    }

    fn note_activity(&mut self, slot: u32, active: Moment) {
        if let Some(idle) = &mut self.deadlines.idle {
            idle.set(slot, active);
        }
    }

    /// When this peer last moved data, or arrived; `None` if it is ending.
    fn last_active(&self, slot: u32, turn: &Turn<'_>) -> Option<Moment> {
        let connection = self.table.get(slot).filter(|connection| !connection.is_ending())?;
        let since_arrival = turn.clock.now().since(connection.arrival());
        // A peer without figures counts as busy.
        let idle = connection.info().map_or(Duration::ZERO, |info| info.sent.min(info.received));
        Some(connection.arrival() + since_arrival.saturating_sub(idle))
    }
}

//! Which peers are checked for a sign of life, and when.
//!
//! Keepalive sends no probes while output is outstanding, so the loop keeps the deadline of the peers that it has
//! written to, and looks at them until they have acknowledged everything. Owns the times; knows no connection, judges
//! no peer (`keepalive/owing/` does) and does not ask the kernel itself. An idle peer is not in here.
//!
//! ```text
//!   first write of a batch        a while later: all of the batch are looked at
//!        │                             │
//!   ─────┼──×────×──────×──────────────┼───────────────────▶ time
//!        └ written to ┘                ├ has acknowledged everything: forgotten
//!                                      ├ owes an ACK: looked at again, a pace later or at its deadline
//!                                      └ was not heard of for the deadline: dead
//! ```
//!
//! If no sign of life preceded what is sent (a greeting, a ping or our FIN), the peer is looked at immediately,
//! because it may have been silent for long.

use std::collections::TryReserveError;
use std::time::Duration;

use crate::malloc;
use crate::reactor::peer_id::PeerId;
use crate::reactor::time::agenda::Agenda;
use crate::reactor::time::moment::Moment;

/// When each peer that was written to is looked at. `T` is what is remembered of a suspect from one look to the next.
#[derive(Debug)]
pub(crate) struct Watch<T> {
    /// How long after its first write a batch is looked at.
    first: Duration,
    /// Peers that were written to since `batch_due` was set; 12 bytes each.
    batch: Vec<PeerId>,
    batch_due: Moment,
    /// Peers that still owed something when they were looked at, in the order in which they are due again.
    suspects: Agenda<(PeerId, T)>,
}

impl<T: Copy> Watch<T> {
    pub(crate) const fn new(first: Duration) -> Self {
        Self { first, batch: Vec::new(), batch_due: Moment::NEVER, suspects: Agenda::new() }
    }

    /// This peer was written to, and is not watched yet.
    ///
    /// # Errors
    /// There is no memory to remember it with.
    pub(crate) fn add(&mut self, now: Moment, id: PeerId) -> Result<(), TryReserveError> {
        malloc::reserve(&mut self.batch, 1)?;
        self.batch.push(id);
        if self.batch_due == Moment::NEVER {
            self.batch_due = now + self.first;
        }
        Ok(())
    }

    /// Allocates places for this many peers, so that each can become a suspect even when memory is short.
    ///
    /// # Errors
    /// There is no memory for them.
    pub(crate) fn reserve_for(&mut self, peers: usize) -> Result<(), TryReserveError> {
        self.suspects.reserve_for(peers)
    }

    /// How many suspects there is room for.
    #[cfg(test)]
    pub(crate) fn places(&self) -> usize {
        self.suspects.places()
    }

    /// This peer still owes something, and is to be looked at again `after` from now.
    ///
    /// # Errors
    /// There is no memory to remember it with; never if places were allocated for all peers.
    pub(crate) fn suspect(
        &mut self,
        now: Moment,
        id: PeerId,
        remembered: T,
        after: Duration,
        is_living: impl Fn(PeerId) -> bool,
    ) -> Result<(), TryReserveError> {
        if self.suspects.reserve().is_err() {
            self.suspects.retain(|(id, _)| is_living(id));
        }
        self.suspects.arm(now + after, (id, remembered)).map(|_| ())
    }

    /// The peers that were written to and not looked at yet, and when they are.
    #[cfg(feature = "upgrade")]
    pub(crate) fn batch(&self) -> (Moment, &[PeerId]) {
        (self.batch_due, &self.batch)
    }

    /// Goes through the suspects, in no order.
    #[cfg(feature = "upgrade")]
    pub(crate) fn each_suspect(&self, tell: &mut dyn FnMut(Moment, PeerId, T)) {
        self.suspects.each(&mut |due, (id, remembered)| tell(due, id, remembered));
    }

    /// Goes on with a peer of a batch that is due then.
    ///
    /// # Errors
    /// There is no memory to remember it with.
    #[cfg(feature = "upgrade")]
    pub(crate) fn resume_batch(&mut self, due: Moment, id: PeerId) -> Result<(), TryReserveError> {
        malloc::reserve(&mut self.batch, 1)?;
        self.batch.push(id);
        self.batch_due = self.batch_due.min(due);
        Ok(())
    }

    /// Goes on with a suspect.
    ///
    /// # Errors
    /// There is no memory to remember it with.
    #[cfg(feature = "upgrade")]
    pub(crate) fn resume_suspect(&mut self, due: Moment, id: PeerId, remembered: T) -> Result<(), TryReserveError> {
        self.suspects.arm(due, (id, remembered)).map(|_| ())
    }

    /// No peer is left: all memory is given up.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.first);
    }

    /// When the loop must wake.
    pub(crate) fn next(&self) -> Moment {
        self.suspects.next().min(self.batch_due)
    }

    /// Takes out the next peer of the batch, if the batch is due.
    pub(crate) fn due_in_batch(&mut self, now: Moment) -> Option<PeerId> {
        if self.batch_due > now {
            return None;
        }
        let id = self.batch.pop();
        if self.batch.is_empty() {
            (self.batch, self.batch_due) = (Vec::new(), Moment::NEVER);
        }
        id
    }

    /// Takes out the next suspect that is due.
    pub(crate) fn due_suspect(&mut self, now: Moment) -> Option<(PeerId, T)> {
        let due = self.suspects.due(now);
        self.suspects.give_back();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::peer_id::Stamp;

    const fn at(milliseconds: u64) -> Moment {
        Moment::after(Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_batch_is_looked_at_together_and_suspects_when_they_are_due() {
        let mut watch = Watch::new(Duration::from_millis(100));
        assert_eq!(watch.next(), Moment::NEVER);
        let [one, two, three] = [1, 2, 3].map(|slot| PeerId::new(Stamp::NONE, slot));
        watch.add(at(10), one).unwrap();
        watch.add(at(50), two).unwrap();
        assert_eq!((watch.next(), watch.due_in_batch(at(109))), (at(110), None));
        assert_eq!([watch.due_in_batch(at(110)), watch.due_in_batch(at(110))], [Some(two), Some(one)]);
        assert_eq!((watch.due_in_batch(at(110)), watch.next()), (None, Moment::NEVER));
        let any = |_| true;
        watch.suspect(at(110), one, 'a', Duration::from_millis(80), any).unwrap();
        watch.suspect(at(110), two, 'b', Duration::from_millis(30), any).unwrap();
        watch.add(at(120), three).unwrap();
        // Times are rounded up by a millisecond or so.
        let next = watch.next();
        assert!(next >= at(140) && next < at(142) && watch.due_suspect(at(139)).is_none(), "{next:?}");
        assert_eq!(watch.due_suspect(at(200)), Some((two, 'b')));
        assert_eq!(watch.due_suspect(at(200)), Some((one, 'a')));
        assert_eq!((watch.due_suspect(at(200)), watch.next()), (None, at(220)));
    }
}

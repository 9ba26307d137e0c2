//! Who is asked for a sign of life, and when.
//!
//! Keepalive stands aside while output is outstanding, so the loop keeps the deadline of the peers
//! that it has written to: each is looked at once a deadline, until it has acknowledged everything.
//! Owns the times; knows no connection and asks nobody itself. An idle peer is not in here.
//!
//! ```text
//!   first write of a batch        deadline later: all of the batch are asked
//!        │                             │
//!   ─────┼──×────×──────×──────────────┼───────────────────▶ time
//!        └ written to ┘                ├ has acknowledged everything: forgotten
//!                                      ├ was heard of x ago: asked again, deadline − x later
//!                                      └ was not heard of for the deadline: dead
//! ```
//!
//! A write follows a sign of life in the same turn (input, or an ACK that made room), so nobody can
//! have been silent for a whole deadline before the batch is asked: one look a deadline is enough.
//! What is sent without one, a greeting, a ping or our FIN, calls for a look at once.

use std::time::Duration;

use crate::reactor::agenda::{Agenda, Ticket};
use crate::reactor::timers::{Moment, soonest};

/// See the head of this file.
#[derive(Debug)]
pub struct Watch {
    deadline: Duration,
    /// Slots that were written to since `batch_due` was set; four bytes each.
    batch: Vec<u32>,
    batch_due: Option<Moment>,
    /// Those that still owed an ACK when they were asked, by when they are to be asked again.
    suspects: Agenda,
}

impl Watch {
    /// `deadline`: how long a peer may be silent.
    pub const fn new(deadline: Duration) -> Self {
        Self { deadline, batch: Vec::new(), batch_due: None, suspects: Agenda::new() }
    }

    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// This peer was written to, and is not watched yet.
    pub fn add(&mut self, now: Moment, key: u32) {
        self.batch.push(key);
        self.batch_due.get_or_insert(now + self.deadline);
    }

    /// This peer owes an ACK, and was last heard of `silent` ago.
    pub fn suspect(&mut self, now: Moment, peer: Ticket, silent: Duration) {
        self.suspects.arm(now + self.deadline.saturating_sub(silent), peer);
    }

    /// When the loop must wake.
    pub fn next(&self) -> Option<Moment> {
        soonest(&[self.suspects.next(), self.batch_due])
    }

    /// The next of the batch, if the batch is due. A slot may be in it more than once, if its owner
    /// changed.
    pub fn due_in_batch(&mut self, now: Moment) -> Option<u32> {
        self.batch_due.filter(|due| *due <= now)?;
        let key = self.batch.pop();
        if self.batch.is_empty() {
            (self.batch, self.batch_due) = (Vec::new(), None);
        }
        key
    }

    /// The next suspect that is due.
    pub fn due_suspect(&mut self, now: Moment) -> Option<Ticket> {
        self.suspects.due(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Moment {
        Moment::after(Duration::from_millis(milliseconds))
    }

    #[test]
    fn each_is_asked_once_a_deadline() {
        let mut watch = Watch::new(Duration::from_millis(100));
        assert_eq!(watch.next(), None);
        watch.add(at(10), 1);
        watch.add(at(50), 2);
        assert_eq!((watch.next(), watch.due_in_batch(at(109))), (Some(at(110)), None));
        assert_eq!([watch.due_in_batch(at(110)), watch.due_in_batch(at(110))], [Some(2), Some(1)]);
        assert_eq!((watch.due_in_batch(at(110)), watch.next()), (None, None));
        let [one, two] = [1, 2].map(|key| Ticket::new(key, at(0)));
        watch.suspect(at(110), one, Duration::from_millis(20));
        watch.suspect(at(110), two, Duration::from_millis(70));
        watch.add(at(120), 3);
        // Times are rounded up by a millisecond or so.
        let next = watch.next().unwrap();
        assert!(next >= at(140) && next < at(142) && watch.due_suspect(at(139)).is_none(), "{next:?}");
        assert_eq!(watch.due_suspect(at(200)), Some(two));
        assert_eq!(watch.due_suspect(at(200)), Some(one));
        assert_eq!((watch.due_suspect(at(200)), watch.next()), (None, Some(at(220))));
    }
}

//! Keeps the probes of a crowd apart.
//!
//! Peers that connect in one instant are probed in one instant, and again after each answer. What a
//! queue on the way cannot hold is lost, and living peers with it: of 19 000 on a loopback whose
//! queue holds 1000, half were let go. So while a crowd arrives, the listener is given one split of
//! the same deadline after the other, which the next peers inherit. That costs a few system calls
//! for each [`CHUNK`] and nothing for a peer, and the deadline is the same for all. Owns the choice;
//! knows no socket.

use std::time::Duration;

use crate::keepalive::Keepalive;
use crate::reactor::time::moment::Moment;

/// How many peers have the same split.
const CHUNK: u32 = 256;
/// A chunk that arrives within this time is part of a crowd.
const CROWD: Duration = Duration::from_secs(1);

/// Which split of the deadline the listener has, and when it gets the next one.
#[derive(Debug)]
pub(super) struct Spread {
    /// The first is the one that was configured, and the only one if there is no choice.
    splits: Vec<Keepalive>,
    current: usize,
    /// How many peers have arrived with the current split, and since when.
    count: u32,
    since: Moment,
}

impl Spread {
    pub(super) fn new(keepalive: &Keepalive) -> Self {
        Self { splits: keepalive.splits(), current: 0, count: 0, since: Moment::default() }
    }

    /// A peer has arrived. Returns what the listener is to have from now on, if that changes.
    pub(super) fn arrived(&mut self, now: Moment) -> Option<&Keepalive> {
        self.count += 1;
        if self.count < CHUNK || self.splits.len() < 2 {
            return None;
        }
        let is_crowd = now.since(self.since) < CROWD;
        (self.count, self.since) = (0, now);
        let next = if is_crowd { (self.current + 1) % self.splits.len() } else { 0 };
        if std::mem::replace(&mut self.current, next) == next { None } else { self.splits.get(next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_given_one_split_after_the_other() {
        let keepalive = Keepalive::default();
        let mut spread = Spread::new(&keepalive);
        let mut chunk = |from: u64| {
            let at = |n: u32| Moment::after(Duration::from_millis(from) + Duration::from_micros(n.into()));
            let given: Vec<_> = (0..CHUNK).filter_map(|n| spread.arrived(at(n)).cloned()).collect();
            assert!(given.len() <= 1);
            given.first().map(|split| split.idle().as_secs())
        };
        assert_eq!(chunk(5000), None, "the first come slowly: who knows since when");
        let crowd: Vec<_> = (0..7).map(|n| chunk(5100 + n)).collect();
        assert_eq!(crowd, [6, 7, 8, 9, 10, 5, 6].map(Some));
        assert_eq!(chunk(9000), Some(5), "the crowd is over, and what was asked for holds again");
        assert_eq!(chunk(19_000), None);
    }

    #[test]
    fn without_a_choice_nothing_changes() {
        let chosen = Keepalive::new(Duration::from_secs(6), Duration::from_secs(3), 3).unwrap();
        let mut spread = Spread::new(&chosen);
        assert!((0..10_000).all(|_| spread.arrived(Moment::default()).is_none()));
    }
}

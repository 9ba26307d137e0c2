//! A queue of peers: a linked list that is threaded through their slots.
//!
//! Owns the two ends; the link from one peer to the next is kept in the peers themselves, so that nothing is
//! ever allocated for a queue. A peer is in one queue at most.

use slab::Slab;

/// This peer is the last of its queue.
const LAST: u32 = u32::MAX;
/// This peer is in no queue. There are fewer slots than that.
const OUT: u32 = u32::MAX - 1;

/// A peer's place in a queue: which peer is behind it, if it is in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuePlace(u32);

impl QueuePlace {
    pub(crate) const OUT: Self = Self(OUT);

    pub(crate) fn is_taken(self) -> bool {
        self != Self::OUT
    }

    /// Takes the place. True if it was free: then the peer must be pushed into a queue.
    pub(crate) fn take(&mut self) -> bool {
        let was_out = *self == Self::OUT;
        if was_out {
            self.0 = LAST;
        }
        was_out
    }
}

/// What can be in a queue.
pub(crate) trait Queued {
    fn place(&mut self) -> &mut QueuePlace;
}

/// The two ends of a queue. First come, first served.
#[derive(Debug, Default)]
pub(crate) struct Queue(Option<Ends>);

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: u32,
    last: u32,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Appends a peer whose place has been taken for this ([`QueuePlace::take`]).
    pub(crate) fn push<T: Queued>(&mut self, peers: &mut Slab<T>, slot: u32) {
        match &mut self.0 {
            None => self.0 = Some(Ends { first: slot, last: slot }),
            Some(ends) => {
                if let Some(last) = peers.get_mut(ends.last as usize) {
                    last.place().0 = slot;
                }
                ends.last = slot;
            }
        }
    }

    /// Removes the first peer; its place is free again.
    pub(crate) fn pop<T: Queued>(&mut self, peers: &mut Slab<T>) -> Option<u32> {
        let Ends { first, last } = self.0?;
        let behind =
            peers.get_mut(first as usize).map_or(LAST, |peer| std::mem::replace(peer.place(), QueuePlace::OUT).0);
        self.0 = (behind < OUT).then_some(Ends { first: behind, last });
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Queued for QueuePlace {
        fn place(&mut self) -> &mut QueuePlace {
            self
        }
    }

    #[test]
    fn first_come_first_served_and_each_once() {
        let mut peers: Slab<QueuePlace> = (0..10).map(|slot| (slot, QueuePlace::OUT)).collect();
        let (mut one, mut other) = (Queue::default(), Queue::default());
        for slot in [3, 1, 4, 1, 5, 9] {
            if peers[slot as usize].take() {
                one.push(&mut peers, slot);
            }
        }
        let mut came = Vec::new();
        while let Some(slot) = one.pop(&mut peers) {
            came.push(slot);
            // A peer that goes on is queued again, behind the others.
            if slot == 4 && peers[4].take() {
                other.push(&mut peers, 4);
            }
            if slot == 1 && came.len() < 5 && peers[1].take() {
                one.push(&mut peers, 1);
            }
        }
        assert_eq!(came, [3, 1, 4, 5, 9, 1]);
        assert_eq!(
            (one.is_empty(), other.is_empty(), other.pop(&mut peers), other.pop(&mut peers)),
            (true, false, Some(4), None)
        );
        assert!((0..10).all(|slot| peers[slot] == QueuePlace::OUT));
    }
}

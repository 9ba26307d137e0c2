//! The latest events, for those who follow them.
//!
//! Owns what is kept, and its bound. Knows no follower and no meaning.

use std::collections::VecDeque;

/// How many bytes are kept.
const MOST_BYTES: usize = 1 << 20;
/// What an entry takes beside its text.
const ENTRY: usize = size_of::<(u64, String)>();

/// The latest events, by their numbers, which have gaps only where something is missing.
#[derive(Debug, Default)]
pub(super) struct Ring {
    events: VecDeque<(u64, String)>,
    bytes: usize,
    /// The number of the latest event that there was, kept or not.
    latest: u64,
}

/// What comes next for a follower.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Upcoming<'a> {
    /// This event, with this number.
    Event(u64, &'a str),
    /// As many as this are not there any more; the next one has this number.
    LeftOut { count: u64, next: u64 },
}

impl Ring {
    pub(super) fn push(&mut self, number: u64, text: String) {
        self.latest = self.latest.max(number);
        self.bytes += text.capacity() + ENTRY;
        self.events.push_back((number, text));
        while self.bytes > MOST_BYTES {
            let Some((_, oldest)) = self.events.pop_front() else { break };
            self.bytes -= oldest.capacity() + ENTRY;
        }
    }

    /// Nothing was kept up to this number.
    pub(super) fn skip_to(&mut self, latest: u64) {
        self.latest = self.latest.max(latest);
    }

    /// Nobody follows any more.
    pub(super) fn clear(&mut self) {
        (self.events, self.bytes) = (VecDeque::new(), 0);
    }

    /// The number of the latest event.
    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    /// The number before the first event that is kept.
    pub(super) fn before_first(&self) -> u64 {
        self.events.front().map_or(self.latest, |(number, _)| number - 1)
    }

    /// What comes after this number.
    pub(super) fn after(&self, number: u64) -> Option<Upcoming<'_>> {
        let at = self.events.partition_point(|(event, _)| *event <= number);
        match self.events.get(at) {
            Some((event, text)) if *event == number + 1 => Some(Upcoming::Event(*event, text)),
            Some((event, _)) => Some(Upcoming::LeftOut { count: event - number - 1, next: *event }),
            None if self.latest > number => {
                Some(Upcoming::LeftOut { count: self.latest - number, next: self.latest + 1 })
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_and_what_is_missing_is_counted() {
        let mut ring = Ring::default();
        assert_eq!(ring.after(0), None);
        ring.skip_to(3);
        assert_eq!(ring.after(0), Some(Upcoming::LeftOut { count: 3, next: 4 }));
        assert_eq!(ring.after(3), None);
        for number in [4, 5, 9] {
            ring.push(number, number.to_string());
        }
        let mut told = Vec::new();
        let mut number = 1;
        while let Some(upcoming) = ring.after(number) {
            number = match upcoming {
                Upcoming::Event(event, text) => {
                    told.push(text.to_string());
                    event
                }
                Upcoming::LeftOut { count, next } => {
                    told.push(format!("{count} left out"));
                    next - 1
                }
            };
        }
        assert_eq!(told, ["2 left out", "4", "5", "3 left out", "9"]);
        // The numbers of another life of the program.
        assert_eq!(ring.after(5000), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut ring = Ring::default();
        for number in 1..100_000 {
            ring.push(number, "x".repeat(300));
        }
        assert!(ring.bytes <= MOST_BYTES && ring.events.len() > 2000, "{} events", ring.events.len());
        let Some(Upcoming::LeftOut { count, next }) = ring.after(10) else { panic!() };
        assert_eq!((count, ring.events[0].0), (next - 11, next));
        ring.clear();
        assert_eq!((ring.after(10), ring.bytes), (Some(Upcoming::LeftOut { count: 99_989, next: 100_000 }), 0));
    }
}

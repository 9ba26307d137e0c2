//! The lines that wait, and those of which it is not known yet whether they have arrived.
//!
//! Owns the bound, and that a line is written whole or not at all. Knows no descriptor and no JSON.
//!
//! ```text
//!   ┌ written, but the reader may ┐ ┌ begun ┐ ┌ waiting ─────────────────────────┐
//!   │ not have them yet           │ │       │ │                                  │ ◀── push, if there is room
//!   └─────────────────────────────┘ └───────┘ └──────────────────────────────────┘
//!   0                               next                                         at most MOST bytes
//! ```
//!
//! If the connection goes, all of that is written again to the next one: a line that was cut off, and lines that were on their way.

use std::collections::VecDeque;
use std::io::IoSlice;

/// How much may wait, in bytes of memory.
pub(super) const MOST: usize = 1 << 20;
/// After lines were left out, none is taken until no more than this waits: so a reader that is a little too slow is told once in
/// a while how many it has missed, and not at every other line.
const ENOUGH_ROOM: usize = MOST / 2;
/// What a line takes beside its bytes: its place in the list, and the head of an allocation.
const OVERHEAD: usize = 40;
/// How many lines are handed to the kernel in one call.
const AT_ONCE: usize = 64;

/// Lines on their way to a reader.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Each with its end.
    lines: VecDeque<String>,
    /// How much memory they take.
    bytes: usize,
    /// The first one that was not written wholly, and how many bytes of it were.
    next: usize,
    begun: usize,
    /// How many were not taken since that was last told, and in all.
    left_out: u64,
    left_out_in_all: u64,
}

impl Lines {
    /// Takes a line, or counts it as left out.
    pub(super) fn push(&mut self, line: String) {
        if self.left_out > 0 || self.put(line).is_err() {
            self.leave_out();
        }
    }

    /// Counts one more as left out.
    pub(super) fn leave_out(&mut self) {
        self.left_out += 1;
        self.left_out_in_all += 1;
    }

    /// One more line of any length that ours have would be taken.
    pub(super) fn has_room(&self) -> bool {
        self.left_out == 0 && self.bytes + 1024 <= MOST
    }

    /// If lines were left out and there is room again: how many, to be told by a line for which [`Lines::tell`] has room.
    pub(super) fn left_out(&self) -> Option<u64> {
        (self.left_out > 0 && self.bytes <= ENOUGH_ROOM).then_some(self.left_out)
    }

    /// Takes the line that tells how many were left out.
    pub(super) fn tell(&mut self, line: String) {
        if self.put(line).is_ok() {
            self.left_out = 0;
        }
    }

    fn put(&mut self, mut line: String) -> Result<(), ()> {
        line.reserve_exact(1);
        line.push('\n');
        line.shrink_to_fit(); // an arrival is half as long as a departure
        let bytes = line.capacity() + OVERHEAD;
        if self.bytes + bytes > MOST {
            return Err(());
        }
        self.lines.try_reserve(1).map_err(drop)?;
        self.bytes += bytes;
        self.lines.push_back(line);
        Ok(())
    }

    /// Something is still to be written.
    pub(super) fn wait(&self) -> bool {
        self.next < self.lines.len()
    }

    /// How many were not written wholly.
    pub(super) fn waiting(&self) -> u64 {
        (self.lines.len() - self.next) as u64
    }

    /// How many were not taken, and nobody was told of yet.
    pub(super) fn left_out_now(&self) -> u64 {
        self.left_out
    }

    /// How many were not taken since the start.
    pub(super) fn left_out_in_all(&self) -> u64 {
        self.left_out_in_all
    }

    /// Lines that were written, and may have arrived, take a good part of the room.
    pub(super) fn is_much_on_its_way(&self) -> bool {
        self.next > 0 && self.bytes > MOST / 4
    }

    /// The next whole lines, with what is left of one that was begun: no more bytes than `most`, but one line in any case. For
    /// write(2) that takes a list; how many entries it has.
    pub(super) fn pieces(&self, most: usize) -> ([IoSlice<'_>; AT_ONCE], usize) {
        let mut pieces = [IoSlice::new(&[]); AT_ONCE];
        let (mut count, mut bytes) = (0, 0);
        for line in self.lines.range(self.next..).take(AT_ONCE) {
            let line = &line.as_bytes()[if count == 0 { self.begun } else { 0 }..];
            bytes += line.len();
            if count > 0 && bytes > most {
                break;
            }
            pieces[count] = IoSlice::new(line);
            count += 1;
        }
        (pieces, count)
    }

    /// So many bytes of the pieces were written.
    pub(super) fn written(&mut self, mut count: usize) {
        while let Some(line) = self.lines.get(self.next) {
            let rest = line.len() - self.begun;
            if count < rest {
                break;
            }
            count -= rest;
            (self.next, self.begun) = (self.next + 1, 0);
        }
        self.begun += count;
    }

    /// All that was written has arrived.
    pub(super) fn all_arrived(&mut self) {
        while self.next > 0 {
            self.forget_first();
        }
        self.give_back();
    }

    /// The first lines have arrived, as far as they lie wholly within this many bytes. How many bytes those have.
    pub(super) fn arrived(&mut self, within: u64) -> u64 {
        let mut bytes = 0;
        while self.next > 0 && bytes + self.lines[0].len() as u64 <= within {
            bytes += self.lines[0].len() as u64;
            self.forget_first();
        }
        self.give_back();
        bytes
    }

    /// There is another reader, or another file: it gets every line that is left, from its beginning.
    pub(super) fn again(&mut self) {
        (self.next, self.begun) = (0, 0);
    }

    /// An end for a line of somebody else's that has none.
    pub(super) fn begin_on_a_new_line(&mut self) {
        self.again();
        if self.lines.front().is_none_or(|first| first != "\n") && self.lines.try_reserve(1).is_ok() {
            self.lines.push_front("\n".to_string());
            self.bytes += self.lines[0].capacity() + OVERHEAD;
        }
    }

    /// What is owed, and how much of its first line was written: without the lines that have arrived, those within this many bytes.
    #[cfg(feature = "upgrade")]
    pub(super) fn owed(&self, arrived: u64) -> (impl ExactSizeIterator<Item = &str>, usize) {
        let (mut skipped, mut bytes) = (0, 0);
        while skipped < self.next && bytes + self.lines[skipped].len() as u64 <= arrived {
            bytes += self.lines[skipped].len() as u64;
            skipped += 1;
        }
        // Another line than the first one may have been begun only where several are on their way: nothing is known of those.
        let begun = if skipped == self.next { self.begun } else { 0 };
        (self.lines.range(skipped..).map(String::as_str), begun)
    }

    /// The lines that another program owes: with the ends that they have, and how many it did not take, now and in all.
    #[cfg(feature = "upgrade")]
    pub(super) fn taken_over<'a>(lines: impl Iterator<Item = &'a str>, left_out: u64, left_out_in_all: u64) -> Self {
        let mut own = Self::default();
        for line in lines {
            if own.put(line.trim_end_matches('\n').to_string()).is_err() {
                own.leave_out(); // there is no memory for what the other program had
            }
        }
        own.left_out += left_out;
        own.left_out_in_all += left_out_in_all;
        own
    }

    /// The reader has had this much of the first line: it gets the rest.
    #[cfg(feature = "upgrade")]
    pub(super) fn go_on_from(&mut self, begun: usize) {
        self.again();
        self.begun = self.lines.front().map_or(0, |line| begun.min(line.len().saturating_sub(1)));
    }

    fn forget_first(&mut self) {
        if let Some(line) = self.lines.pop_front() {
            self.bytes -= line.capacity() + OVERHEAD;
            self.next -= 1;
        }
    }

    /// An idle loop keeps nothing.
    fn give_back(&mut self) {
        if self.lines.is_empty() {
            self.lines = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(lines: &Lines, most: usize) -> String {
        let (pieces, count) = lines.pieces(most);
        String::from_utf8(pieces[..count].iter().flat_map(|piece| piece.to_vec()).collect()).unwrap()
    }

    fn of(lines: &[&str]) -> Lines {
        let mut own = Lines::default();
        lines.iter().for_each(|line| own.push(line.to_string()));
        own
    }

    #[test]
    fn whole_lines_are_written_and_one_that_was_begun_first() {
        let mut lines = of(&["one", "two", "three"]);
        assert_eq!(
            (next(&lines, 8), next(&lines, 7), next(&lines, 1)),
            ("one\ntwo\n".into(), "one\n".into(), "one\n".into())
        );
        lines.written(5);
        lines.all_arrived();
        assert_eq!((next(&lines, 1), next(&lines, 9), lines.waiting()), ("wo\n".into(), "wo\nthree\n".into(), 2));
        lines.again();
        assert_eq!(next(&lines, 100), "two\nthree\n", "a line that was begun is whole for the next reader");
        lines.written(10);
        assert!(!lines.wait());
        lines.all_arrived();
        assert_eq!((lines.bytes, lines.lines.capacity()), (0, 0));
    }

    #[test]
    fn what_has_not_arrived_is_written_again() {
        let mut lines = of(&["one", "two", "three"]);
        lines.written(14);
        assert_eq!((lines.arrived(3), lines.arrived(7), lines.arrived(3)), (0, 4, 0));
        lines.again();
        assert_eq!(next(&lines, 100), "two\nthree\n");
        lines.written(6);
        assert_eq!(lines.arrived(100), 4, "a line that was begun has not arrived");
        assert_eq!(lines.waiting(), 1);
    }

    #[cfg(feature = "upgrade")]
    #[test]
    fn what_has_not_arrived_is_owed_to_the_next_reader() {
        let mut lines = of(&["one", "two", "three"]);
        lines.written(9);
        let owed = |lines: &Lines, arrived| {
            let (owed, begun) = lines.owed(arrived);
            (owed.map(str::to_string).collect::<Vec<_>>().concat(), begun)
        };
        assert_eq!(owed(&lines, 7), ("two\nthree\n".into(), 0), "where the begun line is not the first, it is whole");
        assert_eq!(owed(&lines, 8), ("three\n".into(), 1));
        assert_eq!(owed(&lines, 100), ("three\n".into(), 1), "what was not written cannot have arrived");
        let mut next = Lines::taken_over(["three\n", "\n"].into_iter(), 2, 5);
        next.go_on_from(1);
        assert_eq!((self::next(&next, 100), next.left_out_now(), next.left_out_in_all()), ("hree\n\n".into(), 2, 5));
    }

    #[test]
    fn when_there_is_no_room_lines_are_counted_until_half_is_free() {
        let mut lines = Lines::default();
        // As long as its memory: what a line takes is counted by that.
        let line = || {
            let mut line = String::with_capacity(1000);
            line.extend(std::iter::repeat_n('x', 999));
            line
        };
        while lines.left_out == 0 {
            lines.push(line());
        }
        let held = lines.lines.len();
        assert!((900..=1024).contains(&held) && lines.bytes <= MOST, "{held} {}", lines.bytes);
        lines.push(String::new());
        assert_eq!((lines.left_out, lines.left_out()), (2, None), "also one that would fit: the order is kept");
        lines.written(1000 * (held / 3));
        lines.all_arrived();
        lines.push(line());
        assert_eq!((lines.left_out, lines.left_out()), (3, None));
        lines.written(1000 * (held / 3));
        lines.all_arrived();
        assert_eq!(lines.left_out(), Some(3));
        lines.tell("3 were left out".to_string());
        lines.push(line());
        let waiting = (held - held / 3 * 2 + 2) as u64;
        assert_eq!((lines.left_out_now(), lines.waiting(), lines.left_out_in_all()), (0, waiting, 3));
    }

    #[test]
    fn a_torn_line_of_somebody_else_is_ended_once() {
        let mut lines = of(&["one"]);
        lines.begin_on_a_new_line();
        lines.begin_on_a_new_line();
        assert_eq!(next(&lines, 100), "\none\n");
    }
}

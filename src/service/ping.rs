//! Ping: a protocol of two lines, which a person can speak, too.
//!
//! ```text
//!   PING 17      is answered at once with       PONG 17
//! ```
//!
//! Either side may ask. The number has one to nine digits; a line ends with a line feed, and a
//! carriage return before that is dropped. Every other line, of any length, is ignored. Owns the
//! parsing of lines that come in pieces; knows no time: the heartbeat decides when to ask.

use std::io::Write;

use crate::reactor::{CannotRestore, CannotSave, Peer, Saved, Service};
use crate::service::Ask;

/// Answers pings, and sends its own when it is asked to ([`Ask`]).
#[derive(Clone, Debug, Default)]
pub struct Ping {
    /// The number of the last ping that was sent, to any peer.
    number: u32,
}

/// The part of a line that has come so far: how much of it matches, and the number.
#[derive(Clone, Copy, Debug, Default)]
pub struct PartialPing {
    number: u32,
    place: Progress,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Start,
    /// This many bytes of the word have come.
    Word(u8),
    /// This many digits have come.
    Number(u8),
    /// A carriage return has come after the number.
    Return,
    /// Some other line: only its end matters.
    Other,
}

const WORD: &[u8] = b"PING ";
const MOST_DIGITS: u8 = 9;

/// How a part of a line is written down.
const VERSION: u16 = 1;

impl PartialPing {
    fn to_bytes(self) -> [u8; 6] {
        let (place, count) = match self.place {
            Progress::Start => (0, 0),
            Progress::Word(count) => (1, count),
            Progress::Number(count) => (2, count),
            Progress::Return => (3, 0),
            Progress::Other => (4, 0),
        };
        let [one, two, three, four] = self.number.to_le_bytes();
        [place, count, one, two, three, four]
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let &[place, count, one, two, three, four] = bytes else { return None };
        let place = match place {
            0 => Progress::Start,
            1 if usize::from(count) < WORD.len() => Progress::Word(count),
            2 if count <= MOST_DIGITS => Progress::Number(count),
            3 => Progress::Return,
            4 => Progress::Other,
            _ => return None,
        };
        Some(Self { number: u32::from_le_bytes([one, two, three, four]), place })
    }

    /// Takes one byte. Returns the number of the ping that it completes, if it does.
    fn take(&mut self, byte: u8) -> Option<u32> {
        let asked = matches!(self.place, Progress::Number(1..) | Progress::Return).then_some(self.number);
        if byte == b'\n' {
            *self = Self::default();
            return asked;
        }
        let word = WORD.len() as u8;
        self.place = match self.place {
            Progress::Start if byte == WORD[0] => Progress::Word(1),
            Progress::Word(count) if byte == WORD[usize::from(count)] && count + 1 == word => Progress::Number(0),
            Progress::Word(count) if byte == WORD[usize::from(count)] => Progress::Word(count + 1),
            Progress::Number(digits) if byte.is_ascii_digit() && digits < MOST_DIGITS => {
                self.number = self.number * 10 + u32::from(byte - b'0');
                Progress::Number(digits + 1)
            }
            Progress::Number(1..) if byte == b'\r' => Progress::Return,
            _ => Progress::Other,
        };
        None
    }
}

/// Lines that are sent together. On the stack, so that an answer needs no allocation.
struct Lines {
    bytes: [u8; Self::MOST],
    count: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self { bytes: [0; Self::MOST], count: 0 }
    }
}

impl Lines {
    const MOST: usize = 1024;
    /// `PONG 999999999` and a line feed.
    const LONGEST: usize = 15;

    fn is_full(&self) -> bool {
        self.count + Self::LONGEST > Self::MOST
    }

    fn add(&mut self, word: &str, number: u32) {
        let mut rest = &mut self.bytes[self.count..];
        let before = rest.len();
        let written = writeln!(rest, "{word} {number}");
        debug_assert!(written.is_ok(), "no line is longer than the room that was left for it");
        self.count += before - rest.len();
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.count]
    }
}

impl Service for Ping {
    type State = PartialPing;

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) -> PartialPing {
        PartialPing::default()
    }

    fn received(&mut self, peer: &mut Peer<'_, PartialPing>, bytes: &[u8]) {
        let mut answers = Lines::default();
        for byte in bytes {
            let Some(number) = peer.state.take(*byte) else { continue };
            // An answer is no longer than its ping, so the peer always has room for it.
            if answers.is_full() {
                peer.send(std::mem::take(&mut answers).bytes());
            }
            answers.add("PONG", number);
        }
        if !answers.bytes().is_empty() {
            peer.send(answers.bytes());
        }
    }

    fn save(&self, state: &PartialPing) -> Result<Saved, CannotSave> {
        Saved::new(VERSION, state.to_bytes().to_vec())
    }

    /// A peer that another service has served is at the start of a line.
    fn restore(&mut self, _peer: &mut Peer<'_, ()>, saved: &Saved) -> Result<PartialPing, CannotRestore> {
        match (saved.version(), saved.bytes()) {
            (_, []) => Ok(PartialPing::default()),
            (VERSION, bytes) => PartialPing::of_bytes(bytes).ok_or(CannotRestore::Unreadable),
            (other, _) => Err(CannotRestore::Version(other)),
        }
    }

    fn save_service(&self) -> Result<Saved, CannotSave> {
        Saved::new(VERSION, self.number.to_le_bytes().to_vec())
    }

    fn restore_service(&mut self, saved: &Saved) -> Result<(), CannotRestore> {
        if let Ok(number) = saved.bytes().try_into() {
            self.number = u32::from_le_bytes(number);
        }
        Ok(())
    }
}

impl Ask for Ping {
    fn ask(&mut self, peer: &mut Peer<'_, PartialPing>) {
        self.number = self.number % 999_999_999 + 1;
        let mut ping = Lines::default();
        ping.add("PING", self.number);
        // Without room, an earlier ping still waits, or more output than this peer will take in time.
        if ping.bytes().len() <= peer.room() {
            peer.send(ping.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pings(pieces: &[&str]) -> Vec<u32> {
        let mut line = PartialPing::default();
        pieces.iter().flat_map(|piece| piece.bytes()).filter_map(|byte| line.take(byte)).collect()
    }

    #[test]
    fn a_ping_is_a_line_and_nothing_else() {
        assert_eq!(
            pings(&["PING 1\nPING 22\r\nPING 999999999\n", "PI", "NG", " ", "0", "07", "\n"]),
            [1, 22, 999_999_999, 7]
        );
        for other in ["PING\n", "PING \n", "PING x\n", "PING 1 \n", "PING 1\r2\n", " PING 1\n", "ping 1\n", "PING 1"] {
            assert_eq!(pings(&[other]), [0u32; 0], "{other:?}");
        }
        assert_eq!(pings(&["PING 1234567890\nPONG 3\nPPING 1\n", &"x".repeat(10_000), "\nPING 4\n"]), [4]);
        assert_eq!(size_of::<PartialPing>(), 8);
    }

    #[test]
    fn a_line_that_was_half_read_goes_on_where_it_was_written_down() {
        let line = b"PING 123456789\r\nPING 7\n";
        for cut in 0..line.len() {
            let mut before = PartialPing::default();
            let mut asked: Vec<_> = line[..cut].iter().filter_map(|byte| before.take(*byte)).collect();
            let mut after = PartialPing::of_bytes(&before.to_bytes()).unwrap();
            asked.extend(line[cut..].iter().filter_map(|byte| after.take(*byte)));
            assert_eq!(asked, [123_456_789, 7], "cut after {cut} bytes");
        }
        for wrong in [&[1, 5, 0, 0, 0, 0][..], &[2, 10, 0, 0, 0, 0], &[5, 0, 0, 0, 0, 0], &[0; 5], &[0; 7]] {
            assert!(PartialPing::of_bytes(wrong).is_none());
        }
    }
}

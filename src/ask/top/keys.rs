//! Keys, out of the bytes that a terminal sends for them.
//!
//! Owns the grammar of the sequences (ECMA-48, section 5.4, and xterm's function keys). An unknown one is skipped whole, so that
//! none of its bytes is taken for a letter.

use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Letter(char),
    /// Together with Ctrl.
    Control(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// What was typed and not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Keys {
    bytes: VecDeque<u8>,
    /// No more of a sequence will come.
    is_closed: bool,
}

impl Keys {
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.is_closed = false;
    }

    /// Whether what is left, when there is no next key, may be the beginning of one.
    pub(super) fn is_open(&self) -> bool {
        !self.bytes.is_empty() && !self.is_closed
    }

    /// What has begun is not continued: an ESC was the key itself.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(super) fn next(&mut self) -> Option<Key> {
        loop {
            let (key, length) = match self.decode() {
                Found::Key(key, length) => (Some(key), length),
                Found::Unknown(length) => (None, length),
                Found::Part if !self.is_closed || self.bytes.is_empty() => return None,
                Found::Part if self.bytes.len() == 1 && self.bytes[0] == 0x1b => (Some(Key::Escape), 1),
                Found::Part => (None, self.bytes.len()),
            };
            self.bytes.drain(..length);
            if key.is_some() {
                return key;
            }
        }
    }

    /// What is in front, and how long it is.
    fn decode(&self) -> Found {
        let at = |nth: usize| self.bytes.get(nth).copied();
        let Some(first) = at(0) else { return Found::Part };
        match first {
            0x1b => match at(1) {
                None => Found::Part,
                Some(b'[') => self.control_sequence(),
                Some(b'O') => match at(2) {
                    None => Found::Part,
                    Some(b'M') => Found::Key(Key::Enter, 3), // of the keypad
                    Some(letter) => named(b"", letter).map_or(Found::Unknown(3), |key| Found::Key(key, 3)),
                },
                Some(0x1b) => Found::Key(Key::Escape, 1),
                // Alt and a letter: nothing here.
                Some(_) => Found::Unknown(2),
            },
            b'\r' | b'\n' => Found::Key(Key::Enter, 1),
            0x7f | 0x08 => Found::Key(Key::Backspace, 1),
            0..0x20 => Found::Key(Key::Control((first + b'@').to_ascii_lowercase().into()), 1),
            0x20..0x7f => Found::Key(Key::Letter(first.into()), 1),
            _ => self.letter(first),
        }
    }

    /// ESC [ parameters, intermediate bytes, a final byte.
    fn control_sequence(&self) -> Found {
        let sequence = self.bytes.iter().copied().skip(2);
        let Some(length) = sequence.clone().position(|byte| !(0x20..0x40).contains(&byte)) else {
            // None of ours is so long: this is no terminal any more.
            return if self.bytes.len() > 64 { Found::Unknown(self.bytes.len()) } else { Found::Part };
        };
        let parameters: Vec<u8> = sequence.clone().take(length).collect();
        let last = self.bytes[2 + length];
        if !(0x40..0x7f).contains(&last) {
            return Found::Unknown(2 + length); // it was broken off, and this is something else
        }
        // A modifier (1;5) does not matter.
        let number: Vec<u8> = parameters.iter().copied().take_while(u8::is_ascii_digit).collect();
        named(&number, last).map_or(Found::Unknown(3 + length), |key| Found::Key(key, 3 + length))
    }

    /// A letter in UTF-8.
    fn letter(&self, first: u8) -> Found {
        let length = match first {
            0xc2..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0..0xf5 => 4,
            _ => return Found::Unknown(1),
        };
        if self.bytes.len() < length {
            return Found::Part;
        }
        let bytes: Vec<u8> = self.bytes.iter().copied().take(length).collect();
        match std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next()) {
            Some(letter) => Found::Key(Key::Letter(letter), length),
            None => Found::Unknown(1),
        }
    }
}

enum Found {
    Key(Key, usize),
    Unknown(usize),
    /// More is to come.
    Part,
}

fn named(number: &[u8], last: u8) -> Option<Key> {
    Some(match (number, last) {
        (_, b'A') => Key::Up,
        (_, b'B') => Key::Down,
        (_, b'H') | (b"1" | b"7", b'~') => Key::Home,
        (_, b'F') | (b"4" | b"8", b'~') => Key::End,
        (b"5", b'~') => Key::PageUp,
        (b"6", b'~') => Key::PageDown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pieces: &[&[u8]]) -> Vec<Key> {
        let mut keys = Keys::default();
        let mut pressed = Vec::new();
        for piece in pieces {
            keys.put(piece);
            pressed.extend(std::iter::from_fn(|| keys.next()));
        }
        keys.close();
        pressed.extend(std::iter::from_fn(|| keys.next()));
        pressed
    }

    #[test]
    fn keys_have_names() {
        use Key::*;
        for (bytes, keys) in [
            ("q", vec![Letter('q')]),
            ("\x1b[A\x1b[B\x1bOA", vec![Up, Down, Up]),
            ("\x1b[5~\x1b[6~\x1b[H\x1b[4~\x1bOF", vec![PageUp, PageDown, Home, End, End]),
            ("\x1b[1;5A", vec![Up]),
            ("\r\n\x7f\x08", vec![Enter, Enter, Backspace, Backspace]),
            ("\x03\x1a\x0c", vec![Control('c'), Control('z'), Control('l')]),
            ("äd東", vec![Letter('ä'), Letter('d'), Letter('東')]),
            ("\x1b", vec![Escape]),
            ("\x1b\x1b", vec![Escape, Escape]),
            // A mouse, a report, Alt: no letter of them is a command.
            ("\x1b[<0;10;10Md\x1b[?62;dq\x1bd", vec![Letter('d'), Letter('q')]),
            ("\x1b[1;\x03", vec![Control('c')]),
        ] {
            assert_eq!(typed(&[bytes.as_bytes()]), keys, "{bytes:?}");
            let single: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
            assert_eq!(typed(&single), keys, "{bytes:?}, byte by byte");
        }
    }

    /// The last of several keys that came at once, too.
    #[test]
    fn an_escape_is_waited_for() {
        let mut keys = Keys::default();
        keys.put(b"z\x1b");
        assert_eq!((keys.next(), keys.next(), keys.is_open()), (Some(Key::Letter('z')), None, true));
        keys.close();
        assert_eq!((keys.next(), keys.next(), keys.is_open()), (Some(Key::Escape), None, false));
    }

    #[test]
    fn any_bytes_are_read_to_their_end() {
        let mut seed = 1u32;
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..40)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let byte = (seed >> 24) as u8;
                    if seed & 0x30000 == 0 { 0x1b } else { byte }
                })
                .collect();
            typed(&[&bytes, b"\x1b[", b"\xf0"]);
        }
    }
}

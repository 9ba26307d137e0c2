//! Quotes what came instead of the answer: servers give the reason in a line.
//!
//! Owns how much is quoted. Knows no socket.

use std::fmt::Write;

use crate::load::trouble::{Trouble, TroubleKind};

/// How many bytes of the expected answer are quoted. They are ours, and noise.
const WANTED: usize = 12;
/// How many bytes of a line that came are quoted, at most. Redis explains its protected mode in about 1000 bytes; the
/// first two sentences are enough.
const LINE: usize = 240;
/// The line may have begun like the right answer: it is quoted from its beginning if that is no further back than this.
const BACK: usize = 40;

/// Where an answer differs from the expected one: at byte `at` of it, and at `place` of what `came`. `wanted` is
/// empty if nothing was expected.
pub(super) fn difference(at: usize, wanted: &[u8], came: &[u8], place: usize) -> Trouble {
    let begin = came[..place].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let begin = if place - begin <= BACK { begin } else { place };
    let came = quote(line(&came[begin..]), LINE);
    let words = match wanted.is_empty() {
        true => format!("{came} came, which was not expected"),
        false => format!("at byte {at}, {} was expected, and {came} came", quote(wanted, WANTED)),
    };
    Trouble::new(TroubleKind::WrongBytes, words)
}

/// The first line, without its end; or, if it is empty, all.
fn line(bytes: &[u8]) -> &[u8] {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
    let first = first.strip_suffix(b"\r").unwrap_or(first);
    if first.is_empty() { bytes } else { first }
}

/// The first bytes, printable; `…` marks that there are more.
fn quote(bytes: &[u8], most: usize) -> String {
    let mut text = String::from("\"");
    for byte in bytes.iter().take(most) {
        let _ = write!(text, "{}", byte.escape_ascii()); // writing to a string cannot fail
    }
    text + if bytes.len() > most { "…\"" } else { "\"" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_line_is_quoted_and_no_more() {
        let words = |at, wanted: &[u8], came: &[u8], place| difference(at, wanted, came, place).words;
        assert_eq!(words(3, b"abc", b"x\0", 0), "at byte 3, \"abc\" was expected, and \"x\\x00\" came");
        let denied = "-DENIED Redis is running in protected mode because protected mode is enabled";
        assert_eq!(
            words(0, b"$64\r\n0123456789abcdef", format!("{denied}\r\nmore").as_bytes(), 0),
            format!("at byte 0, \"$64\\r\\n0123456…\" was expected, and \"{denied}\" came")
        );
        // STORED was to come: the S is right, and is quoted with the rest of the line.
        let came = b"SERVER_ERROR out of memory storing object\r\n";
        assert!(words(1, b"TORED\r\n", came, 1).ends_with("\"SERVER_ERROR out of memory storing object\" came"));
        assert!(words(8, b"END", b"value\r\nERROR\r\n", 7).ends_with("\"ERROR\" came"));
        assert_eq!(words(0, b"", b"hello", 0), "\"hello\" came, which was not expected");
    }

    #[test]
    fn noise_is_not_quoted_at_length() {
        let noise = [b'a'; 5000];
        let words = difference(700, b"bcd", &noise, 700).words;
        assert!(words.len() < 320 && words.contains("…\" came"), "{words}");
        assert!(difference(9, b"x", b"\r\n", 0).words.contains("\"\\r\\n\" came"));
    }
}

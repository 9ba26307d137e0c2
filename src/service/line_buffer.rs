//! Lines out of a stream: TCP keeps the order of bytes, and not where one write ended and the next began.
//!
//! Owns the beginning of a line whose end has not come yet, and its bound. Knows no peer and no meaning.

use std::error::Error;
use std::fmt;

/// Collects the bytes of one peer, and gives them back as lines. It takes no memory between lines.
///
/// A line ends with a line feed; a carriage return before that is dropped.
#[derive(Clone, Debug)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// How many of them were given back. They are dropped with the last line, so that many short lines are not moved for each of them.
    given: usize,
    longest: usize,
}

impl LineBuffer {
    /// No line may be longer than this many bytes.
    pub const fn with_longest(longest: usize) -> Self {
        Self { bytes: Vec::new(), given: 0, longest }
    }

    /// Adds bytes that came. Take all lines out afterwards.
    ///
    /// # Errors
    /// A line is too long. Nothing of it is kept; the peer should be ended, for what follows would begin in its middle.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), LineTooLong> {
        self.bytes.extend_from_slice(bytes);
        let too_long = self.bytes[self.given..].split(|byte| *byte == b'\n').any(|line| line.len() > self.longest);
        if too_long {
            (self.bytes, self.given) = (Vec::new(), 0);
            return Err(LineTooLong { longest: self.longest });
        }
        Ok(())
    }

    /// The next whole line, without its end.
    pub fn next_line(&mut self) -> Option<String> {
        let rest = &self.bytes[self.given..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.bytes = rest.to_vec();
            self.given = 0;
            return None;
        };
        self.given += end + 1;
        let line = &rest[..end];
        Some(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
    }
}

/// A line was longer than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong {
    /// How many bytes it may have.
    pub longest: usize,
}

impl fmt::Display for LineTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a line was longer than {} bytes", self.longest)
    }
}

impl Error for LineTooLong {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_came_in() {
        for size in 1..20 {
            let mut buffer = LineBuffer::with_longest(5);
            let mut lines = Vec::new();
            for piece in b"one\r\n\ntwo\nthree\nfo".chunks(size) {
                buffer.add(piece).unwrap();
                lines.extend(std::iter::from_fn(|| buffer.next_line()));
            }
            assert_eq!(lines, ["one", "", "two", "three"], "in pieces of {size}");
            assert_eq!(buffer.add(b"ur and more").unwrap_err().to_string(), "a line was longer than 5 bytes");
            assert_eq!((buffer.next_line(), buffer.bytes.capacity()), (None, 0));
        }
    }
}

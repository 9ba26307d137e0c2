//! Server-sent events: the text of a stream, one event after another (HTML standard, section 9.2.6).
//!
//! Knows nothing of what they say. The id of an event is not kept: nothing here resumes a stream.

use std::io::{self, BufRead};

/// Longer than any event of ours: a slice of a sweep is some hundred kilobytes.
const LONGEST: usize = 16 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its type; `message` if the stream names none.
    pub name: String,
    pub data: String,
}

/// The next event, or none if the stream has ended. An event that the end cuts off is none.
pub(super) fn next(from: &mut impl BufRead) -> io::Result<Option<Event>> {
    let (mut event, mut has_data, mut line) = (Event::default(), false, Vec::new());
    loop {
        line.clear();
        io::Read::take(&mut *from, LONGEST as u64).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return if line.len() >= LONGEST - 1 { Err(io::ErrorKind::InvalidData.into()) } else { Ok(None) };
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.is_empty() {
            if has_data {
                if event.name.is_empty() {
                    event.name.push_str("message");
                }
                return Ok(Some(event));
            }
            event = Event::default();
            continue;
        }
        let text = String::from_utf8_lossy(&line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event.name = value.to_string(),
            "data" => {
                if has_data {
                    event.data.push('\n');
                }
                event.data.push_str(value);
                has_data = true;
            }
            _ => {} // a comment, an id, a time to wait, or what comes in a later version
        }
        if event.data.len() > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut text: &[u8]) -> Vec<(String, String)> {
        let events = std::iter::from_fn(|| next(&mut text).unwrap());
        events.map(|event| (event.name, event.data)).collect()
    }

    #[test]
    fn events_are_told_apart() {
        let stream = ": hello\n\nevent: a\r\nid: 1\r\ndata: {\"x\":\"y: z\"}\r\n\r\ndata:one\ndata\ndata:  two\n\nevent: none\n\n\
            retry: 5\ndata: b\n\nevent: cut\ndata: off\n";
        let own = |name: &str, data: &str| (name.to_string(), data.to_string());
        assert_eq!(
            all(stream.as_bytes()),
            [own("a", "{\"x\":\"y: z\"}"), own("message", "one\n\n two"), own("message", "b")]
        );
    }

    #[test]
    fn a_stream_without_end_is_given_up() {
        let mut endless = io::BufReader::new(io::repeat(b'x'));
        assert_eq!(next(&mut endless).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let many = "data: 0123456789\n".repeat(LONGEST / 10);
        assert!(next(&mut many.as_bytes()).is_err());
    }
}

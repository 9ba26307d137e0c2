//! An answer of HTTP/1.1: its head, and its body by Content-Length, in chunks, or until the connection is closed (RFC 9112).
//!
//! Owns the grammar. Knows no socket, and not what the body says.

use std::io::{self, BufRead, Read};

/// Longer than a head of ours.
const LONGEST_HEAD: u64 = 16 << 10;

/// How an answer went wrong.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection, or there was no more.
    Connection(io::Error),
    /// This is not HTTP; it begins like this.
    NotHttp(Vec<u8>),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub status: u16,
    /// The media type, without parameters; empty if there is none.
    pub kind: String,
    /// The connection cannot be used again.
    pub closes: bool,
    left: Left,
}

/// What is left of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Bytes(u64),
    /// So much of this chunk, then further ones.
    Chunk(u64),
    /// A chunk begins here; before it, unless it is the first, is the end of the line of the one before.
    NextChunk {
        is_first: bool,
    },
    UntilClosed,
}

impl Head {
    /// Reads it, and skips what a server may say before it (100 Continue).
    pub(super) fn read(from: &mut impl BufRead) -> Result<Self, Broken> {
        loop {
            let head = Self::read_one(from)?;
            if !(100..200).contains(&head.status) {
                return Ok(head);
            }
        }
    }

    fn read_one(from: &mut impl BufRead) -> Result<Self, Broken> {
        const HTTP: &[u8] = b"HTTP/1.";
        // Whoever does not speak HTTP may never end its line: the first bytes are enough to tell.
        let first = from.fill_buf()?;
        if first.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let looked_at = first.len().min(HTTP.len());
        if first[..looked_at] != HTTP[..looked_at] {
            return Err(Broken::NotHttp(first.to_vec()));
        }
        let mut head = from.take(LONGEST_HEAD);
        let first = line(&mut head)?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).filter(|status| *status >= 100);
        let (Some(status), true) = (status, first.as_bytes().starts_with(HTTP)) else {
            return Err(Broken::NotHttp(first.into_bytes()));
        };
        let mut closes = first.starts_with("HTTP/1.0");
        let (mut kind, mut length, mut is_chunked) = (String::new(), None, false);
        loop {
            let field = line(&mut head)?;
            if field.is_empty() {
                break;
            }
            let Some((name, value)) = field.split_once(':') else { return Err(Broken::NotHttp(field.into_bytes())) };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-type" => kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase(),
                "content-length" => match value.parse() {
                    Ok(count) => length = Some(count),
                    Err(_) => return Err(Broken::NotHttp(field.into_bytes())),
                },
                "transfer-encoding" => is_chunked = value.eq_ignore_ascii_case("chunked"),
                "connection" => closes |= value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        let left = match (status, is_chunked, length) {
            (204 | 304 | 100..200, _, _) => Left::Bytes(0),
            (_, true, _) => Left::NextChunk { is_first: true },
            (_, false, Some(length)) => Left::Bytes(length),
            (_, false, None) => Left::UntilClosed,
        };
        Ok(Self { status, kind, closes: closes || left == Left::UntilClosed, left })
    }

    pub(super) fn body<R: BufRead>(&self, from: R) -> Body<R> {
        Body { from, left: self.left }
    }
}

/// The body of an answer, freed of its framing.
#[derive(Debug)]
pub(super) struct Body<R> {
    from: R,
    left: Left,
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.left {
                Left::Bytes(0) => return Ok(0),
                Left::UntilClosed => return self.from.read(into),
                Left::Bytes(left) => {
                    let count = self.some(into, left)?;
                    self.left = Left::Bytes(left - count as u64);
                    return Ok(count);
                }
                Left::Chunk(0) => self.left = Left::NextChunk { is_first: false },
                Left::Chunk(left) => {
                    let count = self.some(into, left)?;
                    self.left = Left::Chunk(left - count as u64);
                    return Ok(count);
                }
                Left::NextChunk { is_first } => {
                    let mut lines = self.from.by_ref().take(LONGEST_HEAD);
                    if !is_first && !line(&mut lines)?.is_empty() {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    let size = line(&mut lines)?;
                    let size = size.split(';').next().unwrap_or_default().trim();
                    let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
                    self.left = Left::Chunk(size);
                    if size == 0 {
                        while !line(&mut lines)?.is_empty() {} // trailers
                        self.left = Left::Bytes(0);
                    }
                }
            }
        }
    }
}

impl<R: BufRead> Body<R> {
    /// Reads at most `left` bytes, and at least one.
    fn some(&mut self, into: &mut [u8], left: u64) -> io::Result<usize> {
        let most = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match self.from.read(&mut into[..most])? {
            0 if most > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

/// A line without its end.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    /// Status, media type, whether it closes, and the body or why there is none.
    fn read(answer: &str, most: usize) -> Result<(u16, String, bool, io::Result<String>), Broken> {
        let mut from = BufReader::with_capacity(most, answer.as_bytes());
        let head = Head::read(&mut from)?;
        let mut text = String::new();
        let body = head.body(&mut from).read_to_string(&mut text).map(|_| text);
        Ok((head.status, head.kind, head.closes, body))
    }

    #[test]
    fn a_body_has_three_forms() {
        for most in [1, 3, 4096] {
            let plain =
                read("HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; x=y\r\nCONTENT-LENGTH: 3\r\n\r\nok\nHTTP", most);
            let (status, kind, closes, body) = plain.unwrap();
            assert_eq!((status, kind.as_str(), closes, body.unwrap().as_str()), (200, "text/plain", false, "ok\n"));
            let chunked = "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n00A;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\nrest";
            let (status, _, closes, body) = read(chunked, most).unwrap();
            assert_eq!((status, closes, body.unwrap().as_str()), (404, false, "abc0123456789"));
            let (_, _, closes, body) = read("HTTP/1.1 200 OK\n\nall of it", most).unwrap();
            assert_eq!((closes, body.unwrap().as_str()), (true, "all of it"));
            let (status, _, _, body) = read("HTTP/1.1 100 Go on\r\n\r\nHTTP/1.0 204 None\r\n\r\nx", most).unwrap();
            assert_eq!((status, body.unwrap().as_str()), (204, ""));
        }
    }

    #[test]
    fn what_is_cut_off_is_no_answer() {
        let whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        for end in 0..whole.len() {
            let cut = read(&whole[..end], 4096);
            assert!(!matches!(cut, Ok((_, _, _, Ok(_)))), "{:?}", &whole[..end]);
        }
        assert!(read("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", 9).unwrap().3.is_err());
        let wrong = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
        assert_eq!(read(wrong, 9).unwrap().3.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_is_no_http_is_shown() {
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1 << 20));
        assert!(matches!(read(&endless, 4096), Err(Broken::Connection(_))));
        for garbage in
            ["SSH-2.0-OpenSSH", "H", "\0\u{1}", "GET /peers HTTP/1.1\r\n", "HTTP/1.1 x y\r\n\r\n", "HTTP/2 200\r\n\r\n"]
        {
            assert!(matches!(read(garbage, 4096), Err(Broken::NotHttp(_) | Broken::Connection(_))), "{garbage:?}");
        }
    }
}

//! HTTP/1.1 requests out of a stream of bytes, in pieces of any size.
//!
//! Owns the framing of a request and what it may take: the length of its head, of its target and of its body. What cannot be
//! framed beyond doubt is refused, and the connection ends: where one request ends and the next begins must never be a guess. Knows no
//! path and no answer.

use httparse::{Error, Header, Status};

use crate::observe::admin::method::Method;
use crate::observe::admin::target::{BadTarget, Target};

/// The longest head, in bytes.
pub(super) const LONGEST_HEAD: usize = 8 * 1024;
/// The longest target, in bytes.
pub(super) const LONGEST_TARGET: usize = 2 * 1024;
/// The longest request line, in bytes: a target, a method and a version.
const LONGEST_LINE: usize = LONGEST_TARGET + 32;
/// The most headers.
pub(super) const MOST_HEADERS: usize = 64;
/// The longest body, in bytes. No request needs one: it is read and dropped.
pub(super) const LONGEST_BODY: u64 = 64 * 1024;
/// How many bytes may wait: one head, and what a client that does not wait for answers has sent behind it.
pub(super) const MOST_WAITING: usize = 3 * LONGEST_HEAD;

/// A request whose head and body have come.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub method: Method,
    pub target: Target,
    /// The host that it is for: of the target if that has one, otherwise of the header. `None`: HTTP/1.0 without one.
    pub host: Option<String>,
    /// Whether the connection can go on after the answer.
    pub keeps_alive: bool,
    /// HTTP/1.1, and not 1.0: it has to be told if the connection goes on.
    pub is_1_1: bool,
    pub accept: Option<String>,
    pub accept_encoding: Option<String>,
    pub authorization: Option<String>,
    pub last_event_id: Option<String>,
    pub origin: Option<String>,
    pub sec_fetch_site: Option<String>,
}

/// Why the bytes are no request. The connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub status: u16,
    pub sentence: &'static str,
}

/// What has come.
#[derive(Debug)]
pub(super) enum Next {
    /// Not all of a request.
    Nothing,
    /// The client wants to know whether it may send its body.
    Continue,
    Request(Box<Request>),
    Unreadable(Unreadable),
}

/// What a client has sent and was not answered yet.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
    /// This many of them were parsed, and are no whole head.
    tried: usize,
    /// A request whose body has not come yet.
    held: Option<Box<Held>>,
    /// More came than may wait, so the rest is unknown.
    has_lost: bool,
}

#[derive(Debug)]
struct Held {
    request: Box<Request>,
    /// How many bytes of its body are still to come.
    body: u64,
    expects_continue: bool,
}

impl Incoming {
    /// Takes what came.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let bytes = self.drop_body(bytes);
        let room = MOST_WAITING.saturating_sub(self.bytes.len());
        if !self.has_lost {
            self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        self.has_lost |= bytes.len() > room;
    }

    /// A request has begun, and its end has not come.
    pub(super) fn is_in_the_middle(&self) -> bool {
        !self.bytes.is_empty() || self.held.is_some()
    }

    /// The next request. Called until nothing is left.
    pub(super) fn next(&mut self) -> Next {
        if self.held.is_none() {
            match self.read_head() {
                Ok(None) if self.has_lost => {
                    return Next::Unreadable(Unreadable { status: 431, sentence: "too much came at once" });
                }
                Ok(None) => return Next::Nothing,
                Ok(Some(held)) => self.held = Some(Box::new(held)),
                Err(unreadable) => return Next::Unreadable(unreadable),
            }
        }
        let waiting = std::mem::take(&mut self.bytes);
        self.bytes = self.drop_body(&waiting).to_vec();
        match self.held.take() {
            None => Next::Nothing,
            Some(held) if held.body == 0 => Next::Request(held.request),
            Some(mut held) => {
                let asks = std::mem::take(&mut held.expects_continue);
                self.held = Some(held);
                if asks { Next::Continue } else { Next::Nothing }
            }
        }
    }

    /// What is left of these bytes behind the body that is being dropped.
    fn drop_body<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(held) = &mut self.held else { return bytes };
        let dropped = usize::try_from(held.body).unwrap_or(usize::MAX).min(bytes.len());
        held.body -= dropped as u64;
        &bytes[dropped..]
    }

    fn read_head(&mut self) -> Result<Option<Held>, Unreadable> {
        // Empty lines before a request are ignored (RFC 9112 §2.2).
        let empty = self.bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if empty > 0 && self.tried == 0 {
            self.bytes.drain(..empty);
        }
        // Parsed with each line that ends, and not with each byte; the first ones show what is no HTTP at all.
        let is_new = self.tried == 0 || self.bytes[self.tried..].contains(&b'\n');
        let head = if is_new && !self.bytes.is_empty() { read(&self.bytes)? } else { Head::Partial(None) };
        self.tried = self.bytes.len();
        match head {
            Head::Whole(held, length) => {
                self.bytes.drain(..length);
                self.tried = 0;
                Ok(Some(held))
            }
            Head::Partial(_) if self.bytes.len() <= LONGEST_LINE => Ok(None),
            Head::Partial(None) if !self.bytes.contains(&b'\n') => Err(TARGET_TOO_LONG),
            Head::Partial(_) if self.bytes.len() > LONGEST_HEAD => Err(HEAD_TOO_LONG),
            Head::Partial(_) => Ok(None),
        }
    }
}

const TARGET_TOO_LONG: Unreadable = Unreadable { status: 414, sentence: "the target is longer than 2048 bytes" };
const HEAD_TOO_LONG: Unreadable = Unreadable { status: 431, sentence: "the head is longer than 8192 bytes" };

enum Head {
    /// And how long its target is, if that has come.
    Partial(Option<usize>),
    /// And how long the head is.
    Whole(Held, usize),
}

const fn bad(sentence: &'static str) -> Unreadable {
    Unreadable { status: 400, sentence }
}

/// Reads a head.
fn read(bytes: &[u8]) -> Result<Head, Unreadable> {
    // Of a long line it must not matter whether its end has come: a method may be as long as a target.
    if bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()) > LONGEST_LINE {
        return Err(TARGET_TOO_LONG);
    }
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let length = match parsed.parse(bytes) {
        Ok(Status::Complete(length)) => Some(length),
        Ok(Status::Partial) => None,
        Err(Error::TooManyHeaders) => {
            return Err(Unreadable { status: 431, sentence: "there are more than 64 headers" });
        }
        Err(Error::Version) => {
            return Err(Unreadable { status: 505, sentence: "HTTP/1.1 and HTTP/1.0 are spoken here" });
        }
        Err(Error::Token) => return Err(bad("the request line is not one of HTTP")),
        Err(_) => {
            return Err(bad("a header is not one of HTTP: NAME: VALUE in one line, and no space before the colon"));
        }
    };
    let target = parsed.path.map(str::len);
    if target.is_some_and(|target| target > LONGEST_TARGET) {
        return Err(TARGET_TOO_LONG);
    }
    let Some(length) = length else { return Ok(Head::Partial(target)) };
    if length > LONGEST_HEAD {
        return Err(HEAD_TOO_LONG);
    }
    let is_1_1 = parsed.version == Some(1);
    let method = Method::of(parsed.method.unwrap_or_default());
    let target = match Target::read(parsed.path.unwrap_or_default(), method) {
        Ok(target) => target,
        Err(BadTarget) => {
            return Err(bad("the target is no path: /peers?limit=10, with each % followed by two digits"));
        }
    };
    Ok(Head::Whole(held(method, target, is_1_1, parsed.headers)?, length))
}

/// The request of a head that has come.
fn held(method: Method, target: Target, is_1_1: bool, headers: &[Header<'_>]) -> Result<Held, Unreadable> {
    let mut request = Box::new(Request {
        method,
        target,
        host: None,
        keeps_alive: is_1_1,
        is_1_1,
        accept: None,
        accept_encoding: None,
        authorization: None,
        last_event_id: None,
        origin: None,
        sec_fetch_site: None,
    });
    let (mut body, mut is_encoded, mut expects_continue, mut closes) = (None, false, false, false);
    for header in headers {
        // Only what is read is looked into; the rest may be any bytes.
        let value = || std::str::from_utf8(header.value).map(|value| value.trim().to_string()).ok();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let slot = if is("host") {
            if request.host.is_some() {
                return Err(bad("there is more than one Host header"));
            }
            request.host = Some(value().ok_or(bad("the Host header is not text"))?);
            continue;
        } else if is("content-length") {
            if body.replace(length_of(header.value)?).is_some() {
                return Err(bad("there is more than one Content-Length header"));
            }
            continue;
        } else if is("transfer-encoding") {
            is_encoded = true;
            continue;
        } else if is("connection") {
            let named = value().unwrap_or_default().to_ascii_lowercase();
            closes |= named.split(',').any(|word| word.trim() == "close");
            request.keeps_alive |= named.split(',').any(|word| word.trim() == "keep-alive");
            continue;
        } else if is("expect") {
            if !value().is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
                return Err(Unreadable { status: 417, sentence: "only 100-continue can be expected" });
            }
            expects_continue = is_1_1;
            continue;
        } else if is("accept") {
            // A list may be spread over several headers (RFC 9110 §5.3).
            let more = value().unwrap_or_default();
            request.accept = Some(request.accept.take().map_or(more.clone(), |before| format!("{before}, {more}")));
            continue;
        } else if is("accept-encoding") {
            &mut request.accept_encoding
        } else if is("authorization") {
            &mut request.authorization
        } else if is("last-event-id") {
            &mut request.last_event_id
        } else if is("origin") {
            &mut request.origin
        } else if is("sec-fetch-site") {
            &mut request.sec_fetch_site
        } else {
            continue;
        };
        *slot = value();
    }
    request.keeps_alive &= !closes;
    let body = match (body, is_encoded) {
        (Some(_), true) => return Err(bad("Content-Length and Transfer-Encoding contradict each other")),
        (None, true) => {
            return Err(Unreadable {
                status: 501,
                sentence: "no Transfer-Encoding is read here; no request needs a body",
            });
        }
        (length, false) => length.unwrap_or(0),
    };
    if body > LONGEST_BODY {
        return Err(Unreadable { status: 413, sentence: "the body is longer than 65536 bytes; no request needs one" });
    }
    if is_1_1 && request.host.is_none() {
        return Err(bad("HTTP/1.1 wants a Host header"));
    }
    // The target's host is the one that counts (RFC 9112 §3.2.2).
    if let Some(host) = request.target.host.take() {
        request.host = Some(host);
    }
    Ok(Held { request, body, expects_continue })
}

/// Digits, and nothing else: `+1`, `1, 1` and `0x1` mean one thing to us and another to a proxy.
fn length_of(value: &[u8]) -> Result<u64, Unreadable> {
    let value = value.trim_ascii();
    let digits = if value.iter().all(u8::is_ascii_digit) { std::str::from_utf8(value).ok() } else { None };
    let length = digits.filter(|digits| (1..=19).contains(&digits.len())).and_then(|digits| digits.parse().ok());
    length.ok_or(bad("the Content-Length is not a number"))
}

#[cfg(test)]
mod tests;

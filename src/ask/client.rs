//! Questions to an admin port, over TCP or a unix socket; each waits for its answer.
//!
//! Owns the connection and the token. Knows HTTP's framing from `http.rs` only, and not what the answers mean.

use std::fmt::{Display, Write as _};
use std::fs;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::admin_place::AdminPlace;
use crate::ask::Server;
#[cfg(feature = "top")]
use crate::ask::event_stream::{self, Event};
#[cfg(feature = "top")]
use crate::ask::http::Body;
use crate::ask::http::{Broken, Head};
use crate::ask::trouble::Trouble;
use crate::place::Place;

/// No answer to a single question is longer: a page of 1000 peers has some 300 kB.
const LONGEST_ANSWER: u64 = 32 << 20;
/// How long a server that has too much to do is left alone.
const BUSY: Duration = Duration::from_secs(1);

/// Asks one admin port. The connection is kept for the next question.
#[derive(Debug)]
pub(super) struct Client {
    place: AdminPlace,
    token: Option<String>,
    patience: Duration,
    stream: Option<BufReader<Stream>>,
}

/// A connection over either kind of socket.
#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Stream {
    /// A socket with a timeout is interrupted without any signal handler when the process was stopped and goes on (signal(7)), and not
    /// each caller asks again.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Self::Tcp(stream) => stream.read(into),
                Self::Unix(stream) => stream.read(into),
            };
            if !matches!(&result, Err(error) if error.kind() == ErrorKind::Interrupted) {
                return result;
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Client {
    /// Reads the token. Nothing is asked yet.
    ///
    /// # Errors
    /// A sentence about the token's file.
    pub(super) fn new(server: &Server) -> Result<Self, String> {
        let token = server.token_file.as_ref().map(|file| {
            let told = |because: &dyn Display| format!("--admin-token-file {}: {because}", file.display());
            let text = fs::read_to_string(file).map_err(|error| told(&error))?;
            let token = text.trim();
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(told(&"a token is one word of visible ASCII, and nothing else may be in its file"));
            }
            Ok(token.to_string())
        });
        Ok(Self { place: server.place.clone(), token: token.transpose()?, patience: server.patience, stream: None })
    }

    /// Asks for something, which must be JSON.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub(super) fn get(&mut self, path: &str) -> Result<Value, Trouble> {
        let until = Instant::now() + self.patience;
        loop {
            match self.ask("GET", path) {
                // A kept connection may have been closed since: that is no answer to this question.
                Err((_, true)) => {}
                Err((Trouble::Busy(_), _)) if Instant::now() + BUSY < until => thread::sleep(BUSY),
                answer => return answer.map_err(|(trouble, _)| trouble),
            }
        }
    }

    /// Asks the server to remove something. It is asked once only, on a new connection: whether the question was heard on one
    /// that broke would not be known.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub(super) fn delete(&mut self, path: &str) -> Result<Value, Trouble> {
        self.once("DELETE", path)
    }

    /// Asks the server to do something, once only as well.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub(super) fn post(&mut self, path: &str) -> Result<Value, Trouble> {
        self.once("POST", path)
    }

    fn once(&mut self, method: &str, path: &str) -> Result<Value, Trouble> {
        self.stream = None;
        self.ask(method, path).map_err(|(trouble, _)| trouble)
    }

    /// Whether it answers that it is ready. Whatever else happens is a no: who asks this has no use for a sentence.
    pub(super) fn is_ready(&self) -> bool {
        let Ok(mut stream) = self.connect() else { return false };
        let Ok(head) = self.send("GET", "/readyz", "text/plain", &mut stream) else { return false };
        let mut body = Vec::new();
        let read = head.body(&mut stream).take(LONGEST_ANSWER).read_to_end(&mut body);
        // Another program may listen there, and answer 200 to everything.
        head.status == 200 && read.is_ok() && body.trim_ascii() == b"ready"
    }

    #[cfg(feature = "top")]
    /// Asks for a stream of events, on a connection of its own.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub(super) fn events(self, path: &str) -> Result<Events, Trouble> {
        let mut stream = self.connect()?;
        let head = self.send("GET", path, "text/event-stream", &mut stream)?;
        if head.status != 200 || head.kind != "text/event-stream" {
            return Err(match self.read_json(&head, &mut stream) {
                Err(trouble) => trouble,
                Ok(_) => Trouble::not_ours(&self.place, head.status, &head.kind),
            });
        }
        let body = BufReader::with_capacity(64 << 10, head.body(stream));
        Ok(Events { body, place: self.place, patience: self.patience })
    }

    /// A question and its answer. With the error is told whether a connection that was kept has turned out to be closed.
    fn ask(&mut self, method: &str, path: &str) -> Result<Value, (Trouble, bool)> {
        let kept = self.stream.take();
        let was_kept = kept.is_some();
        let mut stream = kept.map_or_else(|| self.connect(), Ok).map_err(|trouble| (trouble, false))?;
        let head = self
            .send(method, path, "application/json", &mut stream)
            .map_err(|trouble| (trouble.clone(), was_kept && matches!(trouble, Trouble::Away(_))))?;
        let value = self.read_json(&head, &mut stream).map_err(|trouble| (trouble, false))?;
        self.stream = (!head.closes).then_some(stream);
        Ok(value)
    }

    fn send(&self, method: &str, path: &str, wanted: &str, stream: &mut BufReader<Stream>) -> Result<Head, Trouble> {
        let host = match &self.place {
            AdminPlace::Tcp(place) => reachable(place).to_string(),
            AdminPlace::Unix(_) => "localhost".to_string(),
        };
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let question = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {wanted}\r\n{token}\r\n");
        let sent = stream.get_mut().write_all(question.as_bytes());
        // A server that refuses everybody may have answered and closed before it was asked: what it said counts.
        Head::read(stream).map_err(|broken| match (broken, sent) {
            (Broken::NotHttp(begin), _) => Trouble::not_http(&self.place, &begin),
            (Broken::Connection(_), Err(error)) | (Broken::Connection(error), Ok(())) => self.broken(&error),
        })
    }

    fn read_json(&self, head: &Head, stream: &mut BufReader<Stream>) -> Result<Value, Trouble> {
        let mut bytes = Vec::new();
        let read = head.body(stream).take(LONGEST_ANSWER + 1).read_to_end(&mut bytes);
        let value = serde_json::from_slice::<Value>(&bytes).ok();
        let sentence = value.as_ref().and_then(|value| value.get("error")?.as_str()).map(super::printable);
        match (head.status, sentence) {
            (401, _) => return Err(Trouble::no_token(&self.place, self.token.is_some())),
            (404, Some(_)) => return Err(Trouble::Gone),
            (503, Some(sentence)) => return Err(Trouble::Busy(format!("{} answers: {sentence}", self.place))),
            (200..300, _) => {}
            (_, Some(sentence)) => return Err(Trouble::Refused(format!("{} answers: {sentence}", self.place))),
            (_, None) => return Err(Trouble::not_ours(&self.place, head.status, &head.kind)),
        }
        read.map_err(|error| self.broken(&error))?;
        match value {
            Some(value) if bytes.len() as u64 <= LONGEST_ANSWER => Ok(value),
            _ => Err(Trouble::not_ours(&self.place, head.status, &head.kind)),
        }
    }

    fn connect(&self) -> Result<BufReader<Stream>, Trouble> {
        let stream = match &self.place {
            AdminPlace::Unix(path) => {
                UnixStream::connect(path).map(Stream::Unix).map_err(|error| self.unreachable(&error))?
            }
            AdminPlace::Tcp(place) => {
                let addresses = reachable(place).addresses().map_err(Trouble::Away)?;
                let mut failed = None;
                let mut tries = addresses.iter().map(|address| TcpStream::connect_timeout(address, self.patience));
                let connected = tries.find_map(|tried| tried.map_err(|error| failed = Some(error)).ok());
                connected
                    .map(Stream::Tcp)
                    .ok_or_else(|| self.unreachable(&failed.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into())))?
            }
        };
        let patience = Some(self.patience);
        let set = match &stream {
            Stream::Tcp(stream) => {
                let _ = stream.set_nodelay(true); // a question is one write anyway
                stream.set_read_timeout(patience).and_then(|()| stream.set_write_timeout(patience))
            }
            Stream::Unix(stream) => stream.set_read_timeout(patience).and_then(|()| stream.set_write_timeout(patience)),
        };
        set.map_err(|error| self.unreachable(&error))?;
        Ok(BufReader::with_capacity(64 << 10, stream))
    }

    fn unreachable(&self, error: &io::Error) -> Trouble {
        Trouble::unreachable(&self.place, self.patience, error)
    }

    fn broken(&self, error: &io::Error) -> Trouble {
        Trouble::broken(&self.place, self.patience, error)
    }

    /// It answers in JSON, and this is missing.
    pub(super) fn strange(&self, missing: &str) -> Trouble {
        Trouble::strange(&self.place, missing)
    }

    #[cfg(feature = "top")]
    pub(super) fn place(&self) -> &AdminPlace {
        &self.place
    }
}

/// A stream of events.
#[cfg(feature = "top")]
#[derive(Debug)]
pub(super) struct Events {
    body: BufReader<Body<BufReader<Stream>>>,
    place: AdminPlace,
    patience: Duration,
}

#[cfg(feature = "top")]
impl Events {
    /// The server tells what is no event of ours.
    pub(super) fn strange(&self, missing: &str) -> Trouble {
        Trouble::strange(&self.place, missing)
    }

    /// Waits for the next one.
    pub(super) fn next(&mut self) -> Result<Event, Trouble> {
        match event_stream::next(&mut self.body) {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err(Trouble::Away(format!("{} has closed the connection", self.place))),
            Err(error) => Err(Trouble::broken(&self.place, self.patience, &error)),
        }
    }
}

/// A server that listens on all addresses (`STILLTHERE_ADMIN=0.0.0.0:7070` may be set for both) is asked on loopback.
fn reachable(place: &Place) -> Place {
    match place {
        Place::Address(address) if address.ip().is_unspecified() => {
            let ip = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { IpAddr::from(Ipv6Addr::LOCALHOST) };
            Place::Address(SocketAddr::new(ip, address.port()))
        }
        other => other.clone(),
    }
}

/// A value in a query: everything but letters, digits and `-._` is escaped (RFC 3986, section 2.1).
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => escaped.push(byte.into()),
            _ => drop(write!(escaped, "%{byte:02X}")), // a string takes all
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escaped("2001:db8::/32"), "2001%3Adb8%3A%3A%2F32");
        assert_eq!(escaped("3f-2a"), "3f-2a");
    }

    #[test]
    fn all_addresses_are_asked_on_loopback() {
        for (given, asked) in
            [("0.0.0.0:7070", "127.0.0.1:7070"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1"), ("a:1", "a:1")]
        {
            assert_eq!(reachable(&given.parse().unwrap()).to_string(), asked);
        }
    }
}

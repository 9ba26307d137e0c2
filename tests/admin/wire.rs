//! The other end: a server with an admin port, and clients that speak HTTP byte by byte.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{PATIENCE, Server, connect};

/// A server, and where its admin port is.
pub struct Watched {
    pub server: Server,
    pub admin: SocketAddr,
}

/// Starts a server with an admin port that the kernel chooses.
pub fn start(options: &[&str]) -> Watched {
    let options: Vec<_> = ["127.0.0.1:0", "--admin", "127.0.0.1:0"].iter().chain(options).copied().collect();
    of(Server::start(&options))
}

pub fn of(server: Server) -> Watched {
    let admin = server
        .log
        .iter()
        .find_map(|(_, line)| line.split_once("admin port on http://")?.1.strip_suffix('/')?.parse().ok())
        .unwrap_or_else(|| panic!("it has logged no admin port:\n{}", server.told()));
    Watched { server, admin }
}

impl Watched {
    pub fn client(&self) -> Client<TcpStream> {
        Client::new(connect(self.admin))
    }

    /// One request on a connection of its own.
    pub fn ask(&self, method: &str, target: &str) -> Answer {
        self.client().ask(method, target, "")
    }

    pub fn get(&self, target: &str) -> Answer {
        self.ask("GET", target)
    }

    /// The JSON that is at this target.
    pub fn json(&self, target: &str) -> Value {
        self.get(target).json()
    }

    /// The sample of this metric, its labels included in the name.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).parse().expect("a number")
    }

    /// Waits until this many peers are connected.
    pub fn wait_for_peers(&self, count: usize) {
        let started = Instant::now();
        while self.metric("stillthere_peers") != count as f64 {
            assert!(started.elapsed() < PATIENCE, "not {count} peers, but {}", self.metric("stillthere_peers"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (header, value) = line.split_once(": ")?;
            header.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// A connection to the admin port.
pub struct Client<S> {
    stream: BufReader<S>,
}

impl<S: Read + Write> Client<S> {
    pub fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the port takes it");
    }

    /// Sends a request, and reads its answer. Each line of `headers` ends with CRLF.
    pub fn ask(&mut self, method: &str, target: &str, headers: &str) -> Answer {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes());
        self.answer(method == "HEAD")
    }

    /// Reads an answer. That of a HEAD has no body.
    pub fn answer(&mut self, is_head: bool) -> Answer {
        let head = self.head();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.header("content-length").map(|length| length.parse().expect("a number"));
        if let Some(length) = length.filter(|_| !is_head) {
            answer.body = vec![0; length];
            self.stream.read_exact(&mut answer.body).expect("the whole body");
        }
        answer
    }

    pub fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let count = self.stream.read_line(&mut head).expect("a head comes");
            assert!(count > 0, "the connection ended in a head: {head:?}");
        }
        assert!(head.starts_with("HTTP/1.1 "), "{head}");
        head
    }

    /// The next event of a stream: its name, its id and its data. Comments are left out.
    pub fn event(&mut self) -> (String, Option<u64>, Value) {
        let (mut name, mut id, mut data) = ("message".to_string(), None, String::new());
        loop {
            let mut line = String::new();
            assert!(self.stream.read_line(&mut line).expect("an event comes") > 0, "the stream has ended");
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("event", told)) => name = told.to_string(),
                Some(("id", told)) => id = Some(told.parse().expect("a number")),
                Some(("data", told)) => data = told.to_string(),
                _ if line == "\n" && !data.is_empty() => {
                    return (name, id, serde_json::from_str(&data).expect("JSON"));
                }
                _ => assert!(line == "\n" || line.starts_with(':'), "{line:?}"),
            }
        }
    }

    /// Whether the other end has closed; waits for that as long as the stream's timeout.
    pub fn has_ended(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

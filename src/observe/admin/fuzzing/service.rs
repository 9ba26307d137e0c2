//! The whole admin port on a scripted stage: clients that come, ask, and go, in any order.
//!
//! Owns what must hold: each request has one answer, in order, and an answer is whole unless its client has gone.

use std::net::SocketAddr;
use std::time::Duration;

use crate::keepalive::Keepalive;
use crate::observe::admin::method::Method;
use crate::observe::admin::request::{Incoming, Next, Request};
use crate::observe::admin::{About, Admin, Hosts, LeftOut, Token, limits};
use crate::reactor::{Moment, PeerId};
use crate::testing::Stage;

const TOKEN: &str = "0123456789abcdef";
/// More would only take time.
const MOST_CLIENTS: usize = 12;
const MOST_STEPS: usize = 200;
/// A request that has begun has to end within ten seconds.
const PATIENCE: Duration = Duration::from_secs(9);
/// Longer than any answer takes.
const LONG: Duration = Duration::from_secs(45);

/// What clients ask for. `{}` is a number that no other request of the try has.
const REQUESTS: [&str; 20] = [
    "GET /nothing{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text\r\n\r\n",
    "GET /peers HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /peers?sort=silence&limit=2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /peers?limit=0&x{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /peers?from=192.0.2.0/31 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /peers/{}-1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /watch HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HEAD /watch HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    "GET /nothing{} HTTP/1.0\r\n\r\n",
    "GET /nothing{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "GET /nothing{} HTTP/1.1\r\nHost: evil.example\r\n\r\n",
];

struct Client {
    id: PeerId,
    sent: Vec<u8>,
    received: Vec<u8>,
    /// It has gone, or was lost on the way: what it was owed need not be whole.
    is_gone: bool,
    /// It has sent its FIN.
    is_closed: bool,
    /// When it has last sent something.
    spoke: Moment,
    /// It has said nothing for so long that it may have been shown out, without a word or with a complaint.
    was_silent: bool,
}

/// One try. It panics if something does not hold.
pub fn service(bytes: &[u8]) {
    let mut script =
        Script { stage: stage(bytes.first().is_some_and(|byte| byte & 1 == 1)), clients: Vec::new(), number: 0 };
    let mut rest = bytes.get(1..).unwrap_or_default();
    for _ in 0..MOST_STEPS {
        let [what, who, more, after @ ..] = rest else { break };
        rest = after;
        script.step(*what, *who, *more, &mut rest);
    }
    script.end();
}

fn stage(has_token: bool) -> Stage<Admin> {
    let keepalive = Keepalive::default();
    let about = About {
        deadline: keepalive.deadline(),
        latest: keepalive.deadline() * 2,
        idle: keepalive.idle(),
        interval: keepalive.interval(),
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 7007))],
        left_out: LeftOut::default(),
        #[cfg(feature = "upgrade")]
        refusal: Default::default(),
    };
    let token = has_token.then(|| Token::of(TOKEN));
    Stage::with(Admin::new(Hosts::Loopback(None), token, about), keepalive, limits().expect("they are right"))
}

struct Script {
    stage: Stage<Admin>,
    clients: Vec<Client>,
    number: u32,
}

impl Script {
    fn step(&mut self, what: u8, who: u8, more: u8, rest: &mut &[u8]) {
        if self.clients.is_empty() || what == 0 && self.clients.len() < MOST_CLIENTS {
            let id = self.stage.arrive();
            let (sent, received) = Default::default();
            self.clients.push(Client {
                id,
                sent,
                received,
                is_gone: false,
                is_closed: false,
                spoke: self.stage.now(),
                was_silent: false,
            });
        }
        let nth = usize::from(who) % self.clients.len();
        let id = self.clients[nth].id;
        match what {
            0 => {}
            1 => self.stage.read_at_most(usize::from(more) + 1),
            2 => self.stage.take_at_most(id, usize::from(more) * 16),
            3 => self.stage.take_all(id),
            4 => self.stage.wait(Duration::from_millis(u64::from(more) * 50)),
            5 => self.stage.wait(Duration::from_secs(u64::from(more) / 4)),
            6 => {
                self.stage.close(id);
                self.clients[nth].is_closed = true;
            }
            7 => {
                self.stage.reset(id);
                self.clients[nth].is_gone = true;
            }
            8 => {
                self.stage.pull_cable(id);
                self.clients[nth].is_gone = true;
            }
            // Any bytes.
            9 => {
                let (bytes, after) = rest.split_at(usize::from(more).min(rest.len()));
                *rest = after;
                self.send(nth, bytes);
            }
            // A request, or the first part of one.
            _ => {
                self.number += 1;
                let text = REQUESTS[usize::from(what) % REQUESTS.len()].replace("{}", &self.number.to_string());
                let cut = if more < 32 { usize::from(more) % text.len() } else { text.len() };
                self.send(nth, &text.as_bytes()[..cut]);
            }
        }
        self.collect();
    }

    fn send(&mut self, nth: usize, bytes: &[u8]) {
        let client = &mut self.clients[nth];
        // What is sent after a FIN is not sent.
        if !client.is_closed {
            client.was_silent |= self.stage.now().since(client.spoke) >= PATIENCE;
            client.spoke = self.stage.now();
            client.sent.extend_from_slice(bytes);
            self.stage.send(client.id, bytes);
        }
    }

    fn collect(&mut self) {
        for client in &mut self.clients {
            client.received.extend(self.stage.received(client.id));
        }
    }

    /// Everybody takes what there is for him, and then it is looked at who was told what.
    fn end(mut self) {
        for nth in 0..self.clients.len() {
            self.stage.take_all(self.clients[nth].id);
        }
        self.collect();
        // First the answers that are still being made; then nobody is there who could be waited for any more.
        for _ in 0..3 {
            self.stage.wait(LONG);
            self.collect();
        }
        for client in &mut self.clients {
            // One that takes nothing is let go.
            let departure = self.stage.departure(client.id);
            client.is_gone |= departure.is_some_and(|departure| !["closed", "by_service"].contains(&departure.word()));
            check(client);
        }
    }
}

/// The requests that these bytes are, and whether there was an end to them.
fn requests(bytes: &[u8]) -> (Vec<Request>, bool) {
    let (mut incoming, mut requests) = (Incoming::default(), Vec::new());
    // In small pieces, so that the oracle never holds more than it may.
    for piece in bytes.chunks(64) {
        incoming.add(piece);
        loop {
            match incoming.next() {
                Next::Nothing => break,
                Next::Continue => {}
                Next::Unreadable(_) => return (requests, true),
                Next::Request(request) => requests.push(*request),
            }
        }
    }
    (requests, incoming.is_in_the_middle())
}

/// Each request has one answer, in order.
fn check(client: &Client) {
    let (requests, may_complain) = requests(&client.sent);
    let told = || String::from_utf8_lossy(&client.received).into_owned();
    let mut rest = client.received.as_slice();
    let mut requests = requests.iter();
    let mut is_over = false;
    while !rest.is_empty() {
        assert!(!is_over, "an answer comes after the last one:\n{}", told());
        if let Some(after) = rest.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n") {
            rest = after;
            continue;
        }
        let Some((head, body)) = head(rest) else {
            assert!(client.is_gone, "an answer is not whole:\n{}", told());
            return;
        };
        let request = requests.next();
        // What is no request is answered once, and so is one that does not come to its end.
        assert!(request.is_some() || may_complain || head.status == 408, "nobody has asked for this:\n{}", told());
        is_over = head.closes;
        if request.is_none() {
            assert!(is_over && head.status >= 400, "{}", told());
        }
        if head.is_stream && request.is_some_and(|request| request.method != Method::Head) {
            return events(body, client);
        }
        let length = if request.is_some_and(|request| request.method == Method::Head) { 0 } else { head.length };
        let Some((body, after)) = body.split_at_checked(length) else {
            assert!(client.is_gone, "a body is not whole:\n{}", told());
            return;
        };
        if let Some(request) = request {
            fits(request, &head, body);
        }
        rest = after;
    }
    // Who has stayed has all of its answers, up to one after which the connection ends.
    let is_owed = requests.next().is_some() && !is_over;
    assert!(
        !is_owed || client.is_gone || client.is_closed || client.was_silent,
        "a request has no answer:\n{}",
        told()
    );
}

struct Head {
    status: u16,
    length: usize,
    closes: bool,
    is_stream: bool,
}

/// The head of an answer, and what comes behind it.
fn head(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&bytes[..end]).expect("a head is text");
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let mut head = Head {
        status: status.unwrap_or_else(|| panic!("{first:?} begins no answer")),
        length: 0,
        closes: false,
        is_stream: false,
    };
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no header"));
        match name {
            "Content-Length" => head.length = value.parse().expect("a length"),
            "Connection" => head.closes = value == "close",
            "Content-Type" => head.is_stream = value == "text/event-stream",
            _ => {}
        }
    }
    Some((head, &bytes[end + 4..]))
}

/// The answer is that of this request.
fn fits(request: &Request, head: &Head, body: &[u8]) {
    let body = String::from_utf8_lossy(body);
    assert_ne!(head.status, 503, "it is never busy here: {body}");
    let path = request.target.path.as_str();
    if let Some(number) = path.strip_prefix("/nothing").filter(|_| head.status == 404 && request.method == Method::Get)
    {
        assert!(body.contains(&format!("there is no /nothing{number};")), "{path} is not what was answered: {body}");
    }
    if request.method == Method::Get && head.status == 200 {
        let begins = match path {
            "/healthz" => "ok\n",
            "/readyz" => "ready\n",
            "/metrics" => "# ",
            "/peers" => "{\"time\":",
            _ => "",
        };
        assert!(body.starts_with(begins), "{path} is not what was answered: {body}");
    }
}

/// A stream of events, up to where it was cut off.
fn events(bytes: &[u8], client: &Client) {
    let text = std::str::from_utf8(bytes);
    assert!(text.is_ok() || client.is_gone, "the events are no text");
    // The last line may have been cut off.
    for line in text.unwrap_or_default().split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let is_known = ["id: ", "data: ", "event: ", "retry: ", ":", "\n"].iter().any(|start| line.starts_with(start));
        assert!(is_known, "{line:?} is no line of an event");
        if let Some(data) = line.strip_prefix("data: ") {
            let data: Result<serde_json::Value, _> = serde_json::from_str(data);
            assert!(data.is_ok_and(|data| data.is_object()), "{line:?} is no JSON");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The corpus in `fuzz/corpus/`, so that what was once found stays mended.
    #[test]
    fn the_corpus_is_played() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/service");
        let mut played = 0;
        for entry in std::fs::read_dir(corpus).expect("it is there") {
            let path = entry.expect("it can be listed").path();
            println!("{}", path.display()); // the last one, if it fails
            service(&std::fs::read(&path).expect("it can be read"));
            played += 1;
        }
        assert!(played >= 10, "{played}");
    }
}

//! HTTP, as clients and scanners speak it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::exchange;
use crate::wire::start;

pub fn paths() {
    let watched = start(&[]);
    let _peer = watched.server.connect();
    watched.wait_for_peers(1);
    for (target, status, kind, part) in [
        ("/healthz", 200, "text/plain; charset=utf-8", "ok\n"),
        ("/readyz", 200, "text/plain; charset=utf-8", "ready\n"),
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", "\nstillthere_peers 1\n"),
        ("/peers", 200, "application/json", "\"total\":1,"),
        ("http://localhost/%70eers?limit=1&sort=age", 200, "application/json", "\"total\":1,"),
        ("/peers/", 404, "application/json", "is no peer's id"),
        ("/peers/1-0", 404, "application/json", "there is no peer 1-0 any more"),
        ("/peers?sort=name", 400, "application/json", "silence, age or bytes"),
        ("/events?after=x", 400, "application/json", "is no number of an event"),
        ("/favicon.ico", 404, "application/json", "there is no /favicon.ico"),
        ("/metrics/", 404, "application/json", "there is no /metrics/"),
        ("/../etc/passwd", 404, "application/json", "there is no"),
        ("//peers", 404, "application/json", "there is no"),
    ] {
        let answer = watched.get(target);
        assert_eq!((answer.status, answer.header("content-type")), (status, Some(kind)), "{target}: {answer:?}");
        assert!(answer.text().contains(part), "{target}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("date").is_some_and(|date| date.ends_with(" GMT")), "{answer:?}");
        if status >= 400 {
            assert!(answer.json()["error"].is_string());
        }
    }
}

pub fn head() {
    let watched = start(&[]);
    let mut client = watched.client();
    for target in ["/", "/healthz", "/readyz", "/peers", "/nothing"] {
        let get = client.ask("GET", target, "");
        let head = client.ask("HEAD", target, "");
        let without_date = |head: &str| -> Vec<String> {
            head.lines().filter(|line| !line.starts_with("Date: ")).map(str::to_string).collect()
        };
        assert_eq!(without_date(&head.head), without_date(&get.head), "{target}");
        assert_eq!((head.body.len(), get.body.is_empty()), (0, false), "{target}");
    }
    // The next answer would begin with what is left of a body.
    assert_eq!(client.ask("HEAD", "/metrics", "").status, 200);
    assert_eq!(client.ask("GET", "/healthz", "").text(), "ok\n");
    assert_eq!(client.ask("HEAD", "/events", "").header("content-type"), Some("text/event-stream"));
}

pub fn pieces() {
    let watched = start(&[]);
    for size in [1, 2, 7, 1000] {
        let mut client = watched.client();
        let requests = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /peers HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\n\
                        HEAD /readyz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for piece in requests.as_bytes().chunks(size) {
            client.send(piece);
            if size < 7 {
                sleep(Duration::from_micros(200)); // so that most of them come by themselves
            }
        }
        let told = [false, false, true, false].map(|is_head| client.answer(is_head).status);
        assert_eq!(told, [200, 200, 200, 404], "in pieces of {size}");
    }
}

pub fn pipelining() {
    let watched = start(&[]);
    let mut peers: Vec<_> = (0..300).map(|_| watched.server.connect()).collect();
    watched.wait_for_peers(300);
    let mut client = watched.client();
    // The first ones take many turns, the others none.
    for _ in 0..5 {
        for target in ["/peers?limit=1000&sort=silence", "/healthz", "/metrics", "/peers?limit=300", "/readyz"] {
            client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        }
    }
    for _ in 0..5 {
        let answers: Vec<_> = (0..5).map(|_| client.answer(false)).collect();
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        assert_eq!(answers[0].json()["peers"].as_array().unwrap().len(), 300);
        assert_eq!((answers[1].text().as_str(), answers[4].text().as_str()), ("ok\n", "ready\n"));
        assert!(answers[2].text().contains("stillthere_peers 300\n"));
        assert_eq!(answers[3].json()["peers"].as_array().unwrap().len(), 300);
    }
    // Who sends without ever reading what comes is answered as far as may wait, and the peers are served.
    let mut flood = watched.client();
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(5000);
    flood.send(request.as_bytes());
    let answered = std::iter::repeat_with(|| flood.answer(false)).take_while(|answer| answer.status == 200).count();
    assert!((100..5000).contains(&answered), "{answered} requests were answered");
    peers.iter_mut().for_each(exchange);
}

pub fn old() {
    let watched = start(&[]);
    let mut client = watched.client();
    client.send(b"GET /readyz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.answer(false);
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("ready\n", Some("keep-alive")));
    client.send(b"GET /healthz HTTP/1.0\n\n");
    let answer = client.answer(false);
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("ok\n", Some("close")));
    assert!(client.has_ended());
    let mut client = watched.client();
    assert_eq!(client.ask("GET", "/healthz", "Connection: close\r\n").header("connection"), Some("close"));
    assert!(client.has_ended());
}

/// A client that has asked everything closes its half at once, as `socat` does; its answers still come.
pub fn half_closed() {
    let watched = start(&[]);
    for (requests, statuses) in [
        (vec!["/metrics"], vec![200]),
        (
            vec!["/healthz", "/peers?sort=age", "/nothing", "/metrics", "/readyz", "/peers", "/healthz"],
            vec![200, 200, 404, 200, 200, 200, 200],
        ),
    ] {
        let stream = crate::common::connect(watched.admin);
        let mut client = crate::wire::Client::new(stream.try_clone().unwrap());
        let text: String =
            requests.iter().map(|target| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).collect();
        client.send(text.as_bytes());
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let told: Vec<_> = requests.iter().map(|_| client.answer(false).status).collect();
        assert_eq!(told, statuses);
        assert!(client.has_ended());
    }
    // Half a request is none.
    let stream = crate::common::connect(watched.admin);
    let mut client = crate::wire::Client::new(stream.try_clone().unwrap());
    client.send(b"GET /metrics HTTP/1.1\r\n");
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.has_ended());
}

/// What `OPTIONS *` tells of a program that can be upgraded.
const ALL: &str = "GET, HEAD, POST, DELETE, OPTIONS";

pub fn refusals() {
    let watched = start(&[]);
    for (method, target, status, allow) in [
        ("POST", "/metrics", 405, Some("GET, HEAD, OPTIONS")),
        ("PUT", "/peers/1-0", 405, Some("GET, HEAD, DELETE, OPTIONS")),
        ("DELETE", "/peers", 405, Some("GET, HEAD, OPTIONS")),
        ("DELETE", "/", 405, Some("GET, HEAD, OPTIONS")),
        ("OPTIONS", "/metrics", 204, Some("GET, HEAD, OPTIONS")),
        ("OPTIONS", "/peers/1-0", 204, Some("GET, HEAD, DELETE, OPTIONS")),
        ("OPTIONS", "*", 204, Some(if cfg!(feature = "upgrade") { ALL } else { "GET, HEAD, DELETE, OPTIONS" })),
        ("POST", "/nothing", 404, None),
        ("BREW", "/metrics", 501, None),
        ("TRACE", "/metrics", 501, None),
        ("get", "/metrics", 501, None),
    ] {
        // The connection goes on: the next request is answered.
        let mut client = watched.client();
        let answer = client.ask(method, target, "");
        assert_eq!((answer.status, answer.header("allow")), (status, allow), "{method} {target}: {answer:?}");
        assert_eq!(client.ask("GET", "/healthz", "").status, 200, "{method} {target}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(3000));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(100));
    let bomb = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "y".repeat(100_000));
    for (request, status) in [
        (long.as_str(), 414),
        (many.as_str(), 431),
        (bomb.as_str(), 431),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
        ("hello\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01", 400),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n", 413),
    ] {
        let mut client = watched.client();
        client.send(request.as_bytes());
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{request:.60}");
        assert!(client.has_ended(), "{request:.60}: what follows cannot be told apart");
    }
}

pub fn bodies() {
    let watched = start(&[]);
    let mut client = watched.client();
    // Something that looks like a request, in a body.
    let body = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = client.ask("GET", "/healthz", &format!("Content-Length: {}\r\n\r\n{body}", body.len() + 2));
    assert_eq!(answer.text(), "ok\n");
    client.send(b"DELETE /peers/1-0 HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(b"abc");
    assert_eq!(client.answer(false).status, 404);
    assert_eq!(client.ask("GET", "/healthz", "").text(), "ok\n");
}

pub fn slow() {
    let watched = start(&[]);
    // A byte now and then is no progress: what counts is the whole request.
    let mut slow = watched.client();
    let (mut silent, started) = (watched.client(), Instant::now());
    for byte in b"GET /healthz HT" {
        slow.send(&[*byte]);
        sleep(Duration::from_millis(500));
    }
    let mut kept = watched.client();
    assert_eq!(kept.ask("GET", "/healthz", "").status, 200);
    let answer = slow.answer(false);
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    let took = started.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(14)).contains(&took), "{took:?}");
    assert!(slow.has_ended() && silent.has_ended());
    // One that has asked may say nothing for a minute.
    assert_eq!(kept.ask("GET", "/healthz", "").status, 200);
}

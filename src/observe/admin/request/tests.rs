//! What is read as a request, and what is refused.

use super::*;

/// What comes of these bytes when they arrive in pieces of this size: each request, or the status with which it ends.
fn read(bytes: &[u8], size: usize) -> Vec<Result<Request, u16>> {
    let mut incoming = Incoming::default();
    let mut came = Vec::new();
    for piece in bytes.chunks(size) {
        incoming.add(piece);
        loop {
            match incoming.next() {
                Next::Nothing => break,
                Next::Continue => {}
                Next::Request(request) => came.push(Ok(*request)),
                Next::Unreadable(unreadable) => {
                    came.push(Err(unreadable.status));
                    return came;
                }
            }
        }
    }
    came
}

/// The same for pieces of every kind of size, which must not matter.
fn read_anyhow(bytes: &[u8]) -> Vec<Result<String, u16>> {
    let told = |size| -> Vec<_> {
        let came = read(bytes, size).into_iter();
        came.map(|came| came.map(|request| format!("{:?} {}", request.method, request.target.path))).collect()
    };
    let whole = told(usize::MAX);
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(told(size), whole, "{:?} in pieces of {size}", String::from_utf8_lossy(bytes));
    }
    whole
}

fn status(request: &str) -> Option<u16> {
    read_anyhow(request.as_bytes()).last().and_then(|came| came.as_ref().err().copied())
}

const HOST: &str = "Host: localhost\r\n";

#[test]
fn requests_come_out_in_order_however_they_came_in() {
    let bytes = format!(
        "\r\n\r\nGET /a HTTP/1.1\r\n{HOST}\r\nHEAD /b HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\nGET /\n\
         DELETE /c HTTP/1.1\r\n{HOST}\r\nBREW /d HTTP/1.1\r\n{HOST}\r\nPOST /e HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\nGET /f"
    );
    let came = read_anyhow(bytes.as_bytes());
    let wanted = ["Get /a", "Head /b", "Delete /c", "Unknown /d", "Post /e"];
    assert_eq!(came, wanted.map(|told| Ok(told.to_string())));
}

#[test]
fn lines_may_end_with_a_line_feed_alone() {
    assert_eq!(
        read_anyhow(b"GET /a HTTP/1.0\n\nGET /b HTTP/1.0\n\n"),
        ["Get /a", "Get /b"].map(|told| Ok(told.into()))
    );
}

#[test]
fn a_connection_goes_on_if_both_want_it() {
    for (version, header, goes_on) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: Upgrade, CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let came = read(format!("GET / HTTP/{version}\r\n{HOST}{header}\r\n").as_bytes(), 9);
        let request = came[0].as_ref().unwrap();
        assert_eq!((request.keeps_alive, request.is_1_1), (goes_on, version == "1.1"), "{version} {header}");
    }
}

#[test]
fn headers_are_told_apart_in_any_case_and_the_last_word_on_the_host_is_the_target_s() {
    let came = read(
        b"GET http://127.0.0.1:7/x HTTP/1.1\r\nhOsT: evil.example\r\nACCEPT: text/plain\r\nAccept: */*;q=0.1 \r\n\
          Last-Event-ID:\t17 \r\nx-other: \xff\xfe\r\nAuthorization: Bearer x\r\n\r\n",
        usize::MAX,
    );
    let request = came[0].as_ref().unwrap();
    assert_eq!(request.host.as_deref(), Some("127.0.0.1:7"));
    assert_eq!(request.accept.as_deref(), Some("text/plain, */*;q=0.1"));
    assert_eq!((request.last_event_id.as_deref(), request.authorization.as_deref()), (Some("17"), Some("Bearer x")));
}

/// What one program frames in one way and another in a different way: request smuggling.
#[test]
fn what_could_be_framed_in_two_ways_is_refused() {
    for (headers, wanted) in [
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Content-Length: 5, 5\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: 0x5\r\n", 400),
        ("Content-Length: 5 5\r\n", 400),
        ("Content-Length:\r\n", 400),
        ("Content-Length: 99999999999999999999\r\n", 400),
        ("Content-Length: 65537\r\n", 413),
        ("Content-Length: 9999999999999999999\r\n", 413),
        ("Transfer-Encoding: chunked\r\n", 501),
        ("Transfer-Encoding: identity\r\n", 501),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n", 400),
        ("Content-Length : 5\r\n", 400),
        ("Transfer-Encoding : chunked\r\n", 400),
        ("X: y\r\n folded: z\r\n", 400),
        ("X: y\r\n\tContent-Length: 5\r\n", 400),
        (" X: y\r\n", 400),
        (": y\r\n", 400),
        ("X\r\n", 400),
        ("X: a\rb\r\n", 400),
        ("X: a\0b\r\n", 400),
        ("X\u{e9}: y\r\n", 400),
        ("Host: localhost\r\n", 400),
        ("Expect: 200-ok\r\n", 417),
    ] {
        assert_eq!(status(&format!("GET / HTTP/1.1\r\n{HOST}{headers}\r\nhello")), Some(wanted), "{headers:?}");
    }
    assert_eq!(status("GET / HTTP/1.1\r\nAccept: */*\r\n\r\n"), Some(400), "there is no Host");
}

#[test]
fn a_request_line_that_is_none_is_refused() {
    for (line, wanted) in [
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/0.9", 505),
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET /a b HTTP/1.1", 505),
        ("GET /% HTTP/1.1", 400),
        ("GET peers HTTP/1.1", 400),
        ("CONNECT localhost:80 HTTP/1.1", 400),
        ("G\u{1}T / HTTP/1.1", 400),
        ("", 400),
    ] {
        // The empty line is none, so the header is taken for one.
        assert_eq!(status(&format!("{line}\r\n{HOST}\r\n")), Some(wanted), "{line:?}");
    }
    // A TLS client, which is noticed with its first bytes.
    assert_eq!(
        read(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", usize::MAX).last().unwrap().as_ref().err(),
        Some(&400)
    );
}

#[test]
fn heads_targets_and_numbers_of_headers_are_bounded() {
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\n{HOST}\r\n", "x".repeat(length - 1));
    assert_eq!((status(&target(LONGEST_TARGET)), status(&target(LONGEST_TARGET + 1))), (None, Some(414)));
    assert_eq!(status(&"x".repeat(LONGEST_HEAD)), Some(414), "a line without an end");
    let headers = |count: usize| format!("GET / HTTP/1.1\r\n{HOST}{}\r\n", "X: y\r\n".repeat(count - 1));
    assert_eq!((status(&headers(MOST_HEADERS)), status(&headers(MOST_HEADERS + 1))), (None, Some(431)));
    let head = |length: usize| {
        let begin = format!("GET / HTTP/1.1\r\n{HOST}X: ");
        format!("{begin}{}\r\n\r\n", "y".repeat(length - begin.len() - 4))
    };
    assert_eq!((status(&head(LONGEST_HEAD)), status(&head(LONGEST_HEAD + 1))), (None, Some(431)));
    assert_eq!(status(&format!("GET / HTTP/1.1\r\n{HOST}X: {}", "y".repeat(3 * LONGEST_HEAD))), Some(431));
}

#[test]
fn a_body_is_asked_for_once_and_dropped_and_never_taken_for_a_request() {
    let mut incoming = Incoming::default();
    incoming
        .add(format!("DELETE /a HTTP/1.1\r\n{HOST}Expect: 100-Continue\r\nContent-Length: 65536\r\n\r\n").as_bytes());
    assert!(matches!(incoming.next(), Next::Continue) && matches!(incoming.next(), Next::Nothing));
    let body = b"GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for piece in body.repeat(2000)[..65_535].chunks(1000) {
        incoming.add(piece);
        assert!(matches!(incoming.next(), Next::Nothing) && incoming.is_in_the_middle());
        assert!(incoming.bytes.capacity() == 0, "nothing of it is kept");
    }
    incoming.add(b"xGET /b HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for path in ["/a", "/b"] {
        assert!(matches!(incoming.next(), Next::Request(request) if request.target.path == path));
    }
    assert!(!incoming.is_in_the_middle());
    // HTTP/1.0 knows no 100.
    incoming.add(b"GET / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert!(matches!(incoming.next(), Next::Nothing));
}

#[test]
fn what_a_client_sends_without_waiting_for_answers_is_bounded() {
    let mut incoming = Incoming::default();
    let request = format!("GET /a HTTP/1.1\r\n{HOST}\r\n");
    for _ in 0..10_000 {
        incoming.add(request.as_bytes());
    }
    assert!(incoming.bytes.len() == MOST_WAITING && incoming.has_lost);
    let mut count = 0;
    let ends = loop {
        match incoming.next() {
            Next::Request(_) => count += 1,
            other => break other,
        }
    };
    assert!(matches!(ends, Next::Unreadable(Unreadable { status: 431, .. })), "{ends:?}");
    assert_eq!(count, MOST_WAITING / request.len(), "what came before that is answered");
}

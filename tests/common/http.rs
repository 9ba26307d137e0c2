//! A client of the admin port, for tests and benches: one request, one answer.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{PATIENCE, Server, connect};

/// An answer of the admin port.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// A request without a body.
pub fn head(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Sends a request, and reads the answer. The connection can be used again.
pub fn ask(stream: &mut TcpStream, request: &str) -> io::Result<Answer> {
    stream.write_all(request.as_bytes())?;
    // Nothing comes behind the answer that a buffer could swallow: no other request is under way.
    let mut reader = BufReader::new(stream);
    let (mut line, mut status, mut length) = (String::new(), None, 0);
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if status.is_none() {
            status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
            assert!(status.is_some(), "{line:?} begins no answer");
        }
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().expect("a length");
            }
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Answer { status: status.unwrap_or_default(), body: String::from_utf8(body).expect("it is text") })
}

/// The same on a connection of its own, which is tried again while the port has no room for another client.
pub fn send(admin: SocketAddr, method: &str, path: &str) -> Answer {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask(&mut connect(admin), &head(method, path)) {
            Ok(answer) => return answer,
            Err(error) => assert!(Instant::now() < until, "{method} {path}: {error}"),
        }
        sleep(Duration::from_millis(20));
    }
}

/// What is there, which it must be.
pub fn get(admin: SocketAddr, path: &str) -> String {
    let answer = send(admin, "GET", path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

/// The samples of `/metrics`, by series.
pub fn samples(text: &str) -> BTreeMap<String, f64> {
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?} is no sample"));
        (name.to_string(), value.parse().unwrap_or_else(|_| panic!("{line:?} has no value")))
    };
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

/// Where a server's admin port is, from its log.
pub fn admin(server: &mut Server) -> SocketAddr {
    let find = |server: &Server| {
        let mut lines = server.log.iter().filter(|(_, line)| line.contains("admin"));
        lines.find_map(|(_, line)| {
            let (_, rest) = line.split_once("http://").or(line.split_once(" listens on "))?;
            rest.split(|c: char| c == ',' || c == '/' || c.is_whitespace()).next()?.parse().ok()
        })
    };
    if find(server).is_none() {
        server.wait_for("admin");
    }
    find(server).unwrap_or_else(|| panic!("the log does not say where the admin port is:\n{}", server.told()))
}

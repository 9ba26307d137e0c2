//! Each example as a whole program, and somebody who talks to it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running example. It ends with this value.
struct Example {
    child: Child,
    address: String,
}

impl Example {
    fn start(name: &str) -> Self {
        // Cargo builds the examples beside the tests: target/debug/examples and target/debug/deps.
        let mut path = std::env::current_exe().expect("a test is a file");
        path.pop();
        path.pop();
        let mut command = Command::new(path.join("examples").join(name));
        let child = command.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn();
        let mut child = child.expect("`cargo test` builds the examples; for one test alone, `cargo build --examples`");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().strip_prefix("listening on ").expect("its first line").to_string();
        Self { child, address }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        BufReader::new(stream)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hears(peer: &mut BufReader<TcpStream>, wanted: &str) {
    let mut line = String::new();
    peer.read_line(&mut line).expect("a line comes in time");
    assert_eq!(line, format!("{wanted}\n"));
}

#[test]
fn chat() {
    let chat = Example::start("chat");
    let mut first = chat.connect();
    hears(&mut first, "you are 1; 0 others are here");
    let mut second = chat.connect();
    hears(&mut second, "you are 2; 1 others are here");
    hears(&mut first, "* 2 came");
    let mut third = chat.connect();
    hears(&mut third, "you are 3; 2 others are here");
    hears(&mut first, "* 3 came");
    hears(&mut second, "* 3 came");
    // In pieces, and two lines at once; nobody hears himself.
    first.get_mut().write_all(b"hel").unwrap();
    second.get_mut().write_all(b"one\ntwo\n").unwrap();
    hears(&mut first, "2: one");
    first.get_mut().write_all(b"lo\n").unwrap();
    hears(&mut first, "2: two");
    for wanted in ["2: one", "2: two", "1: hello"] {
        hears(&mut third, wanted);
    }
    hears(&mut second, "1: hello");
    third.get_mut().shutdown(Shutdown::Write).unwrap();
    hears(&mut first, "* 3 left: closed by the peer");
    hears(&mut second, "* 3 left: closed by the peer");
    // A line without an end is not kept for ever.
    second.get_mut().write_all(&[b'x'; 5000]).unwrap();
    hears(&mut first, "* 2 left: shut down by us");
}

//! `serve --log story`: whether a peer's whole life is told, in the words of the course.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::servers::PATIENCE;

/// A server that ends with its value.
struct House(Child);

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn a_life_is_told_from_the_accept_to_the_departure() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    command.args(["serve", "127.0.0.1:0", "--log", "story"]).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut house = House(command.spawn().expect("the server starts"));
    let mut lines = BufReader::new(house.0.stderr.take().expect("a pipe")).lines().map(|line| line.expect("text"));
    let first = lines.find(|line| line.contains(" listens on ")).expect("it says where");
    let address = first.split(" listens on ").nth(1).and_then(|rest| rest.split(',').next()).expect("an address");
    let mut peer = TcpStream::connect(address).expect("it listens");
    peer.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    peer.write_all(b"hello\n").expect("it is sent");
    peer.read_exact(&mut [0; 6]).expect("it is answered");
    sleep(Duration::from_secs(1)); // the look at a peer that was written to comes half a second later
    peer.shutdown(Shutdown::Write).expect("it can be closed");
    assert_eq!(peer.read_to_end(&mut Vec::new()).expect("it closes, too"), 0);
    let mut told = Vec::new();
    for line in &mut lines {
        let is_last = line.contains("has departed, once");
        told.push(line);
        if is_last {
            break;
        }
    }
    let story = told.join("\n");
    for part in [
        "└ sleeps (epoll_wait) until the kernel announces something",
        "┌ turn 1: woke after ",
        "│ latch     remembers that somebody waits in the accept queue",
        "│ accept    accept4: 127.0.0.1:",
        "EAGAIN, nobody else waits; this alone clears the latch",
        ": readable",
        ": 6 bytes",
        "the kernel has taken 6 of 6 bytes",
        "│ expire    TCP_INFO 127.0.0.1:",
        "it owes no ACK, so keepalive watches it from here on",
        "0 bytes: its FIN has come, and nothing more will",
        "│ reap      close: slot 0 is free from here on",
        "for one reason: closed by the peer",
    ] {
        assert!(story.contains(part), "{part:?} is not told:\n{story}");
    }
    // A line that the story does not know is told as it is: there is none in such a life.
    let address = format!("{}", peer.local_addr().expect("an address"));
    let untold: Vec<_> = told.iter().filter(|line| line.contains("│ log ") && line.contains(&address)).collect();
    assert!(untold.is_empty(), "told as they are logged: {untold:?}");
}

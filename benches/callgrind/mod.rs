//! How many instructions of user space the server takes for a round trip and for an accept, as callgrind counts them.
//!
//! The server runs twice, with a number of round trips (or accepts) and with twice as many, so that the difference is the cost of
//! the round trips alone. The counts are nearly the same each time, because nothing shares a turn: an arrival is waited for before
//! its exchange, and a departure before the next arrival.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, Server, descriptors};

const MANY: usize = 500;

/// Instructions of a round trip, and of an accept with the close that follows it.
#[derive(Clone, Copy, Debug)]
pub struct Instructions {
    pub round_trip: f64,
    pub accept_and_close: f64,
}

/// Whether valgrind is there.
pub fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok()
}

/// Counts, for a server with these options.
pub fn count(options: &[&str]) -> Result<Instructions, Box<dyn Error>> {
    let round_trips = |many| move |first: &mut TcpStream, _: &Server| (0..many).try_for_each(|_| exchange(first));
    let accepts = |many| {
        move |_: &mut TcpStream, server: &Server| {
            for _ in 0..many {
                let before = descriptors(server.pid());
                let mut stream = server.connect();
                wait_for(server, before + 1)?;
                exchange(&mut stream)?;
                drop(stream);
                wait_for(server, before)?;
            }
            Ok(())
        }
    };
    let each = |less: u64, more: u64| (more - less) as f64 / MANY as f64;
    let round_trip = each(total(options, round_trips(MANY))?, total(options, round_trips(2 * MANY))?);
    let with_exchange = each(total(options, accepts(MANY))?, total(options, accepts(2 * MANY))?);
    Ok(Instructions { round_trip, accept_and_close: with_exchange - round_trip })
}

fn exchange(stream: &mut TcpStream) -> Result<(), Box<dyn Error>> {
    let mut answer = [0; 64];
    stream.write_all(&[7; 64])?;
    Ok(stream.read_exact(&mut answer)?)
}

/// Until the server has so many descriptors.
fn wait_for(server: &Server, wanted: usize) -> Result<(), Box<dyn Error>> {
    let until = Instant::now() + PATIENCE;
    while descriptors(server.pid()) != wanted {
        if Instant::now() > until {
            return Err("the server did not accept a peer, or did not let it go".into());
        }
        sleep(Duration::from_micros(100));
    }
    Ok(())
}

/// The instructions of a whole run of the server, with one connected peer, while `work` is done.
fn total(
    options: &[&str],
    work: impl Fn(&mut TcpStream, &Server) -> Result<(), Box<dyn Error>>,
) -> Result<u64, Box<dyn Error>> {
    // Another binary can be counted, such as one of an earlier commit.
    let binary = std::env::var("STILLTHERE_BINARY").unwrap_or(env!("CARGO_BIN_EXE_stillthere").to_string());
    let own = Path::new(env!("CARGO_BIN_EXE_stillthere"));
    let out = own.parent().and_then(Path::parent).ok_or("no target directory")?.join("callgrind.out");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", &format!("--callgrind-out-file={}", out.display())]).arg(binary);
    command.args(["serve", "127.0.0.1:0", "--deadline", "1h"]).args(options);
    let mut server = Server::start_with(command);
    let mut first = server.connect();
    exchange(&mut first)?;
    work(&mut first, &server)?;
    drop(first);
    server.signal("TERM");
    server.wait();
    let text = fs::read_to_string(out)?;
    let total = text.lines().find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")));
    Ok(total.ok_or("callgrind reported no total")?.trim().parse()?)
}

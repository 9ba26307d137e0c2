//! What the server costs at rest: the size of its file, its memory at the start, the time until it listens, and
//! the user-space memory of an idle peer.
//!
//! `cargo bench --bench footprint [-- PEERS]`. Memory is `Private_Dirty` of /proc/PID/smaps_rollup:
//! the pages that this process wrote to and shares with no other. The memory of a peer is the difference between that
//! with all peers connected and that with none, divided by their number.

#[path = "../tests/common/mod.rs"]
mod common;

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Server, descriptors, memory, raise_descriptor_limit};

/// A peer that was just written to is not idle: the loop remembers it until it is looked at, half a second later.
const AT_REST: Duration = Duration::from_millis(1500);

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().skip(1).find_map(|argument| argument.parse::<usize>().ok());
    let peers = given.unwrap_or(19_000);
    raise_descriptor_limit(peers as u64 + 100);
    // The program may be another file, such as the static one.
    let binary = std::env::var("STILLTHERE_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_stillthere").to_string());
    // Pages of a file that was just built and is not yet written back would count as dirty.
    Command::new("sync").status()?;

    let mut command = Command::new(&binary);
    command.args(["serve", "127.0.0.1:0", "--deadline", "60s"]);
    let started = Instant::now();
    let server = Server::start_with(command);
    let listening = server.log.first().map_or(Duration::ZERO, |(at, _)| at.duration_since(started));
    sleep(Duration::from_millis(200));
    let at_start = memory(server.pid(), "Private_Dirty");
    println!("binary                                {:>9} bytes", fs::metadata(&binary)?.len());
    println!("from exec to listening                {:>9.1} ms", listening.as_secs_f64() * 1000.0);
    println!("private memory at the start           {:>9} KiB", at_start / 1024);

    let baseline = descriptors(server.pid());
    let mut connected = Vec::with_capacity(peers);
    for _ in 0..peers {
        connected.push(server.connect());
    }
    wait_for(|| descriptors(server.pid()) == baseline + peers)?;
    let share = |now: u64| (now.saturating_sub(at_start)) as f64 / peers as f64;
    println!("peers                                 {peers:>9}");
    sleep(AT_REST);
    println!("an idle peer that never spoke         {:>9.1} bytes", share(memory(server.pid(), "Private_Dirty")));
    for peer in &mut connected {
        peer.write_all(b"hello")?;
        peer.read_exact(&mut [0; 5])?;
    }
    sleep(AT_REST);
    println!("an idle peer that spoke once          {:>9.1} bytes", share(memory(server.pid(), "Private_Dirty")));
    drop(connected);
    wait_for(|| descriptors(server.pid()) == baseline)?;
    sleep(Duration::from_millis(200));
    println!("private memory after all have gone    {:>9} KiB", memory(server.pid(), "Private_Dirty") / 1024);
    Ok(())
}

fn wait_for(holds: impl Fn() -> bool) -> Result<(), Box<dyn Error>> {
    let until = Instant::now() + common::PATIENCE;
    while !holds() {
        if Instant::now() > until {
            return Err("the server did not accept, or release, all peers in time".into());
        }
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

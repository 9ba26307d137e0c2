//! How many instructions of user space a round trip and an accept take: a check against growth that
//! does not depend on what else the machine does. callgrind counts the same for a round trip each time; the count for
//! an arrival varies by 2 %, because arrivals may share a turn or not.
//!
//! `make instructions` compares with benches/instructions.txt and fails when a count has grown by more than
//! 3 %; `make instructions ARGS=record` records new counts, which belongs in a commit that adds instructions on purpose. A record
//! is valid for one compiler and one profile. The server runs under valgrind twice, with a number of round
//! trips (or accepts) and with twice as many, so that the difference is the cost of the round trips alone.

#[path = "../tests/common/mod.rs"]
mod common;

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, ExitCode};

use common::Server;

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
/// The growth that is allowed, in percent.
const ALLOWED: f64 = 3.0;
const MANY: usize = 500;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("\n*** NOT CHECKED: valgrind is not installed; `apt install valgrind` ***\n");
        return Ok(ExitCode::SUCCESS);
    }
    let round_trips = |many| move |first: &mut TcpStream, _: &Server| (0..many).try_for_each(|_| exchange(first));
    let accepts = |many| {
        move |_: &mut TcpStream, server: &Server| {
            let mut held = Vec::new();
            for _ in 0..many {
                held.push(server.connect());
                // The exchange makes the server accept it in a separate turn, like the others.
                exchange(held.last_mut().ok_or("just pushed")?)?;
            }
            Ok(())
        }
    };
    let each = |less: u64, more: u64| (more - less) as f64 / MANY as f64;
    let round_trip = each(count(round_trips(MANY))?, count(round_trips(2 * MANY))?);
    let with_exchange = each(count(accepts(MANY))?, count(accepts(2 * MANY))?);
    // This includes a departure: the connections that are held are closed before the server stops.
    let measured = [("round trip", round_trip), ("accept and close", with_exchange - round_trip)];

    let compiler = String::from_utf8(Command::new("rustc").arg("--version").output()?.stdout)?.trim().to_string();
    let key = format!("{compiler}, {}", std::env::consts::ARCH);
    let recorded = fs::read_to_string(RECORD).unwrap_or_default();
    if std::env::args().any(|argument| argument == "record") {
        let lines: String = measured.iter().map(|(name, count)| format!("{name}: {count:.0}\n")).collect();
        fs::write(RECORD, format!("{key}\n{lines}"))?;
        println!("recorded for {key}:\n{lines}");
        return Ok(ExitCode::SUCCESS);
    }
    if recorded.lines().next() != Some(&key) {
        for (name, count) in measured {
            println!("{name}: {count:.0} instructions");
        }
        eprintln!(
            "\n*** NOT CHECKED: the record was made with another compiler than {key}.\n    Check out the commit before, \
             `make instructions ARGS=record`, and compare with that. ***\n"
        );
        return Ok(ExitCode::SUCCESS);
    }
    let mut code = ExitCode::SUCCESS;
    for (name, count) in measured {
        let line = recorded.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let before: f64 = line.ok_or(format!("{name} is not in {RECORD}"))?.parse()?;
        let growth = (count / before - 1.0) * 100.0;
        println!("{name}: {count:.0} instructions, {before:.0} recorded ({growth:+.1} %)");
        if growth > ALLOWED {
            eprintln!(
                "{name} has grown by more than {ALLOWED} %. If that is worth it: `make instructions ARGS=record`, and \
                 say in the commit why. Built with CARGO_PROFILE_RELEASE_STRIP=false, \
                 `callgrind_annotate target/callgrind.out` shows where."
            );
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn exchange(stream: &mut TcpStream) -> Result<(), Box<dyn Error>> {
    let mut answer = [0; 64];
    stream.write_all(&[7; 64])?;
    Ok(stream.read_exact(&mut answer)?)
}

/// The instructions of a whole run of the server, with one connected peer, while `work` is done.
fn count(work: impl Fn(&mut TcpStream, &Server) -> Result<(), Box<dyn Error>>) -> Result<u64, Box<dyn Error>> {
    let binary = Path::new(env!("CARGO_BIN_EXE_stillthere"));
    let target = binary.parent().and_then(Path::parent).ok_or("no target directory")?;
    let out = target.join("callgrind.out");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", &format!("--callgrind-out-file={}", out.display())]).arg(binary);
    command.args(["serve", "127.0.0.1:0", "--deadline", "1h"]);
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

//! How many instructions of user space a round trip and an accept take: a check against growth that
//! does not depend on what else the machine does. callgrind/ counts.
//!
//! `make instructions` compares with benches/instructions.txt and fails when a count has grown by more than
//! 3 %; `make instructions ARGS=record` records new counts, which belongs in a commit that adds instructions on purpose. A record
//! is valid for one compiler and one profile. It also fails if an admin port that nobody looks at costs more than 1 %: that is
//! measured against the same server without it, so no record is needed.

#[path = "callgrind/mod.rs"]
mod callgrind;
#[path = "../tests/common/mod.rs"]
mod common;

use std::error::Error;
use std::fs;
use std::process::{Command, ExitCode};

use callgrind::Instructions;

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
/// The growth that is allowed, in percent.
const ALLOWED: f64 = 3.0;
/// What an admin port may cost that nobody looks at, in percent.
const ALLOWED_FOR_ADMIN: f64 = 1.0;
/// So often both are counted, because a count may vary a little.
const RUNS: usize = 3;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if !callgrind::is_installed() {
        eprintln!("\n*** NOT CHECKED: valgrind is not installed; `apt install valgrind` ***\n");
        return Ok(ExitCode::SUCCESS);
    }
    let Instructions { round_trip, accept_and_close } = callgrind::count(&[])?;
    let measured = [("round trip", round_trip), ("accept and close", accept_and_close)];

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
        return admin_port();
    }
    let mut code = admin_port()?;
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

/// An admin port that nobody looks at costs next to nothing.
fn admin_port() -> Result<ExitCode, Box<dyn Error>> {
    // Another binary may be one that has no such port.
    if !cfg!(feature = "admin") || std::env::var_os("STILLTHERE_BINARY").is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        without.push(callgrind::count(&[])?);
        with.push(callgrind::count(&["--admin", "127.0.0.1:0"])?);
    }
    let figures = |runs: &[Instructions]| {
        [least(runs.iter().map(|one| one.round_trip)), least(runs.iter().map(|one| one.accept_and_close))]
    };
    let mut code = ExitCode::SUCCESS;
    for ((name, without), with) in
        ["round trip", "accept and close"].into_iter().zip(figures(&without)).zip(figures(&with))
    {
        let growth = (with / without - 1.0) * 100.0;
        println!("{name} with --admin: {with:.0} instructions, {without:.0} without ({growth:+.1} %)");
        if growth > ALLOWED_FOR_ADMIN {
            eprintln!("an admin port that nobody looks at costs more than {ALLOWED_FOR_ADMIN} % of one {name}");
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// Of several counts: what disturbs one only adds to it.
fn least(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::INFINITY, f64::min)
}

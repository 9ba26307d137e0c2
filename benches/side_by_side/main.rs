//! What an idle connection costs: our server beside a minimal one in C and well-known servers.
//!
//! `make bench`, or `cargo bench --bench side_by_side [-- ROUNDS [PEERS [NAME ...]]]`. All contestants are
//! measured in each round, one after the other, so that a disturbance of the machine affects all of them;
//! ratios are taken within a round. Writes docs/benchmarks.md and docs/benchmarks-*.svg, unless names were given: then
//! only these contestants are measured, and the first one, with which the others are compared.

mod busy;
#[path = "../../tests/common/mod.rs"]
mod common;
mod contestants;
mod measures;
mod report;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use measures::{Figures, Running};

/// How the section of benches/seen/ begins.
const SEEN: &str = "## What it costs to be seen";

fn main() -> Result<(), Box<dyn Error>> {
    let is_name = |argument: &String| !argument.starts_with('-') && argument.parse::<usize>().is_err();
    let names = std::env::args().skip(1).filter(is_name).collect::<Vec<_>>();
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let rounds = numbers.next().unwrap_or(5);
    let peers = numbers.next().unwrap_or(19_000);
    common::raise_descriptor_limit(peers as u64 + 200);
    let binary = Path::new(env!("CARGO_BIN_EXE_stillthere"));
    let directory = binary.parent().ok_or("no directory")?.join(format!("side-by-side-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let mut contestants = contestants::all(&directory)?;
    if !names.is_empty() {
        let first = contestants[0].name;
        contestants.retain(|one| one.name == first || names.iter().any(|name| one.name.contains(name)));
    }
    // Pages of a file that was just built and is not yet written back would count as dirty.
    Command::new("sync").status()?;
    let mut backend = Command::new(&contestants[0].program);
    backend.arg(contestants::BACKEND.to_string()).stderr(Stdio::null());
    let backend = Running::start(&mut backend)?;

    let mut measured: Vec<Vec<Option<Figures>>> = vec![Vec::new(); contestants.len()];
    for round in 0..rounds {
        let mut this_round = Vec::new();
        for contestant in &contestants {
            eprintln!("round {} of {rounds}: {}", round + 1, contestant.name);
            let outcome = measures::round(contestant, peers, round == 0, &directory);
            // A contestant that fails is reported, and does not affect the others.
            this_round.push(outcome.inspect_err(|error| eprintln!("    {}: {error}", contestant.name)).ok());
        }
        eprintln!("round {} of {rounds}: exchanges under load", round + 1);
        if let Err(error) = busy::round(&contestants, &mut this_round, peers, &directory) {
            eprintln!("    {error}");
        }
        measured.iter_mut().zip(this_round).for_each(|(all, one)| all.push(one));
    }
    drop(backend);
    let _ = fs::remove_dir_all(&directory);
    let table = report::write(&contestants, &measured, rounds, peers);
    println!("{table}");
    if !names.is_empty() {
        return Ok(());
    }
    let docs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs"));
    let path = docs.join("benchmarks.md");
    let before = fs::read_to_string(&path).unwrap_or_default();
    // The section of another bench (benches/seen/) is kept.
    let seen = before.find(SEEN).map_or("", |at| &before[at..]);
    fs::write(path, format!("{}\n\n{seen}", table.trim_end()).trim_end().to_string() + "\n")?;
    for (name, figure) in report::figures(&contestants, &measured) {
        fs::write(docs.join(name), figure)?;
    }
    Ok(())
}

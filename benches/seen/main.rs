//! What it costs to be seen: the server with `--admin` and `--events`, and the same server without.
//!
//! `make bench`, or `cargo bench --bench seen [-- ROUNDS [PEERS [NAME ...]]]`, where the names are unseen,
//! scrapes, page and events. What depends on the load of the machine is measured with and
//! without in each round, and compared within it; figures are medians of the rounds. Writes a section of docs/benchmarks.md, and
//! fails if a target is not reached.

#[path = "../callgrind/mod.rs"]
mod callgrind;
#[path = "../../tests/common/mod.rs"]
mod common;
mod measures;

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use measures::{Crowd, Outcome};
use rustix::process::setpriority_process;

/// Where the section begins; side_by_side keeps what follows it.
const TITLE: &str = "## What it costs to be seen";
const ROUNDS: usize = 5;
const PEERS: usize = 19_000;

/// Measures something in so many rounds, with so many peers.
type Part = fn(usize, usize) -> Outcome<Vec<Row>>;

/// What is measured, by name.
const PARTS: [(&str, Part); 4] = [("unseen", nobody_looks), ("scrapes", scrapes), ("page", page), ("events", events)];

/// A figure, and what it may be.
struct Row {
    what: &'static str,
    /// `None`: it is told for information.
    most: Option<f64>,
    values: Vec<f64>,
    digits: usize,
}

impl Row {
    fn median(&self) -> f64 {
        median(&self.values)
    }

    fn is_reached(&self) -> bool {
        self.most.is_none_or(|most| self.median() <= most)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Of several counts: what disturbs one only adds to it.
fn least(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::INFINITY, f64::min)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let is_name = |argument: &String| !argument.starts_with('-') && argument.parse::<usize>().is_err();
    let names: Vec<_> = std::env::args().skip(1).filter(is_name).collect();
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let rounds = numbers.next().unwrap_or(ROUNDS).max(1);
    let peers = numbers.next().unwrap_or(PEERS);
    common::raise_descriptor_limit(peers as u64 + 200);
    // The worst of many pings is often somebody else's turn on the CPU. Children inherit the priority.
    if setpriority_process(None, -15).is_err() {
        eprintln!("the priority cannot be raised: other processes disturb the measurement more");
    }
    // Pages of a file that was just built and is not yet written back would count as dirty.
    Command::new("sync").status()?;
    let mut rows = Vec::new();
    for (name, part) in PARTS {
        if names.is_empty() || names.iter().any(|one| one == name) {
            rows.extend(part(rounds, peers)?);
        }
    }
    let text = section(&rows, rounds, peers);
    println!("{text}");
    if rounds >= ROUNDS && peers >= PEERS && names.is_empty() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks.md"));
        let before = fs::read_to_string(path).unwrap_or_default();
        let before = before.split(TITLE).next().unwrap_or_default().trim_end();
        fs::write(path, format!("{before}\n\n{text}"))?;
    }
    Ok(if rows.iter().all(Row::is_reached) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The cost of being ready to be looked at.
fn nobody_looks(_rounds: usize, peers: usize) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    let mut row = |what, most, values: Vec<f64>, digits| rows.push(Row { what, most, values, digits });
    eprintln!("memory and system calls, with {peers} idle peers");
    let [without, with] = [&[][..], &["--admin", "127.0.0.1:0"]].map(|options| measures::at_rest(options, peers));
    let (without, with) = (without?, with?);
    row("bytes of user space, idle peer, with `--admin`", Some(64.0), vec![with.bytes_a_peer], 1);
    row("the same without", None, vec![without.bytes_a_peer], 1);
    row("KiB of private memory at the start that `--admin` adds", None, vec![with.start_kib - without.start_kib], 0);
    match with.calls {
        Some(calls) => row("system calls in ten idle seconds, with `--admin`", Some(0.0), vec![calls], 0),
        None => eprintln!("\n*** NOT CHECKED: strace is not installed, or may not trace ***\n"),
    }
    if !callgrind::is_installed() {
        eprintln!("\n*** NOT CHECKED: valgrind is not installed; `apt install valgrind` ***\n");
        return Ok(rows);
    }
    let events = std::env::temp_dir().join(format!("stillthere-seen-{}.jsonl", std::process::id()));
    let file = events.to_str().ok_or("the directory for temporary files has no name")?;
    let kinds: [&[&str]; 3] = [&[], &["--admin", "127.0.0.1:0"], &["--events", file]];
    let mut counted = [(); 3].map(|()| Vec::new());
    for round in 0..3 {
        eprintln!("instructions, round {} of 3", round + 1);
        for (options, counted) in kinds.iter().zip(&mut counted) {
            counted.push(callgrind::count(options)?);
        }
    }
    fs::remove_file(&events)?;
    let trips = counted.each_ref().map(|runs| least(runs.iter().map(|one| one.round_trip)));
    let accepts = counted.each_ref().map(|runs| least(runs.iter().map(|one| one.accept_and_close)));
    let more = |figures: [f64; 3], nth: usize| vec![(figures[nth] / figures[0] - 1.0) * 100.0];
    row("instructions of a round trip that `--admin` adds, %", Some(1.0), more(trips, 1), 2);
    row("instructions of an accept and close that `--admin` adds, %", Some(1.0), more(accepts, 1), 2);
    row("instructions of a round trip that `--events FILE` adds", None, vec![trips[2] - trips[0]], 0);
    row(
        "instructions of an arrival and its departure that `--events FILE` adds",
        None,
        vec![accepts[2] - accepts[0]],
        0,
    );
    Ok(rows)
}

/// What `/metrics` takes of the loop's time.
fn scrapes(rounds: usize, peers: usize) -> Outcome<Vec<Row>> {
    let crowd = Crowd::gather(&["--admin", "127.0.0.1:0"], peers)?;
    let (mut work, mut cpu, mut longest) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        eprintln!("scrapes, round {} of {rounds}", round + 1);
        let scrapes = crowd.scrape()?;
        work.push(scrapes.work_ms);
        cpu.push(scrapes.cpu_ms);
        longest.push(scrapes.longest_ms);
    }
    Ok(vec![
        Row {
            what: "`/metrics`: the loop's work for one, by its own histogram, ms",
            most: Some(1.0),
            values: work,
            digits: 3,
        },
        Row { what: "`/metrics`: CPU time for one, ms", most: Some(1.0), values: cpu, digits: 3 },
        Row {
            what: "`/metrics`: no turn took longer than, ms (upper end of the bucket)",
            most: None,
            values: longest,
            digits: 3,
        },
    ])
}

/// What others wait for while the page, or a list, is made.
fn page(rounds: usize, peers: usize) -> Outcome<Vec<Row>> {
    let crowd = Crowd::gather(&["--admin", "127.0.0.1:0", "--deadline", "10s"], peers)?;
    let [mut watched, mut listed, mut without, mut turns] = [const { Vec::new() }; 4];
    for round in 0..rounds {
        eprintln!("the page, round {} of {rounds}", round + 1);
        let alone = crowd.worst_ping(|_| Ok(()))?;
        let before = crowd.turns()?;
        let client = crowd.admin()?;
        watched.push(crowd.worst_ping(move |over| measures::watch(client, peers, over))? - alone);
        turns.push(crowd.turns()?.longest_since(&before) * 1e3);
        let client = crowd.admin()?;
        listed.push(crowd.worst_ping(move |over| measures::list(client, over))? - alone);
        without.push(alone);
    }
    Ok(vec![
        Row {
            what: "the page open: worst ping of another peer, more than without, ms",
            most: Some(5.0),
            values: watched,
            digits: 2,
        },
        Row { what: "the worst ping without, ms", most: None, values: without, digits: 2 },
        Row {
            what: "the page open: no turn took longer than, ms (upper end of the bucket)",
            most: None,
            values: turns,
            digits: 2,
        },
        Row {
            what: "`/peers?sort=silence` without a pause: worst ping, more than without, ms",
            most: None,
            values: listed,
            digits: 2,
        },
    ])
}

/// All peers go in one instant.
fn events(rounds: usize, peers: usize) -> Outcome<Vec<Row>> {
    let file = std::env::temp_dir().join(format!("stillthere-seen-{}.jsonl", std::process::id()));
    let with: [&str; 2] = ["--events", file.to_str().ok_or("the directory for temporary files has no name")?];
    let mut worst = [Vec::new(), Vec::new()];
    let mut left_out = Vec::new();
    for round in 0..rounds {
        // Each is the first one in every second round.
        for nth in [round % 2, 1 - round % 2] {
            let options: &[&str] = if nth == 0 { &[] } else { &with };
            eprintln!(
                "all go at once, round {} of {rounds}: {}",
                round + 1,
                if nth == 0 { "without" } else { "--events" }
            );
            worst[nth].push(Crowd::gather(options, peers)?.cut()?);
        }
        let told = measures::told_of(&fs::read_to_string(&file)?, peers)?;
        left_out.push(told.left_out as f64);
        fs::remove_file(&file)?;
    }
    let [without, with] = worst;
    let ratio = vec![median(&with) / median(&without)];
    Ok(vec![
        Row {
            what: "all peers go at once: worst ping with `--events FILE`, to that without",
            most: Some(1.1),
            values: ratio,
            digits: 3,
        },
        Row { what: "worst ping with, ms", most: None, values: with, digits: 1 },
        Row { what: "worst ping without, ms", most: None, values: without, digits: 1 },
        Row { what: "departures left out of the file, and told so", most: None, values: left_out, digits: 0 },
    ])
}

fn section(rows: &[Row], rounds: usize, peers: usize) -> String {
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let mut text = format!(
        "{TITLE}\n\n`cargo bench --bench seen` ({rounds} rounds, {peers} peers) on {}: the whole program with `--admin` or `--events`, and \
         the same without. What depends on the load of the machine is measured with and without in each round. Instructions are \
         counted by callgrind. For the worst ping when all peers go, the server is stopped while \
         their ends are closed, and a ping is already waiting when it is resumed. Client and server share the machine.\n\n\
         | | target | measured (median, least–highest) | |\n| --- | --- | --- | --- |\n",
        &date[..10],
    );
    for row in rows {
        let digits = row.digits;
        let least = row.values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = row.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let target = row.most.map_or("–".to_string(), |most| format!("≤ {most}"));
        let reached = match row.most {
            None => "",
            Some(_) if row.is_reached() => "reached",
            Some(_) => "**not reached**",
        };
        let median = row.median();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {target} | {median:.digits$} ({least:.digits$}–{highest:.digits$}) | {reached} |",
            row.what
        );
    }
    text
}

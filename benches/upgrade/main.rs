//! What an upgrade costs the peers: how long the longest of them waits for an answer, with 19 000 of them.
//!
//! `make upgrade-bench`, or `cargo bench --bench upgrade [-- UPGRADES [PEERS]]`. The crowd of the tests checks every byte: most of the
//! peers speak once in some seconds, a hundred ask all the time, some read slowly. The longest wait is measured in each window of a
//! second, with an upgrade in it and without. Writes a section of docs/upgrade.md, and fails if the target is not reached or a byte is
//! lost.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/upgrade/crowd.rs"]
#[allow(dead_code)] // the tests use the rest
mod crowd;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Server, descriptors, memory};
use crowd::{Crowd, Kind};
use rustix::process::{Pid, Signal, kill_process, setpriority_process};

const UPGRADES: usize = 20;
const PEERS: usize = 19_000;
/// How long a peer may wait for an answer while the server is upgraded.
const MOST: Duration = Duration::from_millis(100);
/// Beside those that are nearly idle.
const BUSY: [(Kind, usize); 4] = [
    (Kind::Asker(Duration::from_millis(40)), 100),
    (Kind::SlowReader, 20),
    (Kind::HalfClosed, 10),
    (Kind::Newcomer, 2),
];
const WINDOW: Duration = Duration::from_secs(1);
const BEGIN: &str = "<!-- measured: make upgrade-bench -->\n";
const END: &str = "<!-- end -->\n";

/// One upgrade.
#[derive(Debug)]
struct Upgrade {
    /// From the signal to the line that says that the next program goes on.
    whole: Duration,
    /// Of that, while nobody is served: from the end of the rehearsal.
    pause: Duration,
    /// The longest wait for an answer in its window, and in the one before.
    worst: Duration,
    worst_without: Duration,
    bytes: f64,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let (upgrades, peers) = (numbers.next().unwrap_or(UPGRADES).max(1), numbers.next().unwrap_or(PEERS));
    common::raise_descriptor_limit(peers as u64 + 500);
    if setpriority_process(None, -15).is_err() {
        eprintln!("the priority cannot be raised: other processes disturb the measurement more");
    }
    let mut server = Server::start(&["--log", "info", "--backlog", "4096"]);
    let busy: usize = BUSY.iter().map(|(_, count)| count).sum();
    let idle = [(Kind::Asker(Duration::from_secs(40)), peers.saturating_sub(busy))];
    let crowd = Crowd::start(server.address(), &[&idle[..], &BUSY].concat());
    println!("{} peers are connected", descriptors(server.pid()));
    let pid = Pid::from_raw(server.pid() as i32).ok_or("no pid")?;
    let mut all = Vec::new();
    for nth in 1..=upgrades {
        sleep(WINDOW / 2);
        let _ = crowd.worst();
        sleep(WINDOW);
        let worst_without = crowd.worst();
        let signalled = Instant::now();
        kill_process(pid, Signal::USR2)?;
        let (rehearsed, state) = server.wait_for("upgrades to version ");
        let (serves, line) = server.wait_for("upgraded from ");
        sleep(WINDOW.saturating_sub(signalled.elapsed()));
        let number = |from: &str, before: &str, after: &str| -> Option<f64> {
            from.split_once(before)?.1.split_once(after)?.0.trim().parse().ok()
        };
        let bytes = number(&state, "sockets, ", " bytes of state").ok_or(format!("what is this? {state}"))?;
        let stay = number(&line, ": ", " peers stay").ok_or(format!("what is this? {line}"))?;
        let upgrade = Upgrade {
            whole: serves - signalled,
            pause: serves - rehearsed,
            worst: crowd.worst(),
            worst_without,
            bytes: bytes / stay,
        };
        println!("{nth}: {stay} peers stay, {upgrade:?}");
        all.push(upgrade);
    }
    let (open, private) = (descriptors(server.pid()), memory(server.pid(), "Anonymous"));
    let report = crowd.end();
    println!("{report:?}");
    let text = section(&all, peers, report.bytes, report.exchanges, open, private);
    println!("{text}");
    write(&text)?;
    let worst = all.iter().map(|upgrade| upgrade.worst).max().unwrap_or_default();
    if !report.troubles.is_empty() || worst > MOST {
        eprintln!("not reached: the longest wait is {worst:?}, of {MOST:?}; {:?}", report.troubles);
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn section(all: &[Upgrade], peers: usize, bytes: u64, exchanges: u64, open: usize, private: u64) -> String {
    let row = |what: &str, value: fn(&Upgrade) -> Duration| {
        let mut values: Vec<f64> = all.iter().map(|upgrade| value(upgrade).as_secs_f64() * 1e3).collect();
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        format!("| {what} | {:.1} | {:.1} | {:.1} |\n", values[0], values[last / 2], values[last])
    };
    let mut text = format!(
        "{} upgrades in a row with {peers} peers, who exchanged {exchanges} questions and {} MB meanwhile. Every byte was checked; none \
         was lost, came twice or out of order, and no peer left.\n\n| milliseconds | least | median | most |\n| --- | --- | --- | --- |\n",
        all.len(),
        bytes / 1_000_000
    );
    text += &row("longest wait of a peer for an answer, in a second with an upgrade", |upgrade| upgrade.worst);
    text += &row("the same, in a second without one", |upgrade| upgrade.worst_without);
    text +=
        &row("nobody is served: from the end of the rehearsal until the next program goes on", |upgrade| upgrade.pause);
    text += &row("from the signal until the next program goes on, the rehearsal included", |upgrade| upgrade.whole);
    let state = all.iter().map(|upgrade| upgrade.bytes).fold(0.0, f64::max);
    text += &format!(
        "\nThe state takes {state:.1} bytes a peer at most, with the output that waits for those who read slowly. After the last of them the \
         server has {open} descriptors open, and {} KiB of memory of its own.\n",
        private / 1024
    );
    text
}

/// Puts the section in its place.
fn write(section: &str) -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/upgrade.md");
    let page = fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("docs/upgrade.md has no place for it")?;
    let (_, after) = rest.split_once(END).ok_or("docs/upgrade.md has no end of it")?;
    fs::write(&path, format!("{before}{BEGIN}{section}{END}{after}"))?;
    Ok(())
}

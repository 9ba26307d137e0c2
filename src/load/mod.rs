//! The load generator: very many connections to any server, and exchanges on some of them.
//!
//! It is a source of the same loop as the server's ports, with its own type of peer: each turn of the
//! loop latches, drives, opens (where a port accepts), does what is due, and reaps.
//!
//! ```text
//!  opening ──all are there──▶ settling ──▶ exchanging ──time is over──▶ finishing ──▶ over: the report
//!     └──────────── Ctrl-C, at any time: the report so far ─────────────────────────────────▲
//! ```
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use crate::descriptors;
use crate::load::criterion::Criterion;
use crate::load::crowd::Crowd;
use crate::load::family::ProcessFamily;
use crate::load::report::Report;
use crate::markup::file;
use crate::observe::stdout;
use crate::place::Place;
use crate::reactor::{Reactor, Signals};
use crate::speak::Speak;

mod clock;
pub mod criterion;
mod crowd;
mod family;
pub mod memory;
mod opening;
mod payload;
mod peer;
mod progress;
mod quotation;
pub mod report;
mod schedule;
pub mod trouble;

/// How long one of several addresses may take to answer.
const LOOK: Duration = Duration::from_secs(2);

/// The checked settings of `load`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadSettings {
    pub target: Place,
    pub connections: usize,
    /// How many are opened in a second, at most.
    pub connect_rate: u32,
    /// Our addresses to connect from; empty: the kernel chooses.
    pub sources: Vec<IpAddr>,
    /// How many of the connections send requests.
    pub active: usize,
    pub size: usize,
    /// Exchanges a second over all of them; `None`: each asks again when it has been answered.
    pub rate: Option<f64>,
    pub time: Duration,
    pub speak: Speak,
    pub patience: Duration,
    /// How long answers are waited for when the time is over, and how long a request must have waited to count as
    /// unanswered.
    pub grace: Duration,
    /// The conditions under which the run fails.
    pub fail_if: Vec<Criterion>,
    pub pid: Option<u32>,
    pub json: Option<PathBuf>,
    pub html: Option<PathBuf>,
}

impl LoadSettings {
    /// The defaults, for this server.
    pub fn of(target: Place) -> Self {
        Self {
            target,
            connections: 1000,
            connect_rate: 5000,
            sources: Vec::new(),
            active: 10,
            size: 64,
            rate: None,
            time: Duration::from_secs(10),
            speak: Speak::Echo,
            patience: Duration::from_secs(10),
            grace: Duration::from_secs(2),
            fail_if: Vec::new(),
            pid: None,
            json: None,
            html: None,
        }
    }
}

/// Runs it, and prints the report on stdout. `true`: nothing went wrong.
///
/// # Errors
/// A sentence: it could not be begun, or a report could not be written.
pub fn run(settings: &LoadSettings) -> Result<bool, String> {
    let family = settings.pid.map(ProcessFamily::of).transpose()?; // before anything is done to the server
    let [json, html] = file::prepare([settings.json.as_ref(), settings.html.as_ref()])?;
    descriptors::raise(); // if they run out all the same, that is counted as trouble
    let target = target(settings)?;
    let report = measure(&LoadSettings { target: target.into(), ..settings.clone() }, target, family)?;
    // The files are written even if printing fails.
    let told = stdout::tell(&(report::table::write(&report) + "\n"));
    for (file, text) in [(json, report::json::write(&report)), (html, report::page::write(&report))] {
        if let Some(file) = file {
            file.write(text.as_bytes())?;
        }
    }
    told.map(|()| report.is_success())
}

/// One address of the server. A name may stand for several, and the server may listen on some of them only:
/// then the first one that accepts a connection is taken, as by any client.
fn target(settings: &LoadSettings) -> Result<SocketAddr, String> {
    let place = &settings.target;
    let mut found = place.addresses()?;
    if let Some(source) = settings.sources.first() {
        found.retain(|address| address.is_ipv4() == source.is_ipv4());
        if found.is_empty() {
            return Err(format!("{source} cannot reach {place}: not the same family"));
        }
    }
    let answers = |address: &SocketAddr| TcpStream::connect_timeout(address, settings.patience.min(LOOK)).is_ok();
    let chosen = match found[..] {
        [one] => one,
        _ => found.iter().copied().find(answers).unwrap_or(found[0]),
    };
    if place.is_name() {
        let _ = writeln!(io::stderr(), "{place} is {chosen}");
    }
    Ok(chosen)
}

fn measure(settings: &LoadSettings, target: SocketAddr, family: Option<ProcessFamily>) -> Result<Report, String> {
    let mut reactor = Reactor::new(settings.connections).map_err(|error| format!("cannot use epoll: {error}"))?;
    let grace = Duration::ZERO;
    // SIGHUP keeps its default action: a terminal that goes away ends this client, as it does any other.
    reactor
        .add(|registry, names| Signals::open(grace, registry, names))
        .map_err(|error| format!("cannot obey signals: {error}"))?;
    let (sender, reports) = channel();
    reactor
        .add(|registry, names| Crowd::open(settings.clone(), target, family, registry, names, sender))
        .map_err(|error| format!("cannot make a timer: {error}"))?;
    reactor.run().map_err(|error| format!("the loop cannot go on: {error}"))?;
    let mut report = reports.try_recv().map_err(|_| "it was interrupted twice, so there is no report".to_string())?;
    report.when = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    report.kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_string();
    Ok(report)
}

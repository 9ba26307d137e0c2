//! The table of a run: every state with every fault, and the result.
//!
//! Owns the table's cells and their words; [`table`] (terminal), [`json`], [`page`] (HTML) and
//! [`markdown`] write it. Knows no namespace and no socket.

use std::time::Duration;

use crate::lab::timeline::{Timeline, Verdict};
use crate::seconds::InWords;

pub mod columns;
pub mod json;
pub mod markdown;
pub mod page;
pub mod table;
#[cfg(test)]
mod tests;

/// One scene's outcome.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Its row and column: indices into [`Matrix::faults`] and [`Matrix::states`].
    pub fault: usize,
    pub state: usize,
    pub verdict: Verdict,
    pub timeline: Timeline,
}

/// All scenes of one server. A scene that makes no sense or could not be run has no cell.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    pub title: String,
    /// The date of the run, as it is printed.
    pub when: String,
    pub kernel: String,
    /// The server's name, and the version that it reports.
    pub server: String,
    pub version: String,
    /// The deadline that it was given: `idle 2 s, interval 1 s, count 3`.
    pub settings: String,
    /// How its deadline is set: this differs from program to program.
    pub told: String,
    /// How long a dead peer that the server keeps is watched, and how long a living one.
    pub cap: Duration,
    pub keep: Duration,
    pub states: Vec<String>,
    pub faults: Vec<String>,
    pub cells: Vec<Cell>,
}

impl Matrix {
    pub fn cell(&self, fault: usize, state: usize) -> Option<&Cell> {
        self.cells.iter().find(|cell| (cell.fault, cell.state) == (fault, state))
    }

    /// How many cells kept their promise.
    pub fn kept(&self) -> usize {
        self.cells.iter().filter(|cell| cell.verdict.kept_its_promise).count()
    }

    /// `97 of 98 scenes kept their promise`.
    pub fn summary(&self) -> String {
        let kept = match (self.kept(), self.cells.len()) {
            (_, 0) => "no scene was run".to_string(),
            (0, 1) => "the scene did not keep its promise".to_string(),
            (1, 1) => "the scene kept its promise".to_string(),
            (kept, all) if kept == all => format!("all {all} scenes kept their promise"),
            (kept, all) => format!("{kept} of {all} scenes kept their promise"),
        };
        let odds = match self.odds() {
            0 => String::new(),
            1 => "; in one of them living peers were dropped, as its loss allows".to_string(),
            odds => format!("; in {odds} of them living peers were dropped, as their loss allows"),
        };
        let own = match self.cells.iter().filter(|cell| cell.verdict.own_time_out).count() {
            0 => String::new(),
            own => format!("; {own} ended by a time-out of the program's own (†)"),
        };
        kept + &odds + &own
    }

    /// In how many cells living peers were dropped within the odds.
    fn odds(&self) -> usize {
        self.cells.iter().filter(|cell| outcome(&cell.verdict) == Outcome::WithinTheOdds).count()
    }
}

/// How fair the comparison is, for every form of the table.
pub const FAIR: &str = "Each server is at the settings of its own that serve this deadline best without letting go of living \
    peers that are silent; the machine's tcp_keepalive_time, tcp_keepalive_intvl and tcp_keepalive_probes are set for \
    all, its tcp_retries2 for none: it is a number of tries and no time, and is there for all connections of a machine.";

/// The result in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Outcome {
    Kept,
    Broken,
    /// Living peers were dropped on a path that loses enough packets for this to happen.
    WithinTheOdds,
}

pub(in crate::lab) fn outcome(verdict: &Verdict) -> Outcome {
    match (verdict.kept_its_promise, verdict.dropped) {
        (false, _) => Outcome::Broken,
        (true, Some(_)) => Outcome::WithinTheOdds,
        (true, None) => Outcome::Kept,
    }
}

/// What the cells mean, for every form of the table; `servers` are those that it shows.
pub(in crate::lab) fn legend(servers: &[Matrix]) -> String {
    let Some(first) = servers.first() else { return String::new() };
    let has = |is_there: &dyn Fn(&Verdict) -> bool| {
        servers.iter().flat_map(|server| &server.cells).any(|cell| is_there(&cell.verdict))
    };
    let (cap, keep) = (first.cap.as_secs_f64(), InWords(first.keep));
    let mut words = format!(
        "Seconds from the fault until the server let the peer go: until no process had its descriptor, and the kernel \
         its socket no more. “kept”: still there at the end, {keep} or more after the fault, as it must be; “> {cap:.0}”: \
         still there {cap:.0} s after it, when the watch ended. ✓ within its deadline, ✗ not."
    );
    if has(&|verdict| outcome(verdict) == Outcome::WithinTheOdds) {
        words += " ~ living peers on a lossy path were dropped (“7/50”: seven of fifty), as its loss allows: no promise \
                  is kept or broken by that.";
    }
    if has(&|verdict| verdict.orphan) {
        words += " ° the program had closed the descriptor, and the kernel still tried to deliver what was written: an \
                  orphan, which counts as let go.";
    }
    if has(&|verdict| verdict.own_time_out) {
        words += " † the program closed, by a time-out of its own and not by keepalive.";
    }
    words + " A frozen program is kept: its kernel answers, and only a heartbeat can tell."
}

/// `4.98 ✓`, `kept ✓`, `> 60 ✗`, `7/50 ~`: seconds, and whether that is what was promised.
pub(in crate::lab) fn cell_words(verdict: &Verdict) -> String {
    let mark = match outcome(verdict) {
        Outcome::Kept => '✓',
        Outcome::Broken => '✗',
        Outcome::WithinTheOdds => '~',
    };
    let what = match (verdict.measured.map(|time| time.as_secs_f64()), verdict.predicted) {
        _ if verdict.dropped.is_some_and(|(_, of)| of > 1) => {
            let (dropped, of) = verdict.dropped.unwrap_or_default();
            format!("{dropped}/{of}")
        }
        (Some(seconds), _) if seconds < 9.995 => format!("{seconds:.2}"),
        (Some(seconds), _) => format!("{seconds:.1}"),
        (None, None) => "kept".to_string(),
        (None, Some(_)) => format!("> {:.0}", verdict.watched.as_secs_f64()),
    };
    let own = if verdict.own_time_out { "†" } else { "" };
    let orphan = if verdict.orphan { "°" } else { "" };
    format!("{what} {mark}{own}{orphan}")
}

//! The table of a run: every state with every fault, and what came of it.
//!
//! Owns the table's cells and their words; how it is shown is [`table`]'s (terminal), [`json`]'s,
//! [`page`]'s (HTML) and [`markdown`]'s. Knows no namespace and no socket.

use crate::lab::timeline::{Timeline, Verdict};

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
    /// The date of the run, as it is to be read.
    pub when: String,
    pub kernel: String,
    /// The server's name, and what it says of its version.
    pub server: String,
    pub version: String,
    /// What it was told: `idle 2 s, interval 1 s, count 3`.
    pub settings: String,
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
        match (self.kept(), self.cells.len()) {
            (_, 0) => "no scene was run".to_string(),
            (0, 1) => "the scene did not keep its promise".to_string(),
            (1, 1) => "the scene kept its promise".to_string(),
            (kept, all) if kept == all => format!("all {all} scenes kept their promise"),
            (kept, all) => format!("{kept} of {all} scenes kept their promise"),
        }
    }
}

/// What the cells mean, for every form of the table.
pub const LEGEND: &str = "Seconds from the fault until the server let the peer go; “kept”: still there at the end, as \
    it must be; “> 60”: still there, 60 s after it. ✓ within its deadline, ✗ not. A frozen program is kept: its \
    kernel answers, and only a heartbeat can tell.";

/// `4.98 ✓`, `kept ✓`, `> 60 ✗`: seconds, and whether that is what was promised.
pub(super) fn cell_words(verdict: &Verdict) -> String {
    let mark = if verdict.kept_its_promise { '✓' } else { '✗' };
    let what = match (verdict.measured.map(|time| time.as_secs_f64()), verdict.predicted) {
        (Some(seconds), _) if seconds < 9.995 => format!("{seconds:.2}"),
        (Some(seconds), _) => format!("{seconds:.1}"),
        (None, None) => "kept".to_string(),
        (None, Some(_)) => format!("> {:.0}", verdict.watched.as_secs_f64()),
    };
    format!("{what} {mark}")
}

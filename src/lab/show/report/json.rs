//! The table for programs: one JSON object.

use crate::lab::show::report::{Cell, Matrix};
use crate::lab::timeline::{Timeline, What, Who};
use crate::markup::json::{NULL, array, number, object, text};

/// Writes the run, its cells and their timelines. Times are seconds from the fault; the frames are
/// in the capture file.
pub fn write(matrix: &Matrix) -> String {
    let cells: Vec<String> = matrix.cells.iter().map(|cell| self::cell(matrix, cell)).collect();
    object(&[
        ("title", text(&matrix.title)),
        ("when", text(&matrix.when)),
        ("kernel", text(&matrix.kernel)),
        ("server", text(&matrix.server)),
        ("version", text(&matrix.version)),
        ("settings", text(&matrix.settings)),
        ("told", text(&matrix.told)),
        ("scenes", matrix.cells.len().to_string()),
        ("kept_their_promise", matrix.kept().to_string()),
        ("states", array(matrix.states.iter().map(|state| text(state)))),
        ("faults", array(matrix.faults.iter().map(|fault| text(fault)))),
        ("cells", format!("[\n{}\n]", cells.join(",\n"))),
    ]) + "\n"
}

fn cell(matrix: &Matrix, cell: &Cell) -> String {
    let Cell { verdict, timeline, .. } = cell;
    let name = |names: &[String], at: usize| names.get(at).map_or(NULL.to_string(), |name| text(name));
    let or_null = |number: Option<f64>| number.map_or(NULL.to_string(), self::number);
    object(&[
        ("scene", text(&verdict.scene)),
        ("state", name(&matrix.states, cell.state)),
        ("fault", name(&matrix.faults, cell.fault)),
        ("must_be_kept", verdict.predicted.is_none().to_string()),
        ("predicted_from", or_null(verdict.predicted.map(|(from, _)| from.as_secs_f64()))),
        ("predicted_to", or_null(verdict.predicted.map(|(_, to)| to.as_secs_f64()))),
        ("measured", or_null(verdict.measured.map(|time| time.as_secs_f64()))),
        ("watched", number(verdict.watched.as_secs_f64())),
        ("errno", text(&verdict.errno)),
        ("said_by", text(&verdict.said_by)),
        ("own_time_out", verdict.own_time_out.to_string()),
        ("orphan", verdict.orphan.to_string()),
        ("dropped", verdict.dropped.map_or(NULL.to_string(), |(dropped, _)| dropped.to_string())),
        ("dropped_of", verdict.dropped.map_or(NULL.to_string(), |(_, of)| of.to_string())),
        ("kept_its_promise", verdict.kept_its_promise.to_string()),
        ("timeline", array(entries(timeline))),
    ])
}

fn entries(timeline: &Timeline) -> impl Iterator<Item = String> + '_ {
    timeline.entries.iter().map(|entry| {
        let who = match entry.who {
            Who::Client => "client",
            Who::Server => "server",
            Who::Path => "path",
            Who::Lab => "lab",
        };
        let (kind, words) = match &entry.what {
            What::Packet { words, .. } => ("packet", words),
            What::Fault(words) => ("fault", words),
            What::Departure { words } => ("departure", words),
            What::Note(words) => ("note", words),
        };
        let seconds = number(timeline.seconds(entry));
        object(&[("at", seconds), ("who", text(who)), ("kind", text(kind)), ("words", text(words))])
    })
}

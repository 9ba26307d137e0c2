//! A timeline as a sequence diagram: two life lines, time downwards, one SVG.
//!
//! Owns the drawing. Whether a packet of the server arrived is inferred from the answers: in a scene with a
//! fault, a packet that expects an answer and never gets one is drawn up to the cut. Knows no scene.

use std::fmt::Write;

use crate::count::so_many;
use crate::lab::ears::decode::{awaits_answer, takes};
use crate::lab::show::excerpt::{ExcerptLine, excerpt, packet_words};
use crate::lab::show::terminal::{measured, predicted, printable};
use crate::lab::timeline::{Timeline, TimelineEntry, Verdict, What, Who};
use crate::markup::svg::{broken, cross, escape, line, text};
use columns::{Columns, NARROW, WIDE};
use scale::{Mark, Pace, Scale};

mod columns;
mod scale;

/// The style, light and dark: a page includes it once.
pub const STYLE: &str = include_str!("style.css");

/// How many packets a figure shows at most.
const MOST: usize = 70;

/// The height of a line of text and of a row, and how far an arrow drops on its way.
const TEXT: f64 = 15.0;
const ROW: f64 = 20.0;
const FALL: f64 = 5.0;
/// The width of a character of a strong line, in the widest font that is likely.
const WIDTH: f64 = 8.1;
/// Where the first row is, and how much of the space above it the scene's name and the verdict take.
const TOP: f64 = 98.0;
const HEADING: f64 = 52.0;

/// One row: when, and what is drawn there.
struct Row<'a> {
    seconds: f64,
    words: Vec<String>,
    what: Drawn<'a>,
}

enum Drawn<'a> {
    Packet { entry: &'a TimelineEntry, lost: bool },
    LeftOut,
    Fault,
    Departure,
    Note,
    Kept,
}

/// The figure as a file of its own, with the verdict above it.
pub fn draw(timeline: &Timeline, verdict: &Verdict) -> String {
    figure(timeline, verdict, &WIDE, true)
}

/// The figure for a page that has [`STYLE`] and shows the verdict itself: in two widths, of which the
/// style shows the one that fits.
pub fn inline(timeline: &Timeline, verdict: &Verdict) -> String {
    figure(timeline, verdict, &WIDE, false) + &figure(timeline, verdict, &NARROW, false)
}

fn figure(timeline: &Timeline, verdict: &Verdict, columns: &Columns, stands_alone: bool) -> String {
    let rows = rows(timeline, verdict, columns);
    let has_cut = rows.iter().any(|row| matches!(row.what, Drawn::Packet { lost: true, .. }));
    let (scale, places) = lay_out(&rows, verdict, columns);
    let heading = heading_words(verdict);
    let longest = rows.iter().flat_map(|row| &row.words).map(|words| words.chars().count()).max().unwrap_or(0);
    let is_narrow = columns.time.is_none();
    // The font is unknown, so text cannot be measured: a wide font is assumed if there is room for it.
    let wide = if is_narrow { 0.0 } else { longest as f64 * WIDTH + columns.words + 20.0 };
    let of_heading = if stands_alone { heading.chars().count() as f64 * WIDTH + 20.0 } else { 0.0 };
    let width = wide.max(of_heading).max(columns.least);
    let legend = legend(&rows, &scale, verdict, columns);
    let bottom = scale.bottom + 10.0;
    let height = bottom + 29.0 + TEXT * legend.len() as f64;
    let name = escape(&format!("{}: what passed between client and server", verdict.scene));
    let class = if is_narrow { "narrow" } else { "wide" };
    let above = if stands_alone { 0.0 } else { HEADING };
    // Writing to a string cannot fail.
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg class=\"timeline {class}\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 {above:.0} {width:.0} {0:.0}\" \
         width=\"{width:.0}\" height=\"{0:.0}\" role=\"img\" aria-label=\"{name}\">",
        height - above
    );
    if stands_alone {
        let _ = write!(svg, "<style>{STYLE}</style><rect class=\"paper\" width=\"100%\" height=\"100%\"/>");
        text(&mut svg, "title", (16.0, 26.0), "start", &printable(&verdict.scene));
        let class = if verdict.kept_its_promise { "good strong" } else { "bad strong" };
        text(&mut svg, class, (16.0, 46.0), "start", &heading);
    }
    band(&mut svg, &scale, verdict, columns);
    axis(&mut svg, &scale, columns);
    let y_of = |wanted: fn(&Drawn<'_>) -> bool| {
        rows.iter().zip(&places).find(|(row, _)| wanted(&row.what)).map(|(_, place)| *place)
    };
    let fault = y_of(|what| matches!(what, Drawn::Fault));
    let departure = y_of(|what| matches!(what, Drawn::Departure));
    for (x, name, end) in [(columns.client, "client", None), (columns.server, "server", departure)] {
        let _ =
            write!(svg, "<text class=\"head\" x=\"{x}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>", TOP - 22.0);
        line(&mut svg, "life", (x, TOP - 14.0), (x, end.unwrap_or(bottom)));
        if let Some(end) = end {
            line(&mut svg, "gone", (x, end), (x, bottom));
        }
    }
    if let (true, Some(fault)) = (has_cut, fault) {
        line(&mut svg, "cut", (columns.middle(), fault), (columns.middle(), bottom));
    }
    for (row, y) in rows.iter().zip(places) {
        draw_row(&mut svg, row, y, columns);
    }
    for (n, words) in legend.iter().enumerate() {
        text(&mut svg, "dim", (16.0, bottom + 30.0 + TEXT * n as f64), "start", words);
    }
    svg += "</svg>";
    svg
}

/// Explains the marks that occur in the figure, line by line.
fn legend(rows: &[Row<'_>], scale: &Scale, verdict: &Verdict, columns: &Columns) -> Vec<String> {
    let is_marked = |pace| scale.stretches.iter().any(|stretch| stretch.pace == pace);
    let has_cut = rows.iter().any(|row| matches!(row.what, Drawn::Packet { lost: true, .. }));
    // A narrow figure has no room for words beside its band.
    let band = verdict
        .predicted
        .filter(|_| columns.time.is_none())
        .map(|_| format!("green: predicted {}", predicted(verdict)));
    let marks = [
        (is_marked(Pace::Stretched), "dotted axis: stretched, to keep the lines apart"),
        (is_marked(Pace::Shortened), "≈ a silence, shortened"),
        (has_cut, "× never answered, and so drawn as lost"),
    ];
    let marks = marks.into_iter().filter(|(is_there, _)| *is_there).map(|(_, words)| words.to_string());
    broken(&band.into_iter().chain(marks).collect::<Vec<_>>().join("; "), columns.legend)
}

/// Whether a packet of the server was never answered, and so counts as lost.
fn is_lost(entry: &TimelineEntry, later: &[TimelineEntry]) -> bool {
    let What::Packet { frame, words } = &entry.what else { return false };
    let asks_neighbour = is_of_neighbours(words);
    entry.who == Who::Server
        && awaits_answer(words)
        && !later.iter().any(|later| match &later.what {
            What::Packet { words, .. } if asks_neighbour => words.contains(" is at "),
            What::Packet { frame: answer, .. } => later.who == Who::Client && takes(answer, frame) == Some(true),
            _ => false,
        })
}

/// Whether a packet with this description stays on its link: ARP and neighbour discovery.
fn is_of_neighbours(words: &str) -> bool {
    words.starts_with("ARP:") || words.starts_with("neighbour")
}

fn rows<'a>(timeline: &'a Timeline, verdict: &Verdict, columns: &Columns) -> Vec<Row<'a>> {
    let entries = &timeline.entries;
    let has_fault = entries.iter().any(|entry| matches!(entry.what, What::Fault(_)));
    let mut cut_off = false;
    let mut rows = Vec::new();
    for shown in excerpt(timeline, MOST) {
        let entry = shown.entry();
        let (what, words) = match (shown, &entry.what) {
            (ExcerptLine::LeftOut(count, _), _) => (Drawn::LeftOut, format!("… {} more", so_many(count, "packet"))),
            (ExcerptLine::TimelineEntry(_), What::Packet { words, .. }) => {
                let later = entries.iter().position(|one| std::ptr::eq(one, entry)).map_or(0, |at| at + 1);
                let alone = is_lost(entry, entries.get(later..).unwrap_or_default());
                // A packet that expects no answer is drawn like the one before it.
                let lost = has_fault
                    && entry.who == Who::Server
                    && (alone || (cut_off && !awaits_answer(words) && !is_of_neighbours(words)));
                cut_off = lost || (cut_off && entry.who != Who::Server);
                (Drawn::Packet { entry, lost }, words.clone())
            }
            (_, What::Fault(words)) => (Drawn::Fault, words.clone()),
            (_, What::Departure { words }) => (Drawn::Departure, format!("gone: {words}")),
            (_, What::Note(words)) => (Drawn::Note, words.clone()),
        };
        rows.push(Row { seconds: timeline.seconds(entry), words: broken(&printable(&words), columns.line), what });
    }
    if verdict.measured.is_none() {
        let watched = verdict.watched.as_secs_f64();
        let words = broken(&format!("still there after {watched:.1} s"), columns.line);
        rows.push(Row { seconds: watched, words, what: Drawn::Kept });
    }
    rows.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    rows
}

/// The scale, and the place of each row on it. The ends of the predicted interval are on it too.
fn lay_out(rows: &[Row<'_>], verdict: &Verdict, columns: &Columns) -> (Scale, Vec<f64>) {
    let promised = verdict.predicted.map(|(from, to)| [from.as_secs_f64(), to.as_secs_f64()]);
    let end = match promised {
        Some([_, to]) => to.max(verdict.measured.map_or(0.0, |measured| measured.as_secs_f64())),
        None => rows.last().map_or(0.0, |row| row.seconds),
    };
    let mut moments: Vec<(Mark, bool)> = rows
        .iter()
        .map(|row| {
            let lines = row.words.len() + usize::from(columns.time.is_none());
            (Mark { seconds: row.seconds, height: ROW + TEXT * (lines - 1) as f64 }, true)
        })
        .collect();
    moments.extend(promised.into_iter().flatten().map(|seconds| (Mark { seconds, height: 0.0 }, false)));
    moments.sort_by(|a, b| a.0.seconds.total_cmp(&b.0.seconds));
    let only: Vec<Mark> = moments.iter().map(|(moment, _)| *moment).collect();
    let scale = Scale::new(&only, TOP + 6.0, (440.0 / end.max(0.1)).clamp(4.0, 80.0));
    let places = moments.iter().zip(&scale.places).filter(|((_, is_row), _)| *is_row).map(|(_, y)| *y).collect();
    (scale, places)
}

fn heading_words(verdict: &Verdict) -> String {
    let kept = if verdict.kept_its_promise { "kept its promise" } else { "broke its promise" };
    format!("{kept}: {}; predicted: {}", printable(&measured(verdict)), predicted(verdict))
}

fn band(svg: &mut String, scale: &Scale, verdict: &Verdict, columns: &Columns) {
    let Some((from, to)) = verdict.predicted else { return };
    let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
    let (y, end) = (scale.y(from), scale.y(to));
    let _ = write!(
        svg,
        "<rect class=\"band\" x=\"{}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
        columns.axis,
        columns.server + 24.0f64.min(columns.words - columns.server) - columns.axis,
        (end - y).max(4.0)
    );
    if columns.time.is_some() {
        let middle = (y + end) / 2.0;
        text(svg, "good", (columns.remarks, middle - 3.0), "start", "predicted gone");
        text(svg, "good", (columns.remarks, middle + 12.0), "start", &format!("{from:.1} to {to:.1} s"));
    }
}

fn axis(svg: &mut String, scale: &Scale, columns: &Columns) {
    let x = columns.axis;
    for stretch in &scale.stretches {
        let (from, to) = stretch.y;
        match stretch.pace {
            Pace::ToScale => line(svg, "axis", (x, from), (x, to)),
            Pace::Stretched => line(svg, "stretched", (x, from), (x, to)),
            Pace::Shortened => {
                let middle = (from + to) / 2.0;
                line(svg, "axis", (x, from), (x, middle - 7.0));
                for y in [middle - 4.0, middle + 4.0] {
                    let _ = write!(svg, "<path class=\"axis\" d=\"M{:.1} {y:.1}q4.5 -6 9 0t9 0\"/>", x - 9.0);
                }
                line(svg, "axis", (x, middle + 7.0), (x, to));
                let silence = stretch.seconds.1 - stretch.seconds.0;
                text(svg, "dim", (columns.remarks, middle + 4.0), "start", &format!("{silence:.1} s of silence"));
            }
        }
    }
    for (seconds, y) in scale.ticks() {
        line(svg, "tick", (x - 4.0, y), (x + 4.0, y));
        let digits = usize::from(seconds.fract() != 0.0);
        text(svg, "dim", (x - 9.0, y + 4.0), "end", &format!("{seconds:.digits$} s").replace('-', "−"));
    }
}

fn draw_row(svg: &mut String, row: &Row<'_>, y: f64, columns: &Columns) {
    let (client, server) = (columns.client, columns.server);
    let class = match &row.what {
        Drawn::Packet { entry, lost } => arrow(svg, entry, *lost, y, columns),
        Drawn::LeftOut | Drawn::Note => "dim",
        Drawn::Fault => {
            line(svg, "cut", (client - 16.0f64.min(client - columns.axis), y), (server + 10.0, y));
            "bad strong"
        }
        Drawn::Departure => {
            cross(svg, (server, y), 7.0);
            "strong"
        }
        Drawn::Kept => {
            line(svg, "life", (server - 7.0, y), (server + 7.0, y));
            "strong"
        }
    };
    let below = match columns.time {
        Some(time) => {
            text(svg, "dim", (time, y + 4.0), "end", &signed(row.seconds));
            0
        }
        None => {
            text(svg, "dim", (columns.words, y + 4.0), "start", &signed(row.seconds));
            1
        }
    };
    for (n, words) in (below..).zip(&row.words) {
        text(svg, class, (columns.words, y + 4.0 + TEXT * f64::from(n)), "start", words);
    }
}

/// `+2.003 s`, `−0.700 s`.
pub(in crate::lab) fn signed(seconds: f64) -> String {
    format!("{}{:.3} s", if seconds < 0.0 { '−' } else { '+' }, seconds.abs())
}

/// Draws an arrow that is at the server, where the packet was captured, at `y`. Returns its class.
fn arrow(svg: &mut String, entry: &TimelineEntry, lost: bool, y: f64, columns: &Columns) -> &'static str {
    let (client, server, middle) = (columns.client, columns.server, columns.middle());
    let words = packet_words(entry).unwrap_or_default();
    let is_try = ["keepalive probe", "window probe", "retransmission", "tail loss probe"];
    let class = match entry.who {
        Who::Client => "client",
        Who::Server if is_try.iter().any(|start| words.starts_with(start)) => "probe",
        Who::Server => "server",
        Who::Path | Who::Lab => "path",
    };
    let (from, to) = match (entry.who, lost) {
        (Who::Server, true) => ((server, y), (middle, y + FALL / 2.0)),
        (Who::Server, false) if is_of_neighbours(words) => ((server, y), (middle, y + FALL / 2.0)),
        (Who::Server, false) => ((server, y), (client, y + FALL)),
        (Who::Client, _) => ((client, y - FALL), (server, y)),
        (Who::Path | Who::Lab, _) => ((middle, y - FALL / 2.0), (server, y)),
    };
    line(svg, class, from, to);
    if lost {
        cross(svg, to, 5.0);
    } else {
        let back = if to.0 > from.0 { -8.0 } else { 8.0 };
        let _ = write!(
            svg,
            "<path class=\"{class}\" d=\"M{:.1} {:.1}L{:.1} {:.1}L{:.1} {:.1}\"/>",
            to.0 + back,
            to.1 - 4.0,
            to.0,
            to.1,
            to.0 + back,
            to.1 + 4.0
        );
    }
    class
}

#[cfg(test)]
mod tests;

//! The table as one HTML file: nothing is fetched, and nothing needs a script.
//!
//! A cell is a button that opens its scene, by the browser's own popovers: they take the keyboard,
//! and the Escape key closes them. A browser that does not know them shows all scenes in a row.

use std::fmt::Write;

use crate::count::so_many;
use crate::lab::excerpt::{Line, excerpt};
use crate::lab::figure::{self, signed};
use crate::lab::report::{Cell, LEGEND, Matrix, cell_words};
use crate::lab::terminal::{measured, predicted};
use crate::lab::timeline::{Timeline, What, Who};
use crate::markup::svg::escape;

const STYLE: &str = include_str!("page.css");
/// How many packets of a scene are listed at most.
const MOST: usize = 200;

/// Writes the page.
pub fn write(matrix: &Matrix) -> String {
    let title = escape(&matrix.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{}</style>\n<h1>{title}</h1>\n<dl>\n",
        figure::STYLE
    );
    let server = format!("{} {}", matrix.server, matrix.version);
    // Writing to a string cannot fail.
    for (name, value) in
        [("server", &server), ("settings", &matrix.settings), ("kernel", &matrix.kernel), ("date", &matrix.when)]
    {
        let _ = writeln!(page, "<dt>{name}<dd>{}", escape(value));
    }
    let _ = writeln!(page, "</dl>\n<p class=\"summary\">{}.", escape(&matrix.summary()));
    page += &table(matrix);
    let _ = writeln!(page, "<p class=\"dim\">{} A cell opens its timeline.", escape(LEGEND));
    for cell in &matrix.cells {
        page += &scene(matrix, cell);
    }
    page += "</html>\n";
    page
}

fn table(matrix: &Matrix) -> String {
    let mut said = "<div class=\"table\"><table class=\"matrix\">\n<thead><tr><td>".to_string();
    for state in &matrix.states {
        let _ = write!(said, "<th scope=\"col\">{}", escape(state));
    }
    said += "\n<tbody>\n";
    for (row, fault) in matrix.faults.iter().enumerate() {
        let _ = write!(said, "<tr><th scope=\"row\">{}", escape(fault));
        for (column, state) in matrix.states.iter().enumerate() {
            match matrix.cell(row, column) {
                Some(cell) => {
                    let class = class(cell);
                    let words = escape(&cell_words(&cell.verdict));
                    let label = escape(&format!("{state}, {fault}: {}", measured(&cell.verdict)));
                    let id = id(cell);
                    let _ = write!(
                        said,
                        "<td><button class=\"{class}\" popovertarget=\"{id}\" title=\"{label}\">{words}</button>"
                    );
                }
                None => said += "<td class=\"dim\">–",
            }
        }
        said.push('\n');
    }
    said + "</table></div>\n"
}

fn id(cell: &Cell) -> String {
    format!("scene-{}-{}", cell.fault, cell.state)
}

fn class(cell: &Cell) -> &'static str {
    if cell.verdict.kept_its_promise { "good" } else { "bad" }
}

fn scene(matrix: &Matrix, cell: &Cell) -> String {
    let verdict = &cell.verdict;
    let name = |names: &[String], at: usize| names.get(at).map_or(String::new(), |name| escape(name));
    let (state, fault) = (name(&matrix.states, cell.state), name(&matrix.faults, cell.fault));
    let (id, class) = (id(cell), class(cell));
    let kept = if verdict.kept_its_promise { "kept its promise" } else { "broke its promise" };
    format!(
        "<section class=\"scene\" popover id=\"{id}\" aria-labelledby=\"{id}-name\">\n\
         <header><div><h2 id=\"{id}-name\">{state}, {fault}</h2>\
         <span class=\"verdict {class}\">{kept}</span> {}; predicted: {}</div>\
         <button popovertarget=\"{id}\" popovertargetaction=\"hide\" autofocus>Close</button></header>\n\
         <div class=\"picture\">{}</div>\n<details><summary>The same as a list</summary>\n{}</details>\n</section>\n",
        escape(&measured(verdict)),
        escape(&predicted(verdict)),
        figure::inline(&cell.timeline, verdict),
        list(&cell.timeline),
    )
}

fn list(timeline: &Timeline) -> String {
    let mut said = "<table class=\"lines\">\n".to_string();
    for line in excerpt(timeline, MOST) {
        let entry = line.entry();
        let (who, words) = match (line, &entry.what) {
            (Line::LeftOut(count, _), _) => ("", format!("… {} more", so_many(count, "packet"))),
            (_, What::Packet { words, .. }) => (
                match entry.who {
                    Who::Client => "client → server",
                    Who::Server => "client ← server",
                    Who::Path | Who::Lab => "path → server",
                },
                words.clone(),
            ),
            (_, What::Fault(words)) => ("fault", words.clone()),
            (_, What::Departure { words }) => ("departure", words.clone()),
            (_, What::Note(words)) => ("", words.clone()),
        };
        let _ = writeln!(said, "<tr><td>{}<td>{who}<td>{}", signed(timeline.seconds(entry)), escape(&words));
    }
    said + "</table>\n"
}

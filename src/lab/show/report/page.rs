//! The table as one HTML file: nothing is fetched, and nothing needs a script.
//!
//! A cell is a button that opens its scene in one of the browser's own popovers: they work with the
//! keyboard, and the Escape key closes them. A browser without popovers shows all scenes in a row.

use std::fmt::Write;

use crate::count::so_many;
use crate::lab::show::excerpt::{ExcerptLine, excerpt};
use crate::lab::show::figure::{self, signed};
use crate::lab::show::report::{Cell, FAIR, Matrix, Outcome, cell_words, legend, outcome};
use crate::lab::show::terminal::{measured, predicted};
use crate::lab::timeline::{Timeline, What, Who};
use crate::markup::svg::escape;

const STYLE: &str = include_str!("page.css");
/// How many packets of a scene are listed at most.
const MOST: usize = 200;

/// Writes the page: the servers one after the other.
pub fn write(servers: &[Matrix]) -> String {
    let title = escape(servers.first().map_or("", |first| &first.title));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{}</style>\n<h1>{title}</h1>\n",
        figure::STYLE
    );
    for (place, matrix) in servers.iter().enumerate() {
        if servers.len() > 1 {
            page += &format!("<h2 class=\"server\">{}</h2>\n", escape(&matrix.server));
        }
        let server = format!("{} {}", matrix.server, matrix.version);
        page += "<dl>\n";
        // Writing to a string cannot fail.
        for (name, value) in [
            ("server", &server),
            ("settings", &matrix.settings),
            ("set by", &matrix.told),
            ("kernel", &matrix.kernel),
            ("date", &matrix.when),
        ] {
            let _ = writeln!(page, "<dt>{name}<dd>{}", escape(value));
        }
        let _ = writeln!(page, "</dl>\n<p class=\"summary\">{}.", escape(&matrix.summary()));
        page += &table(matrix, place);
    }
    let legend = escape(&legend(servers));
    let _ = writeln!(page, "<p class=\"dim\">{legend} A cell opens its timeline.\n<p class=\"dim\">{}", escape(FAIR));
    for (place, matrix) in servers.iter().enumerate() {
        for cell in &matrix.cells {
            page += &scene(matrix, place, cell);
        }
    }
    page += "</html>\n";
    page
}

/// The table of the server at `place` among all.
fn table(matrix: &Matrix, place: usize) -> String {
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
                    let id = id(place, cell);
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

fn id(place: usize, cell: &Cell) -> String {
    format!("scene-{place}-{}-{}", cell.fault, cell.state)
}

fn class(cell: &Cell) -> &'static str {
    match outcome(&cell.verdict) {
        Outcome::Kept => "good",
        Outcome::Broken => "bad",
        Outcome::WithinTheOdds => "odds",
    }
}

fn scene(matrix: &Matrix, place: usize, cell: &Cell) -> String {
    let verdict = &cell.verdict;
    let name = |names: &[String], at: usize| names.get(at).map_or(String::new(), |name| escape(name));
    let (state, fault) = (name(&matrix.states, cell.state), name(&matrix.faults, cell.fault));
    let server = escape(&matrix.server);
    let (id, class) = (id(place, cell), class(cell));
    let kept = match outcome(verdict) {
        Outcome::Kept => "kept its promise",
        Outcome::Broken => "broke its promise",
        Outcome::WithinTheOdds => "dropped living peers, as its loss allows",
    };
    format!(
        "<section class=\"scene\" popover id=\"{id}\" aria-labelledby=\"{id}-name\">\n\
         <header><div><h2 id=\"{id}-name\">{server}: {state}, {fault}</h2>\
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
            (ExcerptLine::LeftOut(count, _), _) => ("", format!("… {} more", so_many(count, "packet"))),
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

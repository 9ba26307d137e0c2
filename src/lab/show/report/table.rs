//! The table for a terminal: faults down, states across, in as many parts as the width requires.

use crate::lab::show::report::{FAIR, Matrix, Outcome, cell_words, legend, outcome};
use crate::lab::show::terminal::{Ink, paint, printable};

/// A column is wide enough for `> 924 ✗` and for the longest word of its heading, with a gap before it.
const LEAST: usize = 7;
const GAP: usize = 2;

/// Draws the table, at most `width` characters wide if possible.
pub fn draw(matrix: &Matrix, width: usize, colours: bool) -> String {
    let mut said = format!("{}\n", paint(colours, Ink::Strong, &printable(&matrix.title)));
    let Matrix { server, version, settings, kernel, when, .. } = matrix;
    for line in wrapped(&printable(&format!("{server} {version}, {settings}; {kernel}, {when}")), width.max(40)) {
        said += &format!("{line}\n");
    }
    if !matrix.told.is_empty() {
        for line in wrapped(&printable(&format!("set by: {}", matrix.told)), width.max(40)) {
            said += &format!("{line}\n");
        }
    }
    let names = matrix.faults.iter().map(|fault| fault.chars().count()).max().unwrap_or(0);
    for part in parts(matrix, width.saturating_sub(names)) {
        said.push('\n');
        said += &heading(matrix, &part, names, colours);
        for (fault, name) in matrix.faults.iter().enumerate() {
            said += &format!("{:names$}", printable(name));
            for &(state, column) in &part {
                let (words, ink) = match matrix.cell(fault, state) {
                    Some(cell) => (cell_words(&cell.verdict), ink(outcome(&cell.verdict))),
                    None => ("–".to_string(), Ink::Dim),
                };
                said += &paint(colours, ink, &format!("{words:>column$}"));
            }
            said.push('\n');
        }
    }
    let ink = if matrix.kept() == matrix.cells.len() { Ink::Good } else { Ink::Bad };
    said += &format!("\n{}\n", paint(colours, ink, &matrix.summary()));
    let legend = legend(std::slice::from_ref(matrix));
    for line in [legend.as_str(), FAIR].iter().flat_map(|text| wrapped(text, width.max(40))) {
        said += &format!("{}\n", paint(colours, Ink::Dim, &line));
    }
    said
}

fn ink(outcome: Outcome) -> Ink {
    match outcome {
        Outcome::Kept => Ink::Good,
        Outcome::Broken => Ink::Bad,
        Outcome::WithinTheOdds => Ink::Probe,
    }
}

/// The states, each with its column's width, in as many parts as it takes.
fn parts(matrix: &Matrix, width: usize) -> Vec<Vec<(usize, usize)>> {
    let mut parts: Vec<Vec<(usize, usize)>> = Vec::new();
    let mut left = 0;
    for (state, name) in matrix.states.iter().enumerate() {
        let word = name.split_whitespace().map(|word| word.chars().count()).max().unwrap_or(0);
        let column = word.max(LEAST) + GAP;
        match parts.last_mut() {
            Some(part) if column <= left => part.push((state, column)),
            _ => {
                left = width.max(column);
                parts.push(vec![(state, column)]);
            }
        }
        left -= column;
    }
    parts
}

/// The states' names above their columns, a few words a line, the last line at the bottom.
fn heading(matrix: &Matrix, part: &[(usize, usize)], names: usize, colours: bool) -> String {
    let columns: Vec<(Vec<String>, usize)> = part
        .iter()
        .filter_map(|&(state, column)| Some((wrapped(&printable(matrix.states.get(state)?), column - GAP), column)))
        .collect();
    let height = columns.iter().map(|(words, _)| words.len()).max().unwrap_or(0);
    let mut said = String::new();
    for row in 0..height {
        let mut line = " ".repeat(names);
        for (words, column) in &columns {
            let words = (row + words.len()).checked_sub(height).and_then(|at| words.get(at));
            line += &format!("{:>column$}", words.map_or("", String::as_str));
        }
        said += &format!("{}\n", paint(colours, Ink::Strong, line.trim_end()));
    }
    said
}

/// Breaks text into lines of at most `width` characters; a longer word is cut.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().take(width).collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => *line += &format!(" {word}"),
            _ => lines.push(word),
        }
    }
    lines
}

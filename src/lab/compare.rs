//! `stillthere lab compare`: the results of matrices from several places, side by side.
//!
//! Owns the directories that hold each place's results. The layout of the table is `report`'s.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::lab::show::report::columns::{self, Column, Run};

/// Writes the comparison to standard output. Each directory is a column with its own name: the matrices are its
/// `*.json`, in the order of their names; `facts.tsv` has a line for each fact, what it is and its value.
///
/// # Errors
/// A sentence: the file, and what is wrong with it.
pub(in crate::lab) fn print(directories: &[PathBuf]) -> Result<(), String> {
    let columns = directories.iter().map(|directory| column(directory)).collect::<Result<Vec<_>, _>>()?;
    let said = columns::write(&columns);
    io::stdout().write_all(said.as_bytes()).map_err(|error| format!("cannot write the comparison: {error}"))
}

fn column(directory: &Path) -> Result<Column, String> {
    let wrong = |path: &Path, why: String| format!("cannot read {}: {why}", path.display());
    let entries = fs::read_dir(directory).map_err(|error| wrong(directory, error.to_string()))?;
    let mut paths = entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>();
    paths.sort();
    let text = |path: &Path| fs::read_to_string(path).map_err(|error| wrong(path, error.to_string()));
    let name = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let mut column = Column { name: name(directory.file_name()), ..Column::default() };
    for path in &paths {
        if path.extension().is_some_and(|extension| extension == "json") {
            let run = Run::read(&name(path.file_stem()), &text(path)?);
            column.runs.push(run.map_err(|why| wrong(path, why))?);
        } else if path.ends_with("facts.tsv") {
            let text = text(path)?;
            let facts = text.lines().filter_map(|line| line.split_once('\t'));
            column.facts.extend(facts.map(|(what, value)| (what.to_string(), value.to_string())));
        }
    }
    if column.runs.is_empty() && column.facts.is_empty() {
        return Err(wrong(directory, "it has neither a matrix (*.json) nor facts.tsv".to_string()));
    }
    Ok(column)
}

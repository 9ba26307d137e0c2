//! docs/operate.md explains every reason of a departure and every line of the server's log. Whoever adds one explains it there.

use std::fs;
use std::path::{Path, PathBuf};

use stillthere::reactor::Departure;

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operate.md")).unwrap()
}

#[test]
fn every_reason_of_a_departure_is_explained() {
    let page = page();
    for (word, label) in Departure::WORDS.iter().zip(Departure::LABELS) {
        let row = format!("| `{word}` | {label} | ");
        assert!(page.contains(&row), "docs/operate.md has no row {row}");
    }
}

/// The sources of the server: not the other commands, and no tests.
fn sources(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !["ask", "cli", "lab", "load", "plan", "testing", "tests"].contains(&name) {
            sources(&path, files);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            files.push(path);
        }
    }
}

/// The text that begins with a quotation mark, without it, up to the next one: a string literal as the source has it.
fn literal(source: &str) -> String {
    let mut text = String::new();
    let mut rest = source.chars();
    while let Some(next) = rest.next() {
        match next {
            '"' => break,
            '\\' => match rest.next() {
                // A line that goes on: its indentation is not part of it.
                Some('\n') => {
                    let after = rest.as_str().trim_start();
                    rest = after.chars();
                }
                other => text.extend(other),
            },
            other => text.push(other),
        }
    }
    text
}

/// `{address}: {error:?}` becomes `…: …`; gaps that meet are one.
fn with_gaps(text: &str) -> String {
    let mut parts = text.split('{');
    let mut line = parts.next().unwrap().to_string();
    for part in parts {
        line.push('…');
        line += part.split_once('}').map_or("", |(_, after)| after);
    }
    while line.contains("……") || line.contains("… …") {
        line = line.replace("……", "…").replace("… …", "…");
    }
    line
}

#[test]
fn every_line_of_the_log_is_explained() {
    let page = page();
    // What is written in code, wherever a line ends there.
    let explained: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let (mut count, mut missing) = (0, Vec::new());
    for file in &files {
        let source = fs::read_to_string(file).unwrap();
        // The tests in a file come last.
        let source = source.split("\n#[cfg(test)]\nmod ").next().unwrap();
        for name in ["error!(", "warn!(", "info!("] {
            for (at, _) in source.match_indices(name) {
                let before = source[..at].chars().last().unwrap_or(' ');
                let after = source[at + name.len()..].trim_start();
                let Some(after) = after.strip_prefix('"').filter(|_| !before.is_alphanumeric()) else { continue };
                let line = with_gaps(&literal(after));
                // A sentence that comes from elsewhere is explained with where it comes from.
                if line.chars().filter(|letter| letter.is_alphabetic()).count() < 6 {
                    continue;
                }
                count += 1;
                if !explained.iter().any(|text| is_explained(text, &line)) {
                    missing.push(format!("{}: {line}", file.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "docs/operate.md does not explain\n{}", missing.join("\n"));
    assert!(count > 40, "{count}");
}

/// The page has the line itself. It may leave out what follows a last semicolon or what is in backticks, where advice is given.
fn is_explained(text: &str, line: &str) -> bool {
    text == line || text.strip_suffix("; …").is_some_and(|begun| line.starts_with(&format!("{begun}; ")))
}

#[test]
fn a_line_is_recognised_in_the_source() {
    assert_eq!(literal("a {b} \\\n      c\" d"), "a {b} c");
    assert_eq!(with_gaps("{a}: {b:?} of {}"), "…: … of …");
    assert!(is_explained("a …; …", "a …; `sysctl` sets it") && !is_explained("a …", "a … b"));
}

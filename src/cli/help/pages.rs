//! The pages of `serve --help`: its options do not fit one screen any more.
//!
//! Owns the names of the pages. Which option is on which follows from its group: see `serve_options.rs`.

use lexopt::Parser;

use super::list;
use crate::cli::nearest::nearest;
use crate::cli::serve_options::{OPTIONS, RUNNING, preset};
use crate::cli::{Usage, help};

/// The names that may follow `--help`.
const NAMES: [&str; 2] = ["running", "all"];

/// The first page, and which others there are.
pub(super) fn list_usual(text: &mut String) {
    list(text, OPTIONS.iter().filter(|option| option.group != RUNNING), preset);
    *text += "More: serve --help running (to run it, and look after it), serve --help all\n";
}

/// What follows `--help` names a page; without a name it is the first one.
///
/// # Errors
/// There is no page of this name.
pub(in crate::cli) fn of_serve(parser: &mut Parser) -> Result<String, Usage> {
    let name = match parser.optional_value() {
        Some(name) => name,
        None => match parser.next() {
            Ok(Some(lexopt::Arg::Value(word))) => word,
            _ => return Ok(help::of_serve()),
        },
    };
    let name = name.to_string_lossy();
    match &*name {
        "running" => Ok(running()),
        "all" => Ok(format!("{}\n\n{}", help::of_serve(), running())),
        // `serve --help 127.0.0.1:7007`: a place, and no page.
        place if place.contains(':') => Ok(help::of_serve()),
        _ => {
            let nearest = nearest(&name, "--help ", NAMES.into_iter());
            Err(Usage(format!(
                "the help has no page {name:?}{nearest}; `serve --help`, `serve --help running` or \
                               `serve --help all` print it"
            )))
        }
    }
}

/// The options for those who run a server and look after it. Fits a screen of 80 by 24.
fn running() -> String {
    let mut text = String::from("stillthere serve [options]      more of them; `serve --help` has the others\n");
    list(&mut text, OPTIONS.iter().filter(|option| option.group == RUNNING), preset);
    if cfg!(feature = "config") {
        text += "FILE has one option a line, without dashes (`deadline 30s`), and where to listen\n";
        text += "(`listen [::]:7007`); # begins a comment. The command line comes before the\n";
        text += "environment, and that before FILE, and that before the profile.\n";
    }
    text += "Signals: TERM and INT stop in order, and at once the second time; HUP reads FILE\n";
    text += "again, and opens the file of --events anew; USR1 logs the figures";
    text += if cfg!(feature = "upgrade") {
        "; USR2 goes on\nwith all peers in the program that is installed now, and the FILE as it is now."
    } else {
        "."
    };
    text
}

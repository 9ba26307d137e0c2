//! What `--help` prints, and the guess at what was meant.

use std::fmt::Write;

use crate::cli::serve_options::OPTIONS;

pub const OVERVIEW: &str = "\
stillthere: a TCP server that always knows who is still there

  stillthere serve [ADDR:PORT ...] [options]   run the server
  stillthere serve --help                      its options
  stillthere --version";

/// The options of `serve`, in their groups. Fits a screen of 80 by 24.
pub fn of_serve() -> String {
    let mut text = String::from("stillthere serve [ADDR:PORT ...] [options]      by default 127.0.0.1:7007\n");
    let mut group = "";
    for option in OPTIONS {
        if option.group != group {
            group = option.group;
            let _ = writeln!(text, "{group}:");
        }
        let left = format!("--{} {}", option.name, option.value);
        let _ = writeln!(text, "  {left:<25}{}", option.help);
    }
    text += "Also: -h, --help; -V, --version. Durations: 500ms, 5s, 2m, 1h. Every option may\n";
    text += "come from the environment: STILLTHERE_GRACE=2s STILLTHERE_LISTEN=\"[::]:7007\"";
    text
}

/// ", did you mean …?" if one of the names is near.
pub fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> String {
    let likeness = |name: &str| strsim::jaro_winkler(given, name);
    match names.max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(name) if likeness(name) > 0.7 => {
            let dashes = if matches!(name, "serve" | "help") { "" } else { "--" };
            format!("; did you mean {dashes}{name}?")
        }
        _ => String::new(),
    }
}

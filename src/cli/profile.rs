//! `--profile`: one word for several options, each of which may be given besides, and then holds instead.
//!
//! Owns which options a profile sets. docs/configuration.md has what was measured with them.

use crate::cli::arguments::{Given, Origin, Value};
use crate::cli::serve_options::OPTIONS;

struct Profile {
    name: &'static str,
    sets: &'static [(&'static str, &'static str)],
    /// What it is for, behind the list of what it sets.
    purpose: &'static str,
}

const PROFILES: [Profile; 1] = [Profile {
    name: "tiny",
    sets: &[
        ("backlog", "128"),
        ("max-connections", "512"),
        ("max-memory", "1M"),
        ("max-output", "16K"),
        ("stalled", "60s"),
    ],
    purpose: "for a board with 16 MiB: the program takes 2 MiB at most, and the kernel about 4 KiB for each idle peer",
}];

/// The names of the profiles.
#[cfg(test)]
#[allow(dead_code)] // for the manual, which is tested where all features are on
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|profile| profile.name)
}

/// Adds what the profile sets to what was given; in words, if there is a profile.
///
/// # Errors
/// There is no such profile.
pub(super) fn apply(given: &mut Given) -> Result<Option<String>, String> {
    let Some(name) = given.text("profile") else { return Ok(None) };
    let Some(profile) = PROFILES.iter().find(|profile| profile.name == name) else {
        return Err(given.complaint("profile", "it must be tiny").0);
    };
    let (mut sets, mut others) = (Vec::new(), Vec::new());
    for &(name, text) in profile.sets {
        let Some(option) = OPTIONS.iter().find(|option| option.name == name) else { continue };
        if let Some(text) = given.text(name) {
            others.push(format!("{name} {text}"));
            continue;
        }
        sets.push(format!("{name} {text}"));
        let place = format!("--profile {}: {name} {text}", profile.name);
        let text = text.to_string();
        given.values.push(Value { name: option.name, text, origin: Origin::Profile, place, line: 0 });
    }
    let mut words = format!("profile {} sets {}", profile.name, sets.join(", "));
    if !others.is_empty() {
        words += &format!(" ({} was given instead)", others.join(", "));
    }
    Ok(Some(format!("{words}: {}", profile.purpose)))
}

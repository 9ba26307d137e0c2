//! Environment variables that look like ours and are none, so that they set nothing.

use std::ffi::OsString;

use crate::cli::arguments::{Options, PREFIX, shout};
use crate::cli::nearest::nearest;

/// The commands, built in or not: a variable with another command's name is not for this one.
pub(super) const COMMANDS: [&str; 7] = ["SERVE", "WHO", "DROP", "TOP", "LOAD", "LAB", "PLAN"];
/// Variables that are no options: the lab sets one when it starts itself again, the benchmarks read another, and a server that is
/// upgraded sets the rest for the program that comes next.
const OTHERS: [&str; 4] = ["LAB_INSIDE", "BINARY", "STATE", "REHEARSAL"];
/// Not an option: its variable has the addresses that `serve` takes as words.
pub(super) const LISTEN: &str = "listen";

/// A sentence for each variable that has a value and belongs to no option.
pub(super) fn misspelt(options: Options, variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    let mut sentences = Vec::new();
    for (variable, value) in variables {
        let Some(rest) = variable.to_str().and_then(|variable| variable.strip_prefix(PREFIX)) else { continue };
        if value.to_string_lossy().trim().is_empty() || OTHERS.contains(&rest) {
            continue;
        }
        let command =
            COMMANDS.into_iter().find(|command| rest.strip_prefix(command).is_some_and(|rest| rest.starts_with('_')));
        let own = shout(options.command);
        let (scope, name) = match command {
            Some(command) if command == own => rest.split_at(own.len() + 1),
            Some(_) => continue,
            None => ("", rest),
        };
        let table = if scope.is_empty() { options.of_server } else { options.own };
        let names = || table.iter().map(|option| shout(option.name)).chain([shout(LISTEN)]);
        if names().any(|known| known == name) {
            continue;
        }
        // For instance `STILLTHERE_JSON`, which should be STILLTHERE_PLAN_JSON.
        let guess = match options.own.iter().find(|option| shout(option.name) == name) {
            Some(_) => format!("; did you mean {PREFIX}{own}_{name}?"),
            None => nearest(name, &format!("{PREFIX}{scope}"), names().collect::<Vec<_>>().iter().map(String::as_str)),
        };
        sentences.push(format!("{PREFIX}{rest} is set, but there is no such option{guess}"));
    }
    sentences
}

//! What the options of `who`, `drop`, `upgrade` and `top` mean.

use std::time::Duration;

use crate::admin_place::AdminPlace;
use crate::ask::{DropSettings, Server, Sort, UpgradeSettings, WhoSettings, Whom, is_id};
use crate::cli::Usage;
use crate::cli::arguments::{Given, Opt, Preset};
use crate::place::Place;

const SERVER: &str = "The server";
const PEERS: &str = "The peers";

const ADMIN: Opt =
    Opt { group: SERVER, name: "admin", value: "ADDR:PORT", help: "or unix:PATH: its admin port (default {})" };
const TOKEN: Opt =
    Opt { group: SERVER, name: "admin-token-file", value: "FILE", help: "the token that it wants, if any" };
const PATIENCE: Opt =
    Opt { group: SERVER, name: "patience", value: "DURATION", help: "time for it to answer (default {})" };

pub(super) const WHO: &[Opt] = &[
    ADMIN,
    TOKEN,
    PATIENCE,
    Opt { group: PEERS, name: "sort", value: "BY", help: "silence, age or bytes, the most first" },
    Opt { group: PEERS, name: "from", value: "ADDR[/BITS]", help: "only those from this address or network" },
    Opt { group: PEERS, name: "json", value: "", help: "a line of JSON for each, and nothing else" },
    Opt { group: PEERS, name: "quiet", value: "", help: "none: exit code 0 if the server is ready, else 1" },
];

pub(super) const DROP: &[Opt] = &[ADMIN, TOKEN, PATIENCE];

pub(super) const UPGRADE: &[Opt] = DROP;

#[cfg(feature = "top")]
pub(super) const TOP: &[Opt] = DROP;

/// The defaults that the help prints.
pub(super) fn preset(name: &str) -> Preset {
    match name {
        "admin" => Preset::Text(AdminPlace::DEFAULT.to_string()),
        "patience" => Preset::Time(Server::PATIENCE),
        _ => Preset::None,
    }
}

/// A day: longer than anybody waits.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Checks what was given to `who`.
pub(super) fn who(given: &Given) -> Result<WhoSettings, Usage> {
    let sort = match given.text("sort") {
        None => None,
        Some(name) => match Sort::ALL.into_iter().find(|sort| sort.name() == name) {
            Some(sort) => Some(sort),
            None => return Err(given.complaint("sort", "it must be silence, age or bytes")),
        },
    };
    let from = given.text("from").map(str::parse).transpose();
    let from = from.map_err(|because: String| given.complaint("from", because))?;
    let is_quiet = given.switch("quiet")?;
    let whom = match given.words.as_slice() {
        [] if is_quiet => {
            if let Some(name) = given.on_command_line(&["sort", "from", "json"]) {
                return Err(given.complaint(name, "with --quiet nothing is listed"));
            }
            Whom::Nobody
        }
        [word, ..] if is_quiet && given.on_command_line(&["quiet"]).is_some() => {
            return Err(Usage(format!("{word:?}: with --quiet nothing is told of any peer")));
        }
        [] => Whom::All { sort, from },
        [word] => {
            // In the environment they may be set for all questions.
            if let Some(name) = given.on_command_line(&["sort", "from"]) {
                return Err(given.complaint(name, "it is about all peers, and the id of one is given, too"));
            }
            Whom::One(id(word)?)
        }
        [_, more, ..] => return Err(Usage(format!("{more:?}: one peer at a time; without an id, all are listed"))),
    };
    Ok(WhoSettings { server: server(given)?, json: given.switch("json")?, whom })
}

/// Checks what was given to `drop`.
pub(super) fn let_go(given: &Given) -> Result<DropSettings, Usage> {
    if given.words.is_empty() {
        return Err(Usage("which peer? `stillthere who` prints their ids: stillthere drop ID".to_string()));
    }
    let ids = given.words.iter().map(|word| id(word)).collect::<Result<_, _>>()?;
    Ok(DropSettings { server: server(given)?, ids })
}

/// Checks what was given to `upgrade`.
pub(super) fn upgrade(given: &Given) -> Result<UpgradeSettings, Usage> {
    if let Some(word) = given.words.first() {
        return Err(Usage(format!(
            "{word:?}: `stillthere upgrade` takes options only; the program that takes over is the one that now is where the \
             server was started from"
        )));
    }
    Ok(UpgradeSettings { server: server(given)? })
}

/// Checks what was given to `top`.
#[cfg(feature = "top")]
pub(super) fn top(
    given: &Given,
    environment: &crate::cli::arguments::Environment<'_>,
) -> Result<crate::ask::TopSettings, Usage> {
    if let Some(word) = given.words.first() {
        return Err(Usage(format!(
            "{word:?}: `stillthere top` takes options only; in it, / filters and Enter shows one peer"
        )));
    }
    // https://no-color.org: present and not empty, whatever it says.
    let plain = environment("NO_COLOR").is_some_and(|value| !value.is_empty());
    Ok(crate::ask::TopSettings { server: server(given)?, plain })
}

fn server(given: &Given) -> Result<Server, Usage> {
    let patience = given.duration("patience")?.unwrap_or(Server::PATIENCE);
    if patience < Duration::from_millis(1) || patience > LONGEST {
        return Err(given.complaint("patience", "it must be from 1ms to 1day"));
    }
    let token_file = given.path("admin-token-file");
    if token_file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
        return Err(given.complaint("admin-token-file", "it must be the name of a file"));
    }
    Ok(Server { place: place(given)?, token_file, patience })
}

fn place(given: &Given) -> Result<AdminPlace, Usage> {
    let Some(text) = given.text("admin") else { return Ok(AdminPlace::DEFAULT) };
    let place: AdminPlace = text.parse().map_err(|because: String| given.complaint("admin", because))?;
    if matches!(&place, AdminPlace::Tcp(place) if place.port() == 0) {
        let because = "port 0 is nowhere to connect to; the server's log says which port it was given";
        return Err(given.complaint("admin", because));
    }
    Ok(place)
}

fn id(word: &str) -> Result<String, Usage> {
    if is_id(word) {
        return Ok(word.to_string());
    }
    let addressed = match word.parse::<std::net::IpAddr>().is_ok() || Place::read(word).is_ok() {
        true => format!(
            "; `stillthere who --from {}` lists the peers from there",
            word.rsplit_once(':').map_or(word, |(ip, _)| ip)
        ),
        false => String::new(),
    };
    Err(Usage(format!("{word:?} is no id of a peer, such as 3f2a1c0101-2a; `stillthere who` prints them{addressed}")))
}

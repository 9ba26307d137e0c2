//! What the options of `load` mean.

use std::net::IpAddr;

use crate::cli::arguments::{Given, Opt, Preset};
use crate::cli::{Usage, serve_options};
use crate::load::LoadSettings;
use crate::load::criterion::Criterion;
use crate::place::Place;
use crate::speak::Speak;

const CONNECTIONS: &str = "Connections";
const EXCHANGES: &str = "Exchanges";
const REPORT: &str = "Report";

pub(super) const OPTIONS: &[Opt] = &[
    Opt { group: CONNECTIONS, name: "connections", value: "N", help: "how many to open and hold (default {})" },
    Opt { group: CONNECTIONS, name: "connect-rate", value: "N", help: "opened per second, at most (default {})" },
    Opt {
        group: CONNECTIONS,
        name: "patience",
        value: "DURATION",
        help: "time limit to connect and be greeted (default {})",
    },
    Opt {
        group: CONNECTIONS,
        name: "source",
        value: "ADDR,ADDR",
        help: "source addresses, used in turn (default: kernel's)",
    },
    Opt { group: EXCHANGES, name: "speak", value: "NAME", help: "{}" },
    Opt { group: EXCHANGES, name: "active", value: "N", help: "connections that send requests (default {})" },
    Opt { group: EXCHANGES, name: "size", value: "BYTES", help: "size of a request (default {})" },
    Opt { group: EXCHANGES, name: "rate", value: "N", help: "requests per second in all; else after each answer" },
    Opt { group: EXCHANGES, name: "grace", value: "DURATION", help: "time to wait for late answers (default {})" },
    Opt { group: EXCHANGES, name: "time", value: "DURATION", help: "length of the measurement (default {})" },
    Opt { group: REPORT, name: "fail-if", value: "CONDITIONS", help: "exit with 1 if p99>5ms,errors>1%,held<100" },
    Opt { group: REPORT, name: "pid", value: "PID", help: "measure memory and CPU of this server (and children)" },
    Opt { group: REPORT, name: "json", value: "FILE", help: "the report as JSON" },
    Opt { group: REPORT, name: "html", value: "FILE", help: "the report as a page with plots" },
];

/// The defaults that the help prints.
pub(super) fn preset(name: &str) -> Preset {
    let default = LoadSettings::of(Place::DEFAULT);
    match name {
        "connections" => Preset::Number(default.connections),
        "connect-rate" => Preset::Number(default.connect_rate as usize),
        "patience" => Preset::Time(default.patience),
        "speak" => {
            let mark = |name: &&str| if *name == default.speak.name() { " (default)" } else { "" };
            let names = Speak::VERBATIM.iter().map(|name| format!("{name}{}", mark(name)));
            Preset::Text(names.collect::<Vec<_>>().join(", "))
        }
        "active" => Preset::Number(default.active),
        "size" => Preset::Number(default.size),
        "grace" => Preset::Time(default.grace),
        "time" => Preset::Time(default.time),
        _ => Preset::None,
    }
}

/// Checks what was given, and fills in the defaults.
pub(super) fn settings(given: &Given) -> Result<LoadSettings, Usage> {
    let pid = pid(given)?; // before the words: what stands among them may be the second of two
    let target = match given.words.as_slice() {
        [one] => serve_options::place(one)?,
        [] => return Err(Usage(format!("which server? For instance: stillthere load {}", Place::DEFAULT))),
        [_, more, ..] => return Err(Usage(format!("{more:?}: one server at a time"))),
    };
    let nowhere = match &target {
        Place::Address(address) => address.ip().is_unspecified() || address.port() == 0,
        Place::Name { port, .. } => *port == 0,
    };
    if nowhere {
        return Err(Usage(format!("{target} is nowhere to connect to; give the address and port of a server")));
    }
    let default = LoadSettings::of(target.clone());
    let speak = match given.text("speak") {
        None => default.speak,
        Some(name) => name
            .parse()
            .ok()
            .filter(|speak: &Speak| Speak::VERBATIM.contains(&speak.name()))
            .ok_or_else(|| given.complaint("speak", format!("it must be one of {}", Speak::VERBATIM.join(", "))))?,
    };
    let connections = given.number("connections", 1, 10_000_000)?.unwrap_or(default.connections);
    let active = match given.number("active", 0, connections)? {
        Some(active) if active > 0 && speak == Speak::None => {
            return Err(
                given.complaint("active", "--speak none sends no requests: choose another language, or leave it out")
            );
        }
        Some(active) => active,
        None if speak == Speak::None => 0,
        None => connections.min(default.active),
    };
    let rate = match given.number("rate", 1, 10_000_000u32)? {
        Some(_) if active == 0 => return Err(given.complaint("rate", "no connection sends requests")),
        rate => rate,
    };
    let time = given.duration("time")?.unwrap_or(default.time);
    if time.is_zero() {
        return Err(given.complaint("time", "it must be longer than 0s, such as 10s"));
    }
    let sources = given.text("source").map(|list| sources(given, list, &target)).transpose()?;
    Ok(LoadSettings {
        target,
        connections,
        connect_rate: given.number("connect-rate", 1, 10_000_000)?.unwrap_or(default.connect_rate),
        sources: sources.unwrap_or_default(),
        active,
        // An empty answer cannot be verified; above the upper bound it is a transfer, not an exchange.
        size: given.number("size", 1, 16 << 20)?.unwrap_or(default.size),
        rate: rate.map(f64::from),
        time,
        speak,
        patience: given.duration("patience")?.unwrap_or(default.patience),
        grace: given.duration("grace")?.unwrap_or(default.grace),
        fail_if: fail_if(given)?,
        pid,
        json: given.path("json"),
        html: given.path("html"),
    })
}

/// One process. `$(pgrep NAME)` may expand to none, or to several.
fn pid(given: &Given) -> Result<Option<u32>, Usage> {
    const FIRST: &str = "`pgrep -o NAME` prints the oldest of a name, and its children are counted with it";
    let Some(text) = given.text("pid") else { return Ok(None) };
    if text.trim().is_empty() || text.starts_with('-') {
        return Err(given.complaint("pid", "no process is named: did pgrep find none?"));
    }
    let more = given.words.iter().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit())).count();
    let named = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()).count();
    if named > 1 || given.words.len() > 1 && more > 0 {
        let count = named + if given.words.len() > 1 { more } else { 0 };
        return Err(Usage(format!("--pid takes one process, and {count} are named; {FIRST}")));
    }
    given.number("pid", 1, i32::MAX as u32)
}

fn fail_if(given: &Given) -> Result<Vec<Criterion>, Usage> {
    let list = given.text("fail-if").map(Criterion::list).transpose();
    Ok(list.map_err(|because| given.complaint("fail-if", because))?.unwrap_or_default())
}

fn sources(given: &Given, list: &str, target: &Place) -> Result<Vec<IpAddr>, Usage> {
    let one = |word: &str| match (word.trim().parse::<IpAddr>(), target) {
        (Ok(source), Place::Address(address)) if source.is_ipv4() != address.is_ipv4() => {
            Err(given.complaint("source", format!("{source} cannot reach {}: not the same family", address.ip())))
        }
        (Ok(source), _) => Ok(source),
        (Err(_), _) => Err(given.complaint(
            "source",
            format!("{word:?} is no address; give addresses of this machine, with commas between them"),
        )),
    };
    list.split(',').map(one).collect()
}

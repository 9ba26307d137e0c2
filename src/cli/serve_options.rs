//! What the options of `serve` mean.

#[cfg(feature = "admin")]
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::Usage;
use crate::cli::arguments::{Given, Opt, Preset};
#[cfg(feature = "sandbox")]
use crate::confine::user::User;
use crate::keepalive::{Keepalive, TimerWheel, Unfit, UserTimeout};
#[cfg(feature = "events")]
use crate::observe::events::EventsTo;
#[cfg(feature = "notify")]
use crate::observe::log::Format as LogFormat;
use crate::observe::log::Levels;
use crate::place::Place;
use crate::reactor::{Limits, WhenFull, waiting_time as checked};
#[cfg(feature = "admin")]
use crate::serve::AdminSettings;
use crate::serve::{Beats, ServeSettings, ServiceName};

/// The options do not fit one screen: the help has a page of its own for those of [`RUNNING`].
pub(super) const IS_PAGED: bool =
    cfg!(any(feature = "config", feature = "notify", feature = "sandbox", feature = "upgrade"));

/// The help needs the line of the heading.
const LISTENING: &str = if cfg!(feature = "admin") { "" } else { "Listening, and running" };
/// How the server is run and looked after. An option that is not needed every day belongs here: this page has room. Those of
/// this group stand together in the table.
pub(super) const RUNNING: &str = if IS_PAGED { "Running it, and looking after it" } else { LISTENING };
#[cfg(not(feature = "events"))]
const DEADLINE: &str = "Deadline of a silent peer";
#[cfg(not(feature = "events"))]
const HEARTBEATS: &str = "Heartbeats, and limits";
/// The help needs the line of a heading.
#[cfg(feature = "events")]
const DEADLINE: &str = "Deadline of a silent peer, heartbeats, limits";
#[cfg(feature = "events")]
const HEARTBEATS: &str = DEADLINE;

pub(super) const OPTIONS: &[Opt] = &[
    Opt { group: LISTENING, name: "service", value: "NAME", help: "echo (default), discard or heartbeat" },
    Opt { group: LISTENING, name: "max-connections", value: "N", help: "default: what the descriptor limit allows" },
    Opt { group: LISTENING, name: "grace", value: "DURATION", help: "to deliver output after SIGTERM (default {})" },
    Opt { group: LISTENING, name: "log", value: "LEVEL", help: "off, error, warn, info (default), debug or trace" },
    #[cfg(feature = "admin")]
    Opt { group: LISTENING, name: "admin", value: "ADDR:PORT", help: "" },
    #[cfg(feature = "admin")]
    Opt { group: LISTENING, name: "admin-token-file", value: "FILE", help: "who is there, metrics; or unix:PATH" },
    #[cfg(feature = "events")]
    Opt { group: LISTENING, name: "events", value: "TO", help: "JSON lines to -, FILE, unix:PATH or tcp:ADDR:PORT" },
    #[cfg(feature = "config")]
    Opt { group: RUNNING, name: "config", value: "FILE", help: "lines of `option value`; SIGHUP reads it again" },
    #[cfg(feature = "config")]
    Opt { group: RUNNING, name: "check", value: "", help: "say what is wrong in all that is given; start nothing" },
    #[cfg(feature = "config")]
    Opt { group: RUNNING, name: "profile", value: "NAME", help: "tiny: the bounds for a board with 16 MiB" },
    #[cfg(feature = "notify")]
    Opt { group: RUNNING, name: "log-format", value: "FORMAT", help: "text (default), or json: an object a line" },
    #[cfg(all(feature = "notify", feature = "upgrade"))]
    Opt { group: RUNNING, name: "keep-peers-over-restart", value: "", help: "SIGTERM leaves the peers with systemd" },
    #[cfg(feature = "upgrade")]
    Opt { group: RUNNING, name: "drain", value: "DURATION", help: "spread the closes of a stop over this long (off)" },
    #[cfg(feature = "sandbox")]
    Opt { group: RUNNING, name: "user", value: "NAME[:GROUP]", help: "become this user when all is open (root only)" },
    #[cfg(feature = "sandbox")]
    Opt { group: RUNNING, name: "sandbox", value: "", help: "then forbid files and ports that were not configured" },
    Opt { group: RUNNING, name: "backlog", value: "N", help: "peers that may wait to be accepted (default {})" },
    Opt { group: RUNNING, name: "reuse-port", value: "", help: "let several processes listen on the port" },
    Opt { group: DEADLINE, name: "deadline", value: "DURATION", help: "sets the next three together (default {})" },
    Opt { group: DEADLINE, name: "idle", value: "DURATION", help: "silence before the first probe (default {})" },
    Opt { group: DEADLINE, name: "interval", value: "DURATION", help: "from one probe to the next (default {})" },
    Opt { group: DEADLINE, name: "count", value: "N", help: "unanswered probes until it is dropped (default {})" },
    Opt {
        group: DEADLINE,
        name: "user-timeout",
        value: "DURATION",
        help: "data unacked: auto (default), sliding, off, 4500ms",
    },
    Opt { group: HEARTBEATS, name: "heartbeat", value: "DURATION", help: "silence before a PING is sent (default {})" },
    Opt { group: HEARTBEATS, name: "heartbeat-timeout", value: "TIME", help: "time to answer it (default {})" },
    Opt {
        group: HEARTBEATS,
        name: "expect",
        value: "DURATION",
        help: "drop a peer that sends nothing for this long (off)",
    },
    Opt {
        group: HEARTBEATS,
        name: "max-per-address",
        value: "N",
        help: "peers from one IPv4 address or one IPv6 /64 (off)",
    },
    Opt {
        group: HEARTBEATS,
        name: "max-output",
        value: "BYTES",
        help: "output that may wait for one peer (default {}K)",
    },
    Opt {
        group: HEARTBEATS,
        name: "max-memory",
        value: "BYTES",
        help: "output that may wait in all (a quarter of memory)",
    },
    Opt {
        group: HEARTBEATS,
        name: "stalled",
        value: "DURATION",
        help: "drop a peer whose output is stuck this long (off)",
    },
    Opt { group: HEARTBEATS, name: "when-full", value: "HOW", help: "wait (default), refuse or evict-oldest-idle" },
];

/// The defaults that the help prints.
pub(super) fn preset(name: &str) -> Preset {
    let (keepalive, beats) = (Keepalive::default(), Beats::default());
    match name {
        "backlog" => Preset::Number(ServeSettings::BACKLOG as usize),
        "grace" => Preset::Time(ServeSettings::GRACE),
        "deadline" => Preset::Time(keepalive.deadline()),
        "idle" => Preset::Time(keepalive.idle()),
        "interval" => Preset::Time(keepalive.interval()),
        "count" => Preset::Number(keepalive.count() as usize),
        "heartbeat" => Preset::Time(beats.after),
        "heartbeat-timeout" => Preset::Time(beats.timeout),
        "max-output" => Preset::Number(Limits::default().max_output() >> 10),
        _ => Preset::None,
    }
}

/// More peers than memory holds.
const MOST_PEERS: usize = 1_000_000_000;

/// Checks what was given, and fills in the defaults.
pub(super) fn settings(given: &Given) -> Result<ServeSettings, Usage> {
    let default = ServeSettings::default();
    let service = match given.text("service") {
        None => default.service,
        Some(name) => match ServiceName::ALL.into_iter().find(|service| service.name() == name) {
            Some(service) => service,
            None => return Err(given.complaint("service", "it must be echo, discard or heartbeat")),
        },
    };
    let log = match given.text("log").map(str::parse::<Levels>) {
        None => default.log,
        Some(Ok(levels)) => levels,
        Some(Err(_)) => {
            let because =
                "it must be off, error, warn, info, debug or trace; for one module: info,stillthere::reactor=trace";
            return Err(given.complaint("log", because));
        }
    };
    Ok(ServeSettings {
        places: places(&given.words, default.places)?,
        #[cfg(feature = "notify")]
        are_places_given: !given.words.is_empty(),
        keepalive: keepalive(given, Keepalive::default())?,
        backlog: given.number("backlog", 1, i32::MAX as u32)?.unwrap_or(default.backlog),
        reuse_port: given.switch("reuse-port")?,
        max_connections: given.number("max-connections", 1, MOST_PEERS)?,
        service,
        heartbeat: beats(given, service, default.heartbeat)?,
        expect: waiting_time(given, "expect")?,
        limits: limits(given, default.limits)?,
        max_per_address: given.number("max-per-address", 1, MOST_PEERS)?,
        max_memory: max_memory(given)?,
        grace: given.duration("grace")?.unwrap_or(default.grace),
        #[cfg(all(feature = "notify", feature = "upgrade"))]
        keeps_peers: given.switch("keep-peers-over-restart")?,
        #[cfg(feature = "notify")]
        log_format: log_format(given)?,
        #[cfg(feature = "upgrade")]
        drain: match given.text("drain") {
            Some("off") => Duration::ZERO,
            _ => given.duration("drain")?.unwrap_or(default.drain),
        },
        log,
        #[cfg(feature = "sandbox")]
        user: user(given)?,
        #[cfg(feature = "sandbox")]
        sandbox: given.switch("sandbox")?,
        #[cfg(feature = "admin")]
        admin: admin(given)?,
        #[cfg(feature = "events")]
        events: events(given)?,
        #[cfg(feature = "config")]
        configuration: None,
        #[cfg(feature = "config")]
        profile: None,
    })
}

/// Who the server becomes.
#[cfg(feature = "sandbox")]
fn user(given: &Given) -> Result<Option<String>, Usage> {
    let Some(text) = given.text("user") else { return Ok(None) };
    User::check(text).map_err(|because| given.complaint("user", because))?;
    Ok(Some(text.to_string()))
}

/// How a line of the log looks.
#[cfg(feature = "notify")]
fn log_format(given: &Given) -> Result<LogFormat, Usage> {
    match given.text("log-format") {
        None | Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        Some(_) => Err(given.complaint("log-format", "it must be text or json")),
    }
}

/// The admin port. In the environment a token may be set for the whole machine.
#[cfg(feature = "admin")]
fn admin(given: &Given) -> Result<AdminSettings, Usage> {
    let complaint = |because: String| given.complaint("admin", because);
    let place = given.text("admin").map(|text| text.parse().map_err(complaint)).transpose()?;
    if let (None, Some(name)) = (&place, given.on_command_line(&["admin-token-file"])) {
        return Err(given.complaint(name, "it goes with --admin ADDR:PORT"));
    }
    let settings = AdminSettings { place, token_file: given.text("admin-token-file").map(PathBuf::from) };
    settings.check().map_err(complaint)?;
    Ok(settings)
}

/// Where the events go.
#[cfg(feature = "events")]
fn events(given: &Given) -> Result<Option<EventsTo>, Usage> {
    given
        .text("events")
        .map(|text| text.parse().map_err(|because: String| given.complaint("events", because)))
        .transpose()
}

fn beats(given: &Given, service: ServiceName, default: Beats) -> Result<Beats, Usage> {
    let names = ["heartbeat", "heartbeat-timeout"];
    // In the environment they may be set for the whole machine.
    match given.on_command_line(&names) {
        Some(name) if service != ServiceName::Heartbeat => {
            let because = "it goes with --service heartbeat; --expect goes with any service";
            return Err(given.complaint(name, because));
        }
        _ => {}
    }
    Ok(Beats {
        after: waiting_time(given, names[0])?.unwrap_or(default.after),
        timeout: waiting_time(given, names[1])?.unwrap_or(default.timeout),
    })
}

fn limits(given: &Given, default: Limits) -> Result<Limits, Usage> {
    let when_full = match given.text("when-full") {
        None => default.when_full(),
        Some("wait") => WhenFull::Wait,
        Some("refuse") => WhenFull::Refuse,
        Some("evict-oldest-idle") => WhenFull::EvictOldestIdle,
        Some(_) => return Err(given.complaint("when-full", "it must be wait, refuse or evict-oldest-idle")),
    };
    let refused = |unfit: Unfit| given.complaint(unfit.setting, unfit.because);
    // A value that is not a number of bytes gets the same error as one that is too small.
    let max_output = given.text("max-output").map_or(default.max_output(), |text| bytes(text).unwrap_or(0));
    let stalled = match given.text("stalled") {
        Some("off") => None,
        _ => given.duration("stalled")?,
    };
    let limits = default.with_when_full(when_full).with_max_output(max_output).map_err(refused)?;
    limits.with_stalled(stalled).map_err(refused)
}

fn max_memory(given: &Given) -> Result<Option<usize>, Usage> {
    let wrong = || given.complaint("max-memory", "it must be 1M or more: bytes, or with K, M or G behind them");
    given.text("max-memory").map(|text| bytes(text).filter(|bytes| *bytes >= 1 << 20).ok_or_else(wrong)).transpose()
}

/// 65536, 64K, 1M or 2G.
fn bytes(text: &str) -> Option<usize> {
    let unit = text.bytes().last().and_then(|last| b"KMG".iter().position(|unit| *unit == last.to_ascii_uppercase()));
    let (number, shift) = unit.map_or((text, 0), |nth| (&text[..text.len() - 1], 10 * (nth + 1)));
    number.trim_end().parse::<usize>().ok()?.checked_mul(1 << shift)
}

/// A time that the loop measures, and not the kernel.
fn waiting_time(given: &Given, name: &'static str) -> Result<Option<Duration>, Usage> {
    let time = given.duration(name)?.map(|time| checked(name, time)).transpose();
    time.map_err(|unfit| given.complaint(name, unfit.because))
}

fn places(words: &[String], default: Vec<Place>) -> Result<Vec<Place>, Usage> {
    if words.is_empty() {
        return Ok(default);
    }
    words.iter().map(|word| place(word)).collect()
}

/// Reads an address and a port, or a name and a port.
pub(super) fn place(word: &str) -> Result<Place, Usage> {
    Place::read(word).map_err(Usage)
}

/// Reads the four settings and the user timeout; what was not given is as in `default`.
pub(super) fn keepalive(given: &Given, default: Keepalive) -> Result<Keepalive, Usage> {
    let names = ["deadline", "idle", "interval", "count"];
    let chosen = given.command_line_first(&names);
    match names[1..].iter().find(|name| chosen.has(name)) {
        Some(other) if chosen.has("deadline") => {
            let because = format!(
                "--deadline stands for --idle, --interval and --count: give it, or those, but not --{other} too"
            );
            return Err(chosen.complaint("deadline", because));
        }
        _ => {}
    }
    let refused = |unfit: Unfit| given.complaint(unfit.setting, unfit.because);
    let keepalive = match chosen.duration("deadline")? {
        Some(deadline) => Keepalive::with_deadline(deadline).map_err(refused)?,
        None => Keepalive::new(
            chosen.duration("idle")?.unwrap_or(default.idle()),
            chosen.duration("interval")?.unwrap_or(default.interval()),
            chosen.number("count", 1, 127)?.unwrap_or(default.count()),
        )
        .map_err(refused)?,
    };
    keepalive.on_wheel(TimerWheel::of_this_kernel()).with_user_timeout(user_timeout(given)?).map_err(refused)
}

/// Reads `--user-timeout`.
pub(super) fn user_timeout(given: &Given) -> Result<UserTimeout, Usage> {
    match given.text("user-timeout") {
        None => Ok(UserTimeout::default()),
        Some("auto") => Ok(UserTimeout::Auto),
        Some("sliding") => Ok(UserTimeout::Sliding),
        Some("off") => Ok(UserTimeout::Off),
        Some(_) => match given.duration("user-timeout") {
            Ok(duration) => Ok(UserTimeout::Fixed(duration.unwrap_or_default())),
            Err(_) => {
                Err(given.complaint("user-timeout", "it must be auto, sliding, off or a duration such as 4500ms"))
            }
        },
    }
}

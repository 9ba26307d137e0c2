//! What the options of `plan` mean.

use std::time::Duration;

use crate::cli::arguments::{Given, Opt, Preset};
use crate::cli::nearest::nearest;
use crate::cli::{Usage, serve_options};
use crate::keepalive::{Keepalive, TimerWheel};
use crate::plan::{MIDDLEBOXES, Middlebox, Question, Wanted, few_wake_ups};
use crate::seconds::InWords;

const DEADLINE: &str = "Deadline of a silent peer";
const KNOWN: &str = "What is known";
const HEARTBEATS: &str = "Heartbeats, to compare";
const ANSWER: &str = "Answer";

pub(super) const OPTIONS: &[Opt] = &[
    Opt { group: DEADLINE, name: "deadline", value: "DURATION", help: "sets the next three together (default {})" },
    Opt { group: DEADLINE, name: "idle", value: "DURATION", help: "silence before the first probe" },
    Opt { group: DEADLINE, name: "interval", value: "DURATION", help: "from one probe to the next" },
    Opt { group: DEADLINE, name: "count", value: "N", help: "unanswered probes until a peer is dropped" },
    Opt { group: DEADLINE, name: "user-timeout", value: "DURATION", help: "as for `serve`" },
    Opt {
        group: DEADLINE,
        name: "false-drops",
        value: "N/PERIOD",
        help: "or: find the shortest for at most this, 1/year",
    },
    Opt { group: KNOWN, name: "peers", value: "N", help: "number of peers (default {})" },
    Opt { group: KNOWN, name: "loss", value: "SHARE", help: "packet loss in each direction (default {})" },
    Opt { group: KNOWN, name: "rtt", value: "DURATION", help: "the round trip (default {})" },
    Opt { group: KNOWN, name: "burst", value: "DURATION", help: "mean length of a loss burst (default {})" },
    Opt { group: KNOWN, name: "burst-loss", value: "SHARE", help: "loss within a burst (default {})" },
    Opt { group: KNOWN, name: "behind", value: "NAME,...", help: "a middlebox, such as azure-lb; `?` lists them" },
    Opt { group: KNOWN, name: "nat-timeout", value: "DURATION", help: "or: a middlebox that forgets after this long" },
    Opt { group: KNOWN, name: "battery", value: "", help: "peers run on batteries" },
    Opt { group: HEARTBEATS, name: "heartbeat", value: "DURATION", help: "silence before a ping (default: idle)" },
    Opt { group: HEARTBEATS, name: "heartbeat-timeout", value: "TIME", help: "time to answer it (default: the rest)" },
    Opt { group: ANSWER, name: "json", value: "", help: "the answer as JSON" },
    Opt { group: ANSWER, name: "svg", value: "FILE", help: "a figure: false drops and traffic by deadline" },
];

/// The defaults that the help prints.
pub(super) fn preset(name: &str) -> Preset {
    let default = Question::default();
    match name {
        "deadline" => Preset::Time(Keepalive::default().deadline()),
        "peers" => Preset::Number(default.peers as usize),
        "loss" => Preset::Share(default.loss),
        "rtt" => Preset::Time(default.round_trip),
        "burst" => Preset::Time(default.burst),
        "burst-loss" => Preset::Share(default.burst_loss),
        _ => Preset::None,
    }
}

/// Longer than any middlebox's time-out.
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The four options that set the deadline.
const SETTINGS: [&str; 4] = ["deadline", "idle", "interval", "count"];

/// Checks what was given, and fills in the defaults.
pub(super) fn question(given: &Given) -> Result<Question, Usage> {
    if let Some(word) = given.words.first() {
        return Err(Usage(format!(
            "{word:?}: `stillthere plan` takes options only; `stillthere plan --help` lists them"
        )));
    }
    let default = Question::default();
    let round_trip = duration(given, "rtt", default.round_trip)?;
    let burst = duration(given, "burst", default.burst)?;
    if burst < Duration::from_millis(1) {
        return Err(given.complaint("burst", "a burst must last 1ms or longer"));
    }
    if given.text("svg") == Some("") {
        return Err(given.complaint("svg", "it must be the name of a file"));
    }
    let (loss, burst_loss) = (share(given, "loss", default.loss)?, share(given, "burst-loss", default.burst_loss)?);
    if loss >= 1.0 {
        return Err(given.complaint("loss", "a path that loses every packet leaves nothing to plan"));
    }
    if loss >= burst_loss {
        let because = "more must be lost in a burst than on average (--loss)";
        return Err(given.complaint("burst-loss", because));
    }
    let battery = given.switch("battery")?;
    let some = |name| match given.duration(name)? {
        Some(duration) if duration.is_zero() => Err(given.complaint(name, "it must be longer than 0s")),
        duration => Ok(duration),
    };
    Ok(Question {
        wanted: wanted(given, battery, round_trip, burst)?,
        behind: behind(given)?,
        wheel: TimerWheel::of_this_kernel(),
        peers: given.number("peers", 1, 1_000_000_000_000)?.unwrap_or(default.peers),
        loss,
        round_trip,
        burst,
        burst_loss,
        battery,
        heartbeat: some("heartbeat")?,
        heartbeat_timeout: some("heartbeat-timeout")?,
        json: given.switch("json")?,
        svg: given.path("svg"),
    })
}

fn wanted(given: &Given, battery: bool, round_trip: Duration, burst: Duration) -> Result<Wanted, Usage> {
    let chosen = given.command_line_first(&[&SETTINGS[..], &["user-timeout", "false-drops"]].concat());
    if let Some(text) = chosen.text("false-drops") {
        if let Some(other) = SETTINGS.iter().chain(&["user-timeout"]).find(|name| chosen.has(name)) {
            let because = format!("it chooses the deadline and its split: give it, or --{other}");
            return Err(chosen.complaint("false-drops", because));
        }
        let because = "it must be a number per second, minute, hour, day, week, month or year, such as 1/year";
        let budget = text.parse().map_err(|()| chosen.complaint("false-drops", because))?;
        return Ok(Wanted::AtMost(budget));
    }
    let keepalive = serve_options::keepalive(given, Keepalive::default())?;
    let chosen = given.command_line_first(&SETTINGS);
    if SETTINGS[1..].iter().any(|name| chosen.has(name)) {
        return Ok(Wanted::Settings(keepalive));
    }
    let deadline_given = chosen.has("deadline");
    if !battery {
        return Ok(Wanted::Deadline { usual: keepalive, given: deadline_given });
    }
    let guard = serve_options::user_timeout(given)?;
    let split = few_wake_ups(keepalive.deadline(), round_trip, burst)
        .and_then(|split| split.on_wheel(TimerWheel::of_this_kernel()).with_user_timeout(guard));
    let usual = split.map_err(|unfit| given.complaint(unfit.setting, unfit.because))?;
    Ok(Wanted::Deadline { usual, given: deadline_given })
}

/// The middleboxes on the path, the shortest limit first.
fn behind(given: &Given) -> Result<Vec<Middlebox>, Usage> {
    let mut behind = Vec::new();
    let names = given.text("behind").unwrap_or_default();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let Some(one) = Middlebox::named(name) else {
            let nearest = nearest(&name.to_ascii_lowercase(), "", MIDDLEBOXES.iter().map(|one| one.key));
            let all: Vec<String> = MIDDLEBOXES
                .iter()
                .map(|one| format!("  {:<18}{:<32}{}", one.key, one.name, InWords(one.limit)))
                .collect();
            let because = format!(
                "{name:?} is not listed{nearest}\nThese are known, each with its default time-out (for any other: \
                 --nat-timeout):\n{}",
                all.join("\n")
            );
            return Err(given.complaint("behind", because));
        };
        if !behind.contains(&one) {
            behind.push(one);
        }
    }
    if given.has("nat-timeout") {
        match given.duration("nat-timeout")? {
            Some(limit) if limit.is_zero() => return Err(given.complaint("nat-timeout", "it must be longer than 0s")),
            Some(limit) if limit > MONTH => return Err(given.complaint("nat-timeout", "it must be at most 30 days")),
            limit => behind.extend(limit.map(Middlebox::given)),
        }
    }
    behind.sort_by_key(|one| one.limit);
    Ok(behind)
}

fn duration(given: &Given, name: &str, default: Duration) -> Result<Duration, Usage> {
    let duration = given.duration(name)?.unwrap_or(default);
    if duration > Duration::from_secs(24 * 60 * 60) {
        return Err(given.complaint(name, "it must be at most a day"));
    }
    Ok(duration)
}

/// `2%` or `0.02`.
fn share(given: &Given, name: &str, default: f64) -> Result<f64, Usage> {
    let Some(text) = given.text(name) else { return Ok(default) };
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse().map(|percent: f64| percent / 100.0),
        None => text.parse(),
    };
    match share {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(given.complaint(name, "it must be a share such as 2% or 0.02, from 0% to 100%")),
    }
}

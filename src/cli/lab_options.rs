//! What the options of `lab` mean.

use std::time::Duration;

use crate::cli::arguments::{Given, Opt};
use crate::cli::nearest::nearest;
use crate::cli::{Usage, serve_options};
use crate::keepalive::{Keepalive, TimerWheel, UserTimeout};
use crate::lab::cast::language::{Language, bytes};
use crate::lab::cast::preset::PRESETS;
use crate::lab::cast::program::{File, WORDS};
use crate::lab::play::scene::{Fault, NoScene, Scene, State};
use crate::lab::stage::network::Family;
use crate::lab::{LabSettings, MatrixRun, OtherServer, SceneRun, Task, Whose, on_this_kernel};
use crate::seconds::InWords;
use crate::speak::Speak;

const SERVER: &str = "Server under test";
const DEADLINE: &str = "Deadline of a silent peer, the same for every server";
const RUN: &str = "Of `lab run`";
const MATRIX: &str = "Of `lab matrix`";

/// The default for the lab's servers: short enough to watch.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);
/// A living peer is watched for this many deadlines.
const KEPT_FOR: u32 = 4;

pub(super) const OPTIONS: &[Opt] = &[
    Opt { group: SERVER, name: "preset", value: "NAME", help: "one of those below, several with commas, or all" },
    Opt { group: SERVER, name: "server", value: "COMMAND", help: "any server; {addr}, {port} and more are filled in" },
    Opt { group: SERVER, name: "file", value: "NAME=TEMPLATE", help: "writes a file for it; {NAME} is its path" },
    Opt { group: SERVER, name: "name", value: "NAME", help: "" },
    Opt { group: SERVER, name: "start-patience", value: "TIME", help: "its name; time to start listening (10s)" },
    Opt { group: SERVER, name: "speak", value: "NAME", help: SPEAK_HELP },
    Opt { group: SERVER, name: "ask", value: "BYTES", help: "" },
    Opt { group: SERVER, name: "answer", value: "REGEX", help: "or a request and reply of your own: 'NOOP\\r\\n'" },
    Opt { group: SERVER, name: "banner", value: "", help: "" },
    Opt { group: SERVER, name: "ipv6", value: "", help: "the server speaks first; use IPv6 networks" },
    Opt { group: DEADLINE, name: "deadline", value: "DURATION", help: "sets the next three together (default 5s)" },
    Opt { group: DEADLINE, name: "idle", value: "TIME", help: "" },
    Opt { group: DEADLINE, name: "interval", value: "TIME", help: "" },
    Opt { group: DEADLINE, name: "count", value: "N", help: "silence before probes, and the probes" },
    Opt { group: DEADLINE, name: "user-timeout", value: "DURATION", help: "of our own server, as for `serve`" },
    Opt { group: DEADLINE, name: "cap", value: "TIME", help: "" },
    Opt { group: DEADLINE, name: "keep", value: "TIME", help: "how long dead (60s) and living peers are watched" },
    Opt { group: RUN, name: "pcap", value: "FILE", help: "" },
    Opt { group: RUN, name: "svg", value: "FILE", help: "packets for Wireshark; a figure of the timeline" },
    Opt { group: MATRIX, name: "jobs", value: "N", help: "" },
    Opt { group: MATRIX, name: "at-once", value: "N", help: "scenes in parallel (16); set up at once (all)" },
    Opt { group: MATRIX, name: "json", value: "FILE", help: "" },
    Opt { group: MATRIX, name: "html", value: "FILE", help: "" },
    Opt { group: MATRIX, name: "markdown", value: "FILE", help: "the table in three formats" },
];

const SPEAK_HELP: &str = "echo, redis, mqtt, memcached, http, postgres or none";
/// How long a server may take until it listens, by default.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Options that only one of the two commands has.
const ONLY_RUN: [&str; 2] = ["pcap", "svg"];
const ONLY_MATRIX: [&str; 5] = ["jobs", "at-once", "json", "html", "markdown"];

/// Reads `run`, `matrix`, `compare` or `list`, whose options were `given`.
pub(super) fn command(name: &str, given: &Given) -> Result<Task, Usage> {
    // In the environment, options of both commands may be set.
    let misplaced = |options: &[&'static str], other: &str| match given.on_command_line(options) {
        Some(option) => Err(given.complaint(option, format!("it belongs to `stillthere lab {other}`"))),
        None => Ok(()),
    };
    match name {
        "run" => {
            misplaced(&ONLY_MATRIX, "matrix")?;
            let scene = match given.words.as_slice() {
                [one] => one.parse().map_err(no_scene)?,
                [] => {
                    return Err(Usage(
                        "which scene? For instance: stillthere lab run in-flight/black-hole; \
                                        `stillthere lab list` explains them"
                            .to_string(),
                    ));
                }
                [_, more, ..] => return Err(Usage(format!("{more:?}: one scene at a time; `lab matrix` plays many"))),
            };
            let mut whose = whose(given)?;
            if whose.len() != 1 {
                return Err(given.complaint("preset", "one server at a time; `lab matrix` compares many"));
            }
            let path = |name| given.path(name);
            Ok(Task::Run(SceneRun {
                scene,
                whose: whose.remove(0),
                settings: settings(given)?,
                pcap: path("pcap"),
                svg: path("svg"),
            }))
        }
        "matrix" => {
            misplaced(&ONLY_RUN, "run")?;
            let path = |name| given.path(name);
            Ok(Task::Matrix(MatrixRun {
                scenes: scenes(&given.words)?,
                whose: whose(given)?,
                settings: settings(given)?,
                jobs: given.number("jobs", 1, 256)?.unwrap_or(16),
                at_once: given.number("at-once", 1, 256)?.unwrap_or(256),
                json: path("json"),
                html: path("html"),
                markdown: path("markdown"),
            }))
        }
        "compare" => match given.words.as_slice() {
            [] => Err(Usage("which directories? Each must have the files that `lab matrix --json` wrote".to_string())),
            words => Ok(Task::Compare(words.iter().map(Into::into).collect())),
        },
        "list" => match given.words.first() {
            Some(word) => Err(Usage(format!("{word:?}: `stillthere lab list` takes no names"))),
            None => Ok(Task::List),
        },
        other => {
            let nearest = nearest(other, "", ["run", "matrix", "compare", "list", "help"].into_iter());
            Err(Usage(format!("{other:?} is no command of the lab{nearest}; `stillthere lab --help` lists it")))
        }
    }
}

/// The processes that the lab starts for itself: `client` and `textbook`.
pub(super) fn own_process(words: &[String]) -> Option<Task> {
    match words {
        [name, server, speak, keepalive, language] if name == "client" => Some(Task::Client {
            server: server.parse().ok()?,
            speak: speak.parse().ok()?,
            language: Language::from_word(language)?,
            keepalive: keepalive.parse().ok()?,
        }),
        [name, address, idle, interval, count] if name == "textbook" => {
            let seconds = |text: &str| Some(Duration::from_secs(text.parse().ok()?));
            let keepalive = Keepalive::new(seconds(idle)?, seconds(interval)?, count.parse().ok()?).ok()?;
            Some(Task::Textbook {
                address: address.parse().ok()?,
                keepalive: keepalive.with_user_timeout(UserTimeout::Off).ok()?,
            })
        }
        _ => None,
    }
}

/// `idle/black-hole`, or all scenes of a state or of a fault by its name.
fn scenes(words: &[String]) -> Result<Vec<Scene>, Usage> {
    if words.is_empty() {
        return Ok(Scene::all().collect());
    }
    let mut scenes = Vec::new();
    for word in words {
        let named = |scene: &Scene| scene.state.name() == word || scene.fault.name() == word;
        let found = Scene::all().filter(named).collect::<Vec<_>>();
        match found.is_empty() {
            false => scenes.extend(found),
            true if word.contains('/') => scenes.push(word.parse().map_err(no_scene)?),
            true => {
                let names = State::ALL.map(State::name).into_iter().chain(Fault::ALL.map(Fault::name)).collect();
                return Err(no_scene(NoScene { part: "state and no fault", given: word.clone(), names }));
            }
        }
    }
    scenes.sort();
    scenes.dedup();
    Ok(scenes)
}

fn no_scene(missing: NoScene) -> Usage {
    let NoScene { part, given, names } = missing;
    let nearest = nearest(&given, "", names.iter().copied());
    Usage(format!("{given:?} is no {part}{nearest}; `stillthere lab list` explains them: {}", names.join(", ")))
}

/// Options for `--server`; presets define these themselves.
const ONLY_SERVER: [&str; 6] = ["speak", "name", "file", "ask", "answer", "banner"];

fn whose(given: &Given) -> Result<Vec<Whose>, Usage> {
    let chosen = given.command_line_first(&["server", "preset"]);
    if let Some(line) = chosen.text("server") {
        if chosen.has("preset") {
            return Err(given.complaint("server", "give it, or --preset, but not both"));
        }
        return Ok(vec![Whose::OtherServer(server(given, line)?)]);
    }
    // In the environment they may be set for a --server that is not used now.
    if let Some(option) = given.on_command_line(&ONLY_SERVER) {
        return Err(given.complaint(option, "it needs --server; a preset already defines it"));
    }
    let names = presets();
    let one = |name: &str| match names.iter().find(|known| **known == name) {
        Some(&"stillthere") => Ok(Whose::Ours),
        Some(&"textbook") => Ok(Whose::Textbook),
        Some(name) => Ok(Whose::Preset(name)),
        None => {
            let nearest = nearest(name, "", names.iter().copied());
            Err(given
                .complaint("preset", format!("{name:?} is no preset{nearest}; there are {}, or all", names.join(", "))))
        }
    };
    match chosen.text("preset") {
        None => Ok(vec![Whose::Ours]),
        Some("all") => names.iter().map(|name| one(name)).collect(),
        Some(list) => list.split(',').map(|name| one(name.trim())).collect(),
    }
}

fn server(given: &Given, line: &str) -> Result<OtherServer, Usage> {
    let files = given.texts("file").map(|text| file(given, text)).collect::<Result<Vec<_>, _>>()?;
    let texts = || files.iter().map(|file| file.template.as_str()).chain([line]);
    if !texts().any(|text| ["{port}", "{addr}", "{host}"].iter().any(|word| text.contains(word))) {
        let why = "{addr} and {port} must stand for the address and port to listen on, here or in a --file";
        return Err(given.complaint("server", why));
    }
    let names = WORDS.into_iter().chain(files.iter().map(|file| file.name.as_str())).collect::<Vec<_>>();
    for word in texts().flat_map(in_braces).filter(|word| !names.contains(word)) {
        // Braces have other uses, too. A word that is nearly a placeholder is a typing error.
        let nearest = nearest(word, "", names.iter().copied());
        if !nearest.is_empty() {
            return Err(
                given.complaint("server", format!("{{{word}}} is not filled in{nearest}; {}", names.join(", ")))
            );
        }
    }
    let words = given.command_line_first(&["ask", "speak"]);
    let ask = words.verbatim("ask").map(bytes).transpose().map_err(|why| given.complaint("ask", why))?;
    let speak = match (words.text("speak"), &ask) {
        (Some(_), Some(_)) => return Err(given.complaint("ask", "give it, or --speak, but not both")),
        (None, Some(bytes)) if bytes.is_empty() => return Err(given.complaint("ask", "it must not be empty")),
        (None, Some(_)) => Speak::Own,
        (None, None) => Speak::Echo,
        (Some(name), None) => {
            let built_in = name.parse().ok().filter(|speak: &Speak| Speak::BUILT_IN.contains(&speak.name()));
            let why = || format!("it must be one of {}; or use --ask", Speak::BUILT_IN.join(", "));
            built_in.ok_or_else(|| given.complaint("speak", why()))?
        }
    };
    if ask.is_none() && given.on_command_line(&["answer"]).is_some() {
        return Err(given.complaint("answer", "it needs --ask"));
    }
    let answer = given.verbatim("answer").filter(|_| ask.is_some()).unwrap_or_default().to_string();
    let language = Language { ask: ask.unwrap_or_default(), answer, banner: given.switch("banner")? };
    language.pattern().map_err(|why| given.complaint("answer", why))?;
    let name = given.text("name").map(str::to_string);
    if name.as_ref().is_some_and(|name| name.trim().is_empty() || name.contains(['/', '\n'])) {
        return Err(given.complaint("name", "it must be a word without /: files may be named after it"));
    }
    Ok(OtherServer { line: line.to_string(), name, speak, language, files })
}

/// `NAME=TEMPLATE`: the path of a template. It is read now, so that an error is reported before the first scene.
fn file(given: &Given, text: &str) -> Result<File, Usage> {
    let refused = |why: String| given.complaint("file", format!("{text}: {why}"));
    let Some((name, path)) = text.split_once('=') else {
        return Err(refused("it must be a name and the path of a template: vsftpd.conf=./template".to_string()));
    };
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '{', '}']) || WORDS.contains(&name) {
        return Err(refused(format!(
            "{name:?} cannot be its name: it must be no path, and none of {}",
            WORDS.join(", ")
        )));
    }
    let template = std::fs::read_to_string(path).map_err(|error| refused(format!("cannot read {path}: {error}")))?;
    Ok(File { name: name.to_string(), template })
}

/// The words in braces that may be placeholders; variables of the shell, `${HOME}`, are not.
fn in_braces(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.match_indices('{').filter(|(at, _)| !text[..*at].ends_with('$'));
    let words = parts.filter_map(|(at, _)| text[at + 1..].split_once('}').map(|(word, _)| word));
    words.filter(|word| {
        word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    })
}

/// The names that `--preset` takes.
pub(super) fn presets() -> Vec<&'static str> {
    ["stillthere", "textbook"].into_iter().chain(PRESETS.iter().map(|preset| preset.name)).collect()
}

fn settings(given: &Given) -> Result<LabSettings, Usage> {
    let names = ["deadline", "idle", "interval", "count"];
    let chosen = given.command_line_first(&names);
    let default = Keepalive::with_deadline(DEFAULT_DEADLINE).unwrap_or_default();
    let keepalive = on_this_kernel(serve_options::keepalive(given, default)?);
    let option = |name: &str, value: &str| [format!("--{name}"), value.to_string()];
    let mut options = Vec::new();
    for name in names.iter().chain(&["user-timeout"]) {
        let text = if *name == "user-timeout" { given.text(name) } else { chosen.text(name) };
        options.extend(text.map(|text| option(name, text)).into_iter().flatten());
    }
    if names.iter().all(|name| !chosen.has(name)) {
        options.extend(option("deadline", &InWords(DEFAULT_DEADLINE).to_string()));
    }
    options.extend(option("log", "debug,stillthere::reactor::connection=trace"));
    Ok(LabSettings {
        options,
        wheel: TimerWheel::of_this_kernel(),
        cap: given.duration("cap")?.unwrap_or(Duration::from_secs(60)),
        keep: given.duration("keep")?.unwrap_or(keepalive.deadline() * KEPT_FOR),
        keepalive,
        start_patience: given.duration("start-patience")?.unwrap_or(START_PATIENCE),
        family: if given.switch("ipv6")? { Family::V6 } else { Family::V4 },
    })
}

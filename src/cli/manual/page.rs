//! stillthere(1), in mdoc(7).
//!
//! Owns the sections that are about the program as a whole. Of commands and options it knows what `commands.rs` and the tables say.

use super::choices::{Choices, choices};
use super::commands::Described;
use super::details::details;
use super::mdoc::{argument, text};
use super::together;
use crate::cli::arguments::{PREFIX, SHARED};
use crate::reactor::Departure;

/// When the sections below were last changed by hand.
const DATE: &str = "November 26, 2026";

const SIGNALS: &[(&str, &str)] = &[
    (
        "SIGTERM, SIGINT",
        "Stop: no newcomer is accepted, output drains within `--grace`, and the exit code is 0. \
         A second one ends the server at once, with exit code 1.",
    ),
    (
        "SIGHUP",
        "Take over what can be changed in a running server: the file of `--events` is opened anew, and the file of \
         `--config` is read again. \
         The log says what changed, and what needs SIGUSR2. \
         Nobody is disconnected.",
    ),
    ("SIGUSR1", "Log a line of figures."),
    (
        "SIGUSR2",
        "Upgrade: after a rehearsal, the program that now lies at the same path takes over in the same process, with \
         every peer, its unsent output and its deadline. \
         Where the rehearsal does not succeed, the log says why, and nobody leaves.",
    ),
    ("SIGQUIT, SIGALRM and the like", "Logged, and otherwise ignored."),
];

const EXAMPLES: &[(&str, &str)] = &[
    (
        "A server on all addresses, whose silent peers are gone after ten seconds:",
        "stillthere serve '[::]:7007' --deadline 10s",
    ),
    (
        "The same, with a page, metrics and a file of events:",
        "stillthere serve '[::]:7007' --deadline 10s --admin 127.0.0.1:7070 --events events.jsonl",
    ),
    ("Who has been silent longest:", "stillthere who --sort silence"),
    (
        "The shortest deadline that drops at most one living peer a year:",
        "stillthere plan --false-drops 1/year --peers 100000 --loss 2% --rtt 200ms",
    ),
    ("A cable is cut while an answer is on its way:", "stillthere lab run in-flight/black-hole"),
    ("Ten thousand connections to any server:", "stillthere load 192.0.2.1:6379 --speak redis --connections 10000"),
    ("A new version, without losing a peer:", "stillthere upgrade"),
];

const FILES: &[(&str, &str)] = &[
    ("/etc/stillthere.conf", "The configuration of the packaged service, for `--config`."),
    ("/etc/default/stillthere", "Its environment, such as `STILLTHERE_LISTEN=[::]:7007`."),
    ("/proc/sys/net/core/somaxconn", "The most that `--backlog` can be."),
    ("/proc/sys/fs/nr_open", "The most that the descriptor limit can be raised to."),
    (
        "/proc/sys/net/ipv4/tcp_retries2",
        "Where it is low, the kernel gives up a peer before the deadline; the log says so.",
    ),
];

pub(super) fn page(commands: &[Described]) -> String {
    let mut page = String::new();
    page += ".\\\" Made from the tables of options by `make manual`: changes to this file are lost.\n";
    page += &format!(".Dd {DATE}\n.Dt STILLTHERE 1\n.Os\n.Sh NAME\n.Nm stillthere\n");
    page += ".Nd TCP server that always knows who is still there\n.Sh SYNOPSIS\n";
    for command in commands {
        page += &format!(".Nm\n.Cm {}\n", command.name);
        page += &format!(".Ar {}\n", argument(command.words));
    }
    page += ".Nm\n.Op Ar command\n.Fl -help | Fl -version\n.Sh DESCRIPTION\n";
    page += &text(
        "TCP does not report that a cable was pulled. \
         `stillthere serve` asks, and lets go of a dead peer at the deadline that is set, whatever state its connection is in. \
         One thread serves all peers, and makes no system call while nothing happens.",
    );
    page += ".Pp\n";
    page += &text(
        "An option may be written `--name value` or `--name=value`, before or after other words. \
         A switch may be given a value, too: `--reuse-port=no`. \
         A duration is `500ms`, `5s`, `2m` or `1h`, or several of them: `1m 30s`. \
         A number of bytes may end in `K`, `M` or `G`.",
    );
    for command in commands {
        page += &format!(".Ss {}\n", command.name);
        for (nth, paragraph) in command.prose.iter().enumerate() {
            page += if nth > 0 { ".Pp\n" } else { "" };
            page += &text(paragraph);
        }
        page += &options(command);
    }
    page += ".Sh SIGNALS\n";
    page += &text("Those that `stillthere serve` heeds:");
    page += &list(SIGNALS.iter().map(|(name, words)| (argument(name), *words)), "");
    page += &environment(commands);
    page += ".Sh FILES\n";
    page += &list(FILES.iter().map(|(name, words)| (argument(name), *words)), "Pa ");
    page += ".Sh EXIT STATUS\n";
    page += &list(
        [
            ("0", "It did what it was asked to."),
            (
                "1",
                "It could not. \
                 `serve`: could not run, or was told to stop at once. \
                 `who` and `drop`: no such peer, or no answer. \
                 `upgrade`: it is refused, or no answer. \
                 `load`: a failure, a request that was left unanswered, or a condition of `--fail-if` that was true. \
                 `lab`: a promise that was broken, or a scene that was not played.",
            ),
            ("2", "The arguments make no sense; the message says which and what would."),
        ]
        .map(|(name, words)| (argument(name), words)),
        "",
    );
    page += ".Sh EXAMPLES\n";
    for (nth, (words, line)) in EXAMPLES.iter().enumerate() {
        page += if nth > 0 { ".Pp\n" } else { "" };
        page += &text(words);
        page += &format!(".Dl {}\n", line.replace('\\', "\\e").replace('-', "\\-"));
    }
    page += &diagnostics();
    page += ".Sh SEE ALSO\n.Xr systemctl 1 ,\n.Xr tcp 7 ,\n.Xr ss 8\n.Pp\n";
    page += &text(
        "`docs/operate.md` in the source, `/usr/share/doc/stillthere/operate.md` in the Debian package, says how to size, watch and upgrade a server, and what each line of its log means.",
    );
    page += ".Sh STANDARDS\n";
    page += &text(
        "RFC 9293, section 3.8.4 (keepalive, which sends no probes while data are unacknowledged or the window is shut). \
         RFC 5482 (the user timeout).",
    );
    page
}

/// The options of a command, group by group.
fn options(command: &Described) -> String {
    let mut page = String::new();
    let mut group = "";
    for option in command.options {
        if page.is_empty() || option.group != group {
            page += if page.is_empty() { "" } else { ".El\n" };
            group = option.group;
            if !group.is_empty() {
                page += ".Pp\n";
                page += &text(&format!("{group}:"));
            }
            page += ".Bl -tag -width Ds\n";
        }
        page += &format!(".It Fl -{}", option.name);
        page += &if option.value.is_empty() { "\n".into() } else { format!(" Ar {}\n", argument(option.value)) };
        // Where the help describes several in one line, each has words of its own.
        let is_alone = together(command).iter().any(|some| some.len() == 1 && some[0].name == option.name);
        let mut words = if is_alone { command.words_of(option) } else { command.short(option) };
        words.push('.');
        if let Some(more) = details(command.name, option.name) {
            words += &format!(" {more}");
        }
        if let Choices::SomeOf(names) = choices(command, option) {
            words += &format!(" There are `{}`.", names.join("`, `"));
        }
        page += &text(&words);
    }
    page + if command.options.is_empty() { "" } else { ".El\n" }
}

fn environment(commands: &[Described]) -> String {
    let all = commands.iter().map(|command| command.name.to_ascii_uppercase());
    let all: Vec<String> = all.map(|name| format!("`{PREFIX}{name}_OPTION`")).collect();
    let (last, others) = all.split_last().expect("there are commands");
    let mut page = String::from(".Sh ENVIRONMENT\n");
    page += &text(
        "Each option may be set by a variable, too. \
         The command line takes precedence over the environment, and both over the file of `--config`. \
         An empty variable counts as not set, and a misspelt one causes a warning.",
    );
    let shared: Vec<String> = SHARED.iter().map(|name| format!("`--{name}`")).collect();
    let of_option = format!(
        "An option of `serve`, in capitals and with `_` for `-`: `STILLTHERE_GRACE=500ms`. \
         Other commands take {} from there, where they have them.",
        shared.join(", ")
    );
    let items: Vec<(String, String)> = vec![
        (argument("STILLTHERE_OPTION"), of_option),
        (
            argument("STILLTHERE_COMMAND_OPTION"),
            format!(
                "An option of one command: {} or {last}. It takes precedence over the one above.",
                others.join(", ")
            ),
        ),
        (
            argument("STILLTHERE_LISTEN"),
            "The addresses of `serve`, with blanks between them, if none are on the command line.".to_string(),
        ),
        (argument("NO_COLOR"), "If it is not empty, `top` uses no colours.".to_string()),
        (
            argument("LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES"),
            "Sockets that systemd opened: `serve` listens on them.".to_string(),
        ),
        (
            argument("NOTIFY_SOCKET, WATCHDOG_USEC"),
            "Where `serve` says that it is ready, and how often systemd wants to hear from it.".to_string(),
        ),
    ];
    page + &list(items.iter().map(|(name, words)| (name.clone(), words.as_str())), "Ev ")
}

/// The reasons, as the log and as the events have them.
fn diagnostics() -> String {
    let mut page = String::from(".Sh DIAGNOSTICS\n");
    page += &text(
        "Each peer departs once, with one reason: \
         in the words of the log (`--log debug`), or as the one word of the events, the metrics and the admin port.",
    );
    page += ".Pp\n.Bl -tag -width \"too_many_from_address\" -compact\n";
    for (word, label) in Departure::WORDS.iter().zip(Departure::LABELS) {
        page += &format!(".It {}\n{}", argument(word), text(label));
    }
    page + ".El\n"
}

fn list<'a>(items: impl IntoIterator<Item = (String, &'a str)>, role: &str) -> String {
    let mut page = String::from(".Bl -tag -width Ds\n");
    for (head, words) in items {
        page += &format!(".It {role}{head}\n{}", text(words));
    }
    page + ".El\n"
}

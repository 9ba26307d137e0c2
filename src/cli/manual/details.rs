//! More about an option than fits into a line of the help.
//!
//! The man page prints it after that line. An option without an entry has the line alone, so a new option needs nothing here.

use super::commands::commands;

/// What a completion shows beside an option that shares its line of the help with others.
pub(super) const SHORT: &[(&str, &str, &str)] = &[
    ("lab", "name", "the name of the server in reports"),
    ("lab", "start-patience", "time for it to start listening (10s)"),
    ("lab", "ask", "the bytes of a question, such as 'PING\\r\\n'"),
    ("lab", "answer", "a regular expression for its answer"),
    ("lab", "banner", "the server speaks first"),
    ("lab", "ipv6", "use IPv6 networks"),
    ("lab", "idle", "silence before the first probe"),
    ("lab", "interval", "from one probe to the next"),
    ("lab", "count", "unanswered probes until a peer is dropped"),
    ("lab", "cap", "how long a dead peer is watched (60s)"),
    ("lab", "keep", "how long a living peer is watched"),
    ("lab", "pcap", "the packets, for Wireshark"),
    ("lab", "svg", "a figure of the timeline"),
    ("lab", "jobs", "scenes in parallel (16)"),
    ("lab", "at-once", "networks that are set up at once (all)"),
    ("lab", "json", "the matrix as JSON"),
    ("lab", "html", "the matrix as a page"),
    ("lab", "markdown", "the matrix as Markdown"),
    ("serve", "admin", "ADDR:PORT or unix:PATH for who is there, and metrics"),
    ("serve", "admin-token-file", "the token that the admin port wants"),
];

/// Sentences after the line of the help.
pub(super) const DETAILS: &[(&str, &str, &str)] = &[
    (
        "serve",
        "service",
        "`echo` sends back what it gets. \
         `discard` reads and forgets. \
         `heartbeat` sends a silent peer the line PING and a number, and takes whatever comes back for a sign of life.",
    ),
    (
        "serve",
        "config",
        "One option a line, without dashes: `deadline 30s`; and where to listen: `listen [::]:7007`. \
         `#` begins a comment. \
         The environment and the command line take precedence over the file.",
    ),
    ("serve", "check", "The exit code is 0 if nothing is wrong; else each mistake is told with its file and line."),
    (
        "serve",
        "profile",
        "One word for several options, each of which may be given besides, and then holds instead; the log says which.",
    ),
    ("serve", "backlog", "`net.core.somaxconn` cuts it; the log says so."),
    (
        "serve",
        "max-connections",
        "The descriptor limit is raised as far as it goes: to the hard limit, and to `fs.nr_open` where that allows more. \
         Some descriptors are kept back for other purposes.",
    ),
    (
        "serve",
        "reuse-port",
        "SO_REUSEPORT: the kernel spreads newcomers over the processes that listen on the same address.",
    ),
    ("serve", "grace", "After this time what is still connected is cut off. A second SIGTERM does so at once."),
    (
        "serve",
        "user",
        "Everything is opened as root first: ports below 1024, the file of the token, the configuration. \
         Then root's rights are given up for good.",
    ),
    (
        "serve",
        "sandbox",
        "By Landlock: no file, and no TCP port to listen on or to connect to, but those that the settings name. \
         What is forbidden stays so over upgrades. \
         The log says what is still allowed, and what this kernel cannot forbid.",
    ),
    (
        "serve",
        "log-format",
        "Where standard error is the journal of systemd, lines of text begin with their priority, such as `<6>`.",
    ),
    (
        "serve",
        "keep-peers-over-restart",
        "The next start goes on with all of them. \
         Off by default, because SIGTERM cannot tell a restart from a stop.",
    ),
    ("who", "quiet", "For the health check of a container."),
    ("serve", "drain", "So the next server is not flooded by all of them at once. `/readyz` says no meanwhile."),
    (
        "serve",
        "user",
        "Root becomes this user for good when its ports and files are open. \
         With a group, it has that one alone; without, all groups of the user. \
         They are looked up in /etc/passwd and /etc/group, or given by numbers.",
    ),
    (
        "serve",
        "sandbox",
        "Landlock forbids every file, program and TCP port that the settings do not name, for good and over every upgrade. \
         Give the configuration, the events and the admin socket folders of their own.",
    ),
    (
        "serve",
        "log",
        "`debug` logs each arrival and departure, `trace` each step of the loop. \
         `info,stillthere::reactor=trace` sets another level for one module. \
         No line of the log can block the server: what standard error does not take is left out and counted.",
    ),
    (
        "serve",
        "admin",
        "The admin port: HTTP on a loopback address or a unix socket (mode 0660), or on any other address together with \
         `--admin-token-file`. \
         `/` is a page, `/metrics` is for Prometheus, `/healthz` and `/readyz` are for supervisors. \
         `who`, `drop` and `top` ask it.",
    ),
    (
        "serve",
        "admin-token-file",
        "A word of 16 characters or more, which clients send as `Authorization: Bearer WORD`.",
    ),
    (
        "serve",
        "events",
        "Each arrival and departure as a line of JSON. \
         A reader that is slow, stuck or gone holds up nobody; what it misses is counted and told in its place. \
         SIGHUP opens a file anew.",
    ),
    (
        "serve",
        "deadline",
        "Together they are idle + interval \u{d7} count. \
         It is given alone, or the three are. \
         From `3s` on, in whole seconds.",
    ),
    ("serve", "interval", "More than `--idle` is allowed, and causes a warning."),
    (
        "serve",
        "user-timeout",
        "`auto` and `sliding` keep the deadline while output is outstanding without dropping a living peer that keeps its \
         window shut. \
         `off` leaves it to the kernel, which takes a quarter of an hour. \
         A duration sets TCP_USER_TIMEOUT, as other servers do, and drops living peers that read slowly.",
    ),
    ("serve", "expect", "For any service: it is the program of the peer that has to speak, and not its kernel."),
    (
        "serve",
        "max-per-address",
        "A newcomer beyond it is refused with a reset; its departure has the reason `too_many_from_address`.",
    ),
    (
        "serve",
        "max-memory",
        "Near it less is read at once; then the peers with the largest outboxes are let go (`memory_limit`). \
         By default it is a quarter of what the machine, the control group or the process's own limits allow.",
    ),
    (
        "serve",
        "when-full",
        "What becomes of a newcomer when there are as many peers as are allowed: it waits in the backlog, is refused, or \
         takes the place of the peer that has been idle longest.",
    ),
    ("lab", "server", "A command line that runs in the foreground, without a shell."),
    ("plan", "behind", "`--behind ?` says how soon each forgets a silent connection."),
    ("plan", "battery", "Chooses settings with few wake-ups."),
    ("load", "fail-if", "Given again, conditions add up."),
];

/// The sentences of an option, if there are any.
pub(super) fn details(command: &str, name: &str) -> Option<&'static str> {
    DETAILS.iter().find(|(of, known, _)| *of == command && *known == name).map(|(.., words)| *words)
}

/// Words for an option that there is no longer would be lost.
#[test]
fn words_are_about_options_that_exist() {
    let commands = commands();
    for (of, name, _) in SHORT.iter().chain(DETAILS) {
        let command = commands.iter().find(|command| command.name == *of);
        let is_there = command.is_some_and(|command| command.options.iter().any(|option| option.name == *name));
        assert!(is_there, "src/cli/manual/details.rs describes {of} --{name}, which does not exist");
    }
}

/// What shares a line of the help needs words of its own in a completion.
#[test]
fn options_that_share_a_line_have_words_of_their_own() {
    for command in commands() {
        for some in super::together(&command).iter().filter(|some| some.len() > 1) {
            for option in some {
                let is_there = SHORT.iter().any(|(of, name, _)| *of == command.name && *name == option.name);
                assert!(is_there, "{} --{} has no words of its own in details.rs", command.name, option.name);
            }
        }
    }
}

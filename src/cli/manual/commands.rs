//! What the man page and the completions say of each command, beside its options.
//!
//! Owns prose. The options come from the tables.

use super::details::SHORT;
use crate::cli::arguments::{Opt, Preset};
use crate::cli::{self, ask_options, help, load_options, plan_options, serve_options};
use crate::lab::play::scene::{Fault, State};

/// A command, for somebody who reads about it.
pub(super) struct Described {
    pub name: &'static str,
    /// What stands after its name, as the usage of the help has it.
    pub words: &'static str,
    /// A few words: the completions show them beside the name.
    pub summary: &'static str,
    /// Paragraphs.
    pub prose: &'static [&'static str],
    /// A command line that is complete without options.
    pub example: &'static str,
    pub offered: Offered,
    pub options: &'static [Opt],
    pub preset: fn(&str) -> Preset,
}

/// What a shell offers in place of words that are not options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    Nothing,
    /// The ids of the peers that the server has now.
    Ids,
    /// First one of these, with a few words on each; then one of the last list, where the word before allows it.
    Lab {
        first: Vec<(&'static str, &'static str)>,
        scenes: Vec<String>,
    },
}

impl Described {
    /// The line of the help, with the default filled in.
    pub(super) fn words_of(&self, option: &Opt) -> String {
        let (before, preset, after) = help::words(option, self.preset);
        format!("{before}{preset}{after}")
    }

    /// What a completion shows beside an option: its own words, also where the help describes several together.
    pub(super) fn short(&self, option: &Opt) -> String {
        if let Some((.., words)) = SHORT.iter().find(|(command, name, _)| *command == self.name && *name == option.name)
        {
            return words.to_string();
        }
        let all = super::together(self);
        let some = all.iter().find(|some| some.iter().any(|one| one.name == option.name)).expect("each is in one");
        self.words_of(some.last().expect("each has one"))
    }
}

/// In the order of the help.
pub(super) fn commands() -> Vec<Described> {
    let mut all = Vec::new();
    all.push(Described {
        name: "serve",
        words: "[ADDR:PORT ...] [options]",
        summary: "run the server",
        prose: &[
            "Listens on each address, `127.0.0.1:7007` if none is given, until SIGTERM. \
             `[::]:7007` accepts IPv4 peers as well, unless an IPv4 address with the same port is given, too. \
             A name is resolved once, at the start, and each of its addresses is listened on. \
             `[fe80::1%eth0]:7007` names the interface.",
            "A peer that falls silent is gone at the deadline, in every state of TCP: \
             idle, with data unacknowledged, with its window shut. \
             The first lines of the log say what the deadline means on this kernel, as an interval.",
        ],
        example: "serve",
        offered: Offered::Nothing,
        options: cli::SERVE.own,
        preset: serve_options::preset,
    });
    all.push(Described {
        name: "who",
        words: "[ID] [options]",
        summary: "list the peers of a server, or one in full",
        prose: &["Asks the admin port of a server (`serve --admin`). \
             SILENT is the time since the last sign of life, and the deadline. \
             UNACKED are bytes that the peer has not acknowledged. \
             `-` stands where the kernel has no figure. \
             How many peers there are goes to standard error."],
        example: "who",
        offered: Offered::Ids,
        options: cli::WHO.own,
        preset: ask_options::preset,
    });
    all.push(Described {
        name: "drop",
        words: "ID ... [options]",
        summary: "have a server let peers go",
        prose: &["`stillthere who` prints the ids; none is ever used again. \
             What a peer has not acknowledged is lost. \
             Its departure has the reason `by_service`, `by the operator`."],
        example: "drop 3f-2a",
        offered: Offered::Ids,
        options: cli::DROP.own,
        preset: ask_options::preset,
    });
    all.push(Described {
        name: "upgrade",
        words: "[options]",
        summary: "have a server run its new program, and keep its peers",
        prose: &["Asks the admin port of a server for what SIGUSR2 asks for, and waits until the new program serves, or says why it was \
             refused. The exit code tells which."],
        example: "upgrade",
        offered: Offered::Nothing,
        options: cli::UPGRADE.own,
        preset: ask_options::preset,
    });
    all.push(Described {
        name: "top",
        words: "[options]",
        summary: "watch the peers of a server in a terminal",
        prose: &["A live table. `?` lists the keys, `q` quits. If the server goes, it is waited for."],
        example: "top",
        offered: Offered::Nothing,
        options: cli::TOP.own,
        preset: ask_options::preset,
    });
    all.push(Described {
        name: "load",
        words: "ADDR:PORT [options]",
        summary: "open very many connections to any TCP server",
        prose: &[
            "Opens connections, holds them, sends requests over some of them, verifies each byte that comes back, \
             and reports percentiles, memory and CPU time. \
             Ctrl-C prints the report so far.",
            "Figures of `--fail-if`: pN, mean, max; connect-pN, lateness-pN and so on; errors, connected, held, lost, \
             unanswered, exchanges, rate, connect-rate, bytes-a-peer, cpu.",
        ],
        example: "load 127.0.0.1:7007",
        offered: Offered::Nothing,
        options: cli::LOAD.own,
        preset: load_options::preset,
    });
    all.push(Described {
        name: "lab",
        words: "run STATE/FAULT | matrix [STATE|FAULT|STATE/FAULT ...] | list | compare DIRECTORY ... [options]",
        summary: "cut the cable, see what happens",
        prose: &[
            "Builds a client, a router and a server from network namespaces, brings a connection into a state, breaks \
             something, and prints each packet as it passes. \
             It needs root, or a kernel that allows user namespaces, and touches no network of the machine.",
            "`run` plays one scene, `matrix` many at once, `list` explains the states and the faults, and `compare` shows \
             what differs between the matrices of two or more directories.",
        ],
        example: "lab matrix",
        offered: Offered::Lab {
            first: vec![
                ("run", "play a scene and print each packet"),
                ("matrix", "play all scenes, or these"),
                ("list", "explain the states and the faults"),
                ("compare", "compare matrices"),
            ],
            scenes: State::ALL
                .iter()
                .flat_map(|state| Fault::ALL.iter().map(|fault| format!("{}/{}", state.name(), fault.name())))
                .collect(),
        },
        options: cli::LAB.own,
        preset: |_| Preset::None,
    });
    all.push(Described {
        name: "plan",
        words: "[options]",
        summary: "what a deadline costs and risks",
        prose: &["Computes how much traffic a deadline costs, and how many living peers it drops when the path loses \
             packets; or, with `--false-drops`, the shortest deadline that stays within a budget. \
             Nothing is sent."],
        example: "plan",
        offered: Offered::Nothing,
        options: cli::PLAN.own,
        preset: plan_options::preset,
    });
    all
}

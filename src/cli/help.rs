//! What `--help` prints.

use std::fmt::Write;

use crate::cli::arguments::{Opt, Preset};
use crate::place::Place;

#[cfg(any(feature = "config", feature = "notify", feature = "sandbox", feature = "upgrade"))]
pub(super) mod pages;

/// The commands, for "did you mean".
pub(super) const COMMANDS: &[&str] = &[
    "serve",
    #[cfg(feature = "admin")]
    "who",
    #[cfg(feature = "admin")]
    "drop",
    #[cfg(feature = "admin")]
    "upgrade",
    #[cfg(feature = "top")]
    "top",
    #[cfg(feature = "load")]
    "load",
    #[cfg(feature = "lab")]
    "lab",
    #[cfg(feature = "plan")]
    "plan",
    "help",
];

/// Which commands there are.
pub(super) fn overview() -> String {
    let mut text = "stillthere: a TCP server that always knows who is still there\n\n".to_string();
    let mut row = |command: &str, words: &str| {
        let _ = writeln!(text, "  stillthere {command:<33} {words}"); // a string takes all
    };
    row("serve [ADDR:PORT ...] [options]", "run the server");
    if cfg!(feature = "admin") {
        row("who [ID] [options]", "list its peers, or one in full");
        row("drop ID ... [options]", "let peers go");
        row("upgrade [options]", "run a new program, keep the peers");
    }
    if cfg!(feature = "top") {
        row("top [options]", "watch its peers in a terminal");
    }
    if cfg!(feature = "load") {
        row("load ADDR:PORT [options]", "open very many connections");
    }
    if cfg!(feature = "lab") {
        row("lab run|matrix|list [options]", "cut the cable, see what happens");
    }
    if cfg!(feature = "plan") {
        row("plan [options]", "what a deadline costs and risks");
    }
    row("COMMAND --help", "its options");
    text + "  stillthere --version"
}

/// The usual options of `serve`, in their groups; all of them, if one page has room. Fits a screen of 80 by 24.
pub(super) fn of_serve() -> String {
    let mut text = format!("stillthere serve [ADDR:PORT ...] [options]      by default {}\n", Place::DEFAULT);
    #[cfg(not(any(feature = "config", feature = "notify", feature = "sandbox", feature = "upgrade")))]
    list(&mut text, crate::cli::serve_options::OPTIONS.iter(), crate::cli::serve_options::preset);
    #[cfg(any(feature = "config", feature = "notify", feature = "sandbox", feature = "upgrade"))]
    pages::list_usual(&mut text);
    text += "Also -h, -V. Environment: STILLTHERE_GRACE=500ms STILLTHERE_LISTEN=\"[::]:7007\"";
    text
}

/// What `who` lists, and its options.
#[cfg(feature = "admin")]
pub(super) fn of_who() -> String {
    let mut text = String::from("stillthere who [ID] [options]      which peers a server has, or all about one\n");
    list(&mut text, crate::cli::ask_options::WHO.iter(), crate::cli::ask_options::preset);
    text += "SILENT is the time since the last sign of life, and the deadline; UNACKED are\n";
    text += "bytes that it has not acknowledged; - is where the kernel has no figure. How\n";
    text += "many peers there are goes to stderr. Exit code: 1 no such peer, or no answer; 2\n";
    text += "usage. Environment: STILLTHERE_ADMIN=unix:/run/a.sock STILLTHERE_WHO_SORT=age";
    text
}

/// What `drop` does, and its options.
#[cfg(feature = "admin")]
pub(super) fn of_drop() -> String {
    let mut text = String::from("stillthere drop ID [ID ...] [options]      a server lets these peers go\n");
    list(&mut text, crate::cli::ask_options::DROP.iter(), crate::cli::ask_options::preset);
    text += "`stillthere who` prints the ids; none is ever used again. What a peer has not\n";
    text += "acknowledged is lost. Exit code: 1 one has gone already, or no answer; 2 usage.\n";
    text += "Environment: STILLTHERE_ADMIN=unix:/run/stillthere.sock";
    text
}

/// What `upgrade` does, and its options.
#[cfg(feature = "admin")]
pub(super) fn of_upgrade() -> String {
    let mut text = String::from("stillthere upgrade [options]      a server runs its new program, and keeps peers\n");
    list(&mut text, crate::cli::ask_options::UPGRADE.iter(), crate::cli::ask_options::preset);
    text += "The new program is the file that now is where the server was started from. It\n";
    text += "takes over all peers, or it is refused and nobody leaves. `kill -USR2` does the\n";
    text += "same, and only the log says what became of it. Exit code: 1 it is refused, or no\n";
    text += "answer; 2 usage. Environment: STILLTHERE_ADMIN=unix:/run/stillthere.sock";
    text
}

/// What `top` shows, and its options.
#[cfg(feature = "top")]
pub(super) fn of_top() -> String {
    let mut text = String::from("stillthere top [options]      the peers of a server, live in a terminal\n");
    list(&mut text, crate::cli::ask_options::TOP.iter(), crate::cli::ask_options::preset);
    text += "Keys: ? lists them, q quits. NO_COLOR=1 turns colours off. If the server goes,\n";
    text += "it is waited for. Exit code: 1 no terminal, or no answer to begin with; 2 usage.\n";
    text += "Environment: STILLTHERE_ADMIN=unix:/run/stillthere.sock";
    text
}

/// What the lab does, and its options.
#[cfg(feature = "lab")]
pub(super) fn of_lab() -> String {
    let mut text = String::from(
        "stillthere lab run STATE/FAULT [options]      play a scene and print each packet
stillthere lab matrix [STATE|FAULT|STATE/FAULT ...] [options]  all, or these
stillthere lab list | lab compare DIRECTORY ... list scenes; compare matrices\n",
    );
    list(&mut text, crate::cli::lab_options::OPTIONS.iter(), |_| Preset::None);
    let names = crate::cli::lab_options::presets();
    text += &wrapped("Presets:", names.iter().map(|name| format!("{name},")).chain(["or all".to_string()]));
    text += "Exit code: 1 promise broken or not played; 2 usage. Or STILLTHERE_LAB_CAP=2m.";
    text
}

/// What `plan` answers, and its options.
#[cfg(feature = "plan")]
pub(super) fn of_plan() -> String {
    let mut text = String::from("stillthere plan [options]      what a deadline costs, and how often it errs\n");
    list(&mut text, crate::cli::plan_options::OPTIONS.iter(), crate::cli::plan_options::preset);
    text += "All are optional. Environment: STILLTHERE_PLAN_LOSS=2%. Formulas: docs/plan.md.";
    text
}

/// The options of `load`.
#[cfg(feature = "load")]
pub(super) fn of_load() -> String {
    let mut text = String::from("stillthere load ADDR:PORT [options]             a client for any TCP server\n");
    list(&mut text, crate::cli::load_options::OPTIONS.iter(), crate::cli::load_options::preset);
    text += "Figures of --fail-if: pN, mean, max; connect-pN, lateness-pN and so on; errors,\n";
    text += "connected, held, lost, unanswered, exchanges, rate, connect-rate, bytes-a-peer,\n";
    text += "cpu. Ctrl-C prints the report so far. Exit code: 1 a failure, a request left\n";
    text += "unanswered or a condition true; 2 usage. Environment: STILLTHERE_LOAD_TIME=5s";
    text
}

/// Words after a heading, in lines of 80 characters.
#[cfg(feature = "lab")]
fn wrapped(heading: &str, words: impl Iterator<Item = String>) -> String {
    let (mut text, mut line) = (String::new(), heading.to_string());
    for word in words {
        if line.len() + 1 + word.len() > 80 {
            text += &format!("{line}\n");
            line = " ".repeat(heading.len());
        }
        line += &format!(" {word}");
    }
    text + &line + "\n"
}

/// The words of an option: what is before its default, the default, and what is after it.
pub(super) fn words(option: &Opt, preset: fn(&str) -> Preset) -> (&'static str, Preset, &'static str) {
    match (preset(option.name), option.help.split_once('{')) {
        (Preset::None, _) | (_, None) => (option.help, Preset::None, ""),
        (preset, Some((before, after))) => (before, preset, &after[1..]),
    }
}

fn list<'a>(text: &mut String, options: impl Iterator<Item = &'a Opt>, preset: fn(&str) -> Preset) {
    let (mut group, mut joined) = ("", String::new());
    for option in options {
        if option.group != group {
            group = option.group;
            let _ = writeln!(text, "{group}:");
        }
        let left = format!("{joined}--{} {}", option.name, option.value);
        // An option without help of its own is printed before the next one, which describes both.
        joined = if option.help.is_empty() { format!("{} ", left.trim_end()) } else { String::new() };
        if option.help.is_empty() {
            continue;
        }
        let gap = if left.len() > 24 { " " } else { "" };
        let (before, preset, after) = words(option, preset);
        let _ = writeln!(text, "  {left:<24}{gap} {before}{preset}{after}");
    }
}

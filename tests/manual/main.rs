//! The man page and the completions, tried by the programs that they are for: mandoc, bash, zsh, fish.
//!
//! That they say what the tables of options say is a test in `src/cli/manual/`. Here they are used: a person types the beginning of
//! a word and presses the tab key. Where a program is missing, its tests are reported as ignored, and stderr says why.

#[path = "../common/mod.rs"]
mod common;
mod typist;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::Server;
use libtest_mimic::{Arguments, Trial};
use typist::{Shell, Typist};

fn main() {
    let tests: Vec<(&str, &str, fn())> = vec![
        ("the_man_page_is_without_a_fault", "mandoc", lint),
        ("bash_completes_every_option", "bash", || every_option(Shell::Bash)),
        ("bash_completes_values_and_words", "bash", || values(Shell::Bash)),
        ("bash_knows_which_peers_there_are", "bash", || ids(Shell::Bash)),
        ("bash_quotes_the_names_of_files", "bash", || files(Shell::Bash)),
        ("bash_offers_what_there_is", "bash", bash_offers),
        ("zsh_completes_every_option", "zsh", || every_option(Shell::Zsh)),
        ("zsh_completes_values_and_words", "zsh", || values(Shell::Zsh)),
        ("zsh_knows_which_peers_there_are", "zsh", || ids(Shell::Zsh)),
        ("zsh_quotes_the_names_of_files", "zsh", || files(Shell::Zsh)),
        ("fish_completes_every_option", "fish", fish_every_option),
        ("fish_completes_values_and_words", "fish", fish_values),
    ];
    let missing: Vec<&str> = ["mandoc", "bash", "zsh", "fish"].into_iter().filter(|name| !is_there(name)).collect();
    for name in &missing {
        eprintln!(
            "\nNOT RUN: {name} is not installed: `apt-get install {name}`. Its tests are ignored; they have not passed.\n"
        );
    }
    let trials = tests.into_iter().map(|(name, program, run)| {
        let run = move || {
            run();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing.contains(&program))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|place| place.join(program).is_file())
}

fn manual(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/manual").join(name)
}

fn lint() {
    let output =
        Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(manual("stillthere.1")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// The options of each command as the program itself tells them, so that this does not lean on the generator.
fn told() -> Vec<(&'static str, Vec<String>)> {
    let commands = ["serve", "who", "drop", "upgrade", "top", "load", "lab", "plan"];
    let options = |command: &&'static str| {
        let page: &[&str] = if *command == "serve" { &["--help", "all"] } else { &["--help"] };
        let output = Command::new(env!("CARGO_BIN_EXE_stillthere")).arg(command).args(page).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // In the lines that begin with an option, not in the prose below.
        let lines = text.lines().filter(|line| line.starts_with("  --"));
        let mut names: Vec<String> = Vec::new();
        for line in lines {
            let words = line.split_whitespace().filter(|word| word.starts_with("--"));
            names.extend(words.map(|word| word.trim_end_matches([',', ';', ':']).to_string()));
        }
        names.sort();
        names.dedup();
        assert!(names.len() > 2, "{command}: {text}");
        (*command, names)
    };
    commands.iter().map(options).collect()
}

fn every_option(shell: Shell) {
    let mut typist = Typist::start(shell);
    for (command, options) in told() {
        for option in options {
            let begun = &option[..option.len() - 1];
            let line = typist.type_and_complete(&format!("stillthere {command} {begun}"));
            let last = line.last().map(String::as_str).unwrap_or_default();
            // Zsh adds nothing where two options begin alike, and lists both.
            let is_listed = typist.shown().contains(&format!("\n{option} "));
            assert!(last.starts_with(&option) || is_listed, "{shell:?}: {command} {begun} became {line:?}");
        }
    }
}

/// What is typed, and what it is after the tab key.
const TYPED: &[(&str, &str)] = &[
    ("stillthere ser", "serve"),
    ("stillthere serve --log deb", "serve --log debug"),
    ("stillthere serve --log=deb", "serve --log=debug"),
    ("stillthere serve --when-full ev", "serve --when-full evict-oldest-idle"),
    ("stillthere serve 127.0.0.1:7007 [::1]:7007 --service=dis", "serve 127.0.0.1:7007 [::1]:7007 --service=discard"),
    ("stillthere who --sort sil", "who --sort silence"),
    ("stillthere lab mat", "lab matrix"),
    ("stillthere lab run in-flight/bl", "lab run in-flight/black-hole"),
    ("stillthere lab run --deadline 5s in-flight/bl", "lab run --deadline 5s in-flight/black-hole"),
    ("stillthere lab matrix --preset haproxy-", "lab matrix --preset haproxy-tcp-ut"),
    ("stillthere lab matrix --preset redis,ngi", "lab matrix --preset redis,nginx"),
    ("stillthere plan --behind azure-l", "plan --behind azure-lb"),
    ("stillthere serve --admin uni", "serve --admin unix:"),
    // Nothing that it knows.
    ("stillthere serve 10.0.0.1:", "serve 10.0.0.1:"),
    ("stillthere serve --deadline 3", "serve --deadline 3"),
    ("stillthere top --ser", "top --ser"),
];

fn values(shell: Shell) {
    let mut typist = Typist::start(shell);
    for (typed, wanted) in TYPED {
        // In zsh brackets are a pattern, unless they are quoted.
        let typed = if shell == Shell::Zsh { typed.replace("[::1]", "'[::1]'") } else { typed.to_string() };
        let line = typist.type_and_complete(&typed).join(" ");
        assert_eq!(line, *wanted, "{shell:?}: {typed}");
    }
}

/// A server with an admin port and one peer, whose id begins with anything.
fn ids(shell: Shell) {
    let mut server = Server::start(&["127.0.0.1:0", "--admin", "localhost:0"]);
    let told = server.told();
    let admin = told.split("admin port on http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_string();
    let _peer = server.connect();
    server.wait_for(" arrived");
    let mut typist = Typist::start(shell);
    for between in [" ", "="] {
        let line = typist.type_and_complete(&format!("stillthere drop --admin{between}{admin} "));
        let id = line.last().unwrap();
        assert!(id.contains('-') && server.told().contains(id.as_str()), "{shell:?}: {id}, after {line:?}");
    }
}

/// A file whose name has a blank, and a directory.
fn files(shell: Shell) {
    let mut typist = Typist::start(shell);
    std::fs::write(typist.home.join("one file.json"), "").unwrap();
    std::fs::create_dir(typist.home.join("place")).unwrap();
    let line = typist.type_and_complete("stillthere load 127.0.0.1:1 --json one");
    assert_eq!(line.last().unwrap(), "one file.json", "{shell:?}");
    let line = typist.type_and_complete("stillthere load 127.0.0.1:1 --json=one");
    assert_eq!(line.last().unwrap(), "--json=one file.json", "{shell:?}");
    let line = typist.type_and_complete("stillthere load 127.0.0.1:1 --html pla");
    // Zsh takes the slash back when the line ends there.
    assert_eq!(line.last().unwrap().trim_end_matches('/'), "place", "{shell:?}");
    let line = typist.type_and_complete("stillthere serve --events unix:pla");
    assert_eq!(line.last().unwrap().trim_end_matches('/'), "unix:place", "{shell:?}");
    let line = typist.type_and_complete("stillthere load 127.0.0.1:1 --html ~/pla");
    assert_eq!(line.last().unwrap().trim_end_matches('/'), typist.home.join("place").to_str().unwrap(), "{shell:?}");
}

/// COMPREPLY, as bash would have it.
fn bash_offers() {
    // As strict as somebody's shell may be set.
    let script = "set -u; shopt -s failglob nullglob extglob; IFS=:; source \"$1\"; complete -p stillthere; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_LINE=\"${*}\"; \
                  COMP_POINT=${#COMP_LINE}; _stillthere; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let offered = |words: &[&str]| -> Vec<String> {
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-c", script, "bash"]).arg(manual("stillthere.bash")).args(words);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.stderr.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines = text.lines().map(str::to_string);
        assert_eq!(lines.next().as_deref(), Some("complete -F _stillthere stillthere"));
        lines.collect()
    };
    assert_eq!(
        offered(&["stillthere", ""]),
        ["serve", "who", "drop", "upgrade", "top", "load", "lab", "plan", "help", "--help", "--version"]
    );
    assert_eq!(offered(&["stillthere", "serve", "--heart"]), ["--heartbeat", "--heartbeat-timeout"]);
    assert_eq!(offered(&["stillthere", "who", "--sort", ""]), ["silence", "age", "bytes"]);
    assert_eq!(offered(&["stillthere", "who", "--sort", "="]), ["silence", "age", "bytes"], "bash parts words there");
    assert_eq!(offered(&["stillthere", "serve", "[", "::", "1]", ":", "7007", "--service", "=", "d"]), ["discard"]);
    assert_eq!(offered(&["stillthere", "nonsense", "--de"]), [""]);
}

fn fish(lines: &[String]) -> Vec<Vec<String>> {
    let script = "source $argv[1]; for line in $argv[2..]; echo ==; complete -C $line; end";
    let home = typist::temporary("fish");
    let mut command = Command::new("fish");
    command.args(["--no-config", "-c", script]).arg(manual("stillthere.fish")).args(lines);
    command.env("HOME", &home.0).env("XDG_CONFIG_HOME", &home.0).env("XDG_DATA_HOME", &home.0).current_dir(&home.0);
    command.env("PATH", typist::places());
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let word = |line: &str| line.split('\t').next().unwrap().to_string();
    text.split("==\n").skip(1).map(|answers| answers.lines().map(word).collect()).collect()
}

fn fish_every_option() {
    let asked: Vec<(String, String)> = told()
        .into_iter()
        .flat_map(|(command, options)| options.into_iter().map(move |option| (command.to_string(), option)))
        .collect();
    let lines: Vec<String> =
        asked.iter().map(|(command, option)| format!("stillthere {command} {}", &option[..option.len() - 1])).collect();
    for ((command, option), answers) in asked.iter().zip(fish(&lines)) {
        let is_there = answers.iter().any(|answer| answer == option || *answer == format!("{option}="));
        assert!(is_there, "{command} {option}: {answers:?}");
    }
}

fn fish_values() {
    let lines: Vec<String> = TYPED.iter().map(|(typed, _)| typed.to_string()).collect();
    for ((typed, wanted), answers) in TYPED.iter().zip(fish(&lines)) {
        let last = wanted.rsplit(' ').next().unwrap();
        match typed.ends_with(wanted) {
            true => assert!(answers.is_empty(), "{typed}: {answers:?}"),
            false => assert!(answers.iter().any(|answer| answer == last), "{typed}: {answers:?}"),
        }
    }
    let [answers] = &fish(&["stillthere load 127.0.0.1:1 ".to_string()])[..] else { panic!() };
    assert!(answers.is_empty(), "no files where an address is wanted: {answers:?}");
}

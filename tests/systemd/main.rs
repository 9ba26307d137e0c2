//! What a supervisor is told, what it passes on, and what it keeps: with a supervisor that the test is itself, and with a real systemd.
//!
//! systemd runs as PID 1 of its own namespaces, below a cgroup of its own. Where that is impossible, its trials are reported as
//! ignored, and stderr says why.

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Trial};

#[path = "../common/mod.rs"]
mod common;
mod kept;
mod log;
mod machine;
mod passed;
mod supervisor;
mod told;
mod units;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let (analyzes, activates) = (has("systemd-analyze"), has("systemd-socket-activate"));
    // Nothing is started where only the names of the trials are wanted.
    let missing = if arguments.list { None } else { machine::missing() };
    for (can, what) in [
        (missing.is_none(), format!("a real systemd: {}", missing.as_deref().unwrap_or_default())),
        (analyzes, "what systemd-analyze says: it is not installed (package systemd)".to_string()),
        (activates, "systemd-socket-activate: it is not installed (package systemd)".to_string()),
    ] {
        if !can {
            eprintln!("\nNOT RUN: {what}. These trials are ignored; they have not passed.\n");
        }
    }
    let mut trials = Vec::new();
    for (can, list) in [
        (true, told::TRIALS),
        (true, passed::TRIALS),
        (true, log::TRIALS),
        (cfg!(feature = "upgrade"), kept::TRIALS),
        (activates, passed::WITH_SYSTEMD),
        (analyzes, units::TRIALS),
        (missing.is_none(), machine::TRIALS),
    ] {
        trials.extend(list.iter().map(|(name, run)| {
            let run = *run;
            Trial::test(*name, move || {
                run();
                Ok(())
            })
            .with_ignored_flag(!can)
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A name, and what is tried.
type Trials = &'static [(&'static str, fn())];

fn has(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

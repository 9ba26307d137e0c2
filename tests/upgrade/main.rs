//! Upgrades: a server executes a new program in its place, and no peer notices.
//!
//! Owns the list of the trials. Those that cut cables need network namespaces: where these are missing they are reported as ignored,
//! never as passed, and stderr says what is missing.

#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod look;
mod steady;

use libtest_mimic::{Arguments, Trial};

const TRIALS: [(&str, fn()); 2] = [
    ("a_crowd_finds_nothing_wrong_with_a_server_that_stays_as_it_is", steady::plain),
    ("a_crowd_finds_what_is_lost_repeated_changed_or_cut_off", steady::faults),
];

fn main() {
    let trials = TRIALS.map(|(name, run)| {
        let run = move || {
            run();
            Ok(())
        };
        Trial::test(name, run)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

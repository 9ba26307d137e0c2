//! Upgrades: a server executes a new program in its place, and no peer notices.
//!
//! Owns the list of the trials. Those that cut cables need network namespaces: where these are missing they are reported as ignored,
//! never as passed, and stderr says what is missing.

#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod killed;
mod look;
mod program;
mod refused;
mod steady;
#[path = "../events/story.rs"]
mod story;

use libtest_mimic::{Arguments, Trial};

const TRIALS: [(&str, fn()); 11] = [
    ("a_crowd_finds_nothing_wrong_with_a_server_that_stays_as_it_is", steady::plain),
    ("a_crowd_finds_what_is_lost_repeated_changed_or_cut_off", steady::faults),
    ("twenty_in_a_row_lose_no_byte_and_no_peer", steady::twenty),
    ("a_signal_every_two_milliseconds_never_kills", killed::flood),
    ("killed_at_any_moment_it_is_gone_as_a_whole", killed::killed),
    ("other_signals_are_obeyed_by_whichever_program_is_there", killed::others),
    ("whatever_is_put_in_its_place_nobody_leaves", refused::replaced),
    ("a_rehearsal_that_hangs_is_ended_after_ten_seconds", refused::hangs),
    ("an_execution_that_fails_changes_nothing", refused::exec_fails),
    ("a_program_that_a_package_manager_has_replaced_is_found", refused::package),
    ("a_program_that_was_named_relatively_is_found", refused::named),
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

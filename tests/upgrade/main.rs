//! Upgrades: a server executes a new program in its place, and no peer notices.
//!
//! Owns the list of the trials. Those that cut cables need network namespaces: where these are missing they are reported as ignored,
//! never as passed, and stderr says what is missing.

#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod cut;
mod killed;
mod look;
#[path = "../common/netns.rs"]
#[allow(dead_code)] // other test programs use the rest
mod netns;
mod program;
mod refused;
#[path = "../common/scene.rs"]
#[allow(dead_code)] // other test programs use the rest
mod scene;
mod services;
mod steady;
#[path = "../events/story.rs"]
#[allow(dead_code)] // other test programs use the rest
mod story;
mod told;

use std::sync::{Mutex, PoisonError};

use libtest_mimic::{Arguments, Trial};

/// They wait most of the time.
const TRIALS: [(&str, fn()); 16] = [
    ("a_crowd_finds_what_is_lost_repeated_changed_or_cut_off", steady::faults),
    ("a_rehearsal_that_hangs_is_ended_after_ten_seconds", refused::hangs),
    ("a_program_that_a_package_manager_has_replaced_is_found", refused::package),
    ("a_program_that_was_named_relatively_is_found", refused::named),
    ("a_line_that_a_full_disk_has_torn_is_completed", told::torn),
    ("a_file_that_was_renamed_loses_nothing", told::renamed),
    ("a_file_that_cannot_be_opened_is_tried_again", told::gone),
    ("who_follows_comes_back_and_misses_nothing_silently", told::followed),
    ("it_can_be_asked_for_by_who_may", told::asked),
    ("an_admin_socket_whose_file_is_gone_is_not_said_to_be_there", told::file_gone),
    ("an_admin_socket_moves_with_the_configuration", told::file_moved),
    ("an_admin_port_that_answers_strangely_is_understood", told::scripted),
    ("pings_are_answered_and_who_does_not_answer_is_let_go", services::heartbeat),
    ("who_must_speak_must_do_so_in_the_same_time", services::expect),
    ("a_configuration_that_is_broken_is_refused_and_one_that_changed_holds", services::configuration),
    ("the_timers_of_old_sockets_are_set_anew", services::timers),
];

/// They keep the machine busy, and run one after another.
const BUSY: [(&str, fn()); 11] = [
    ("a_crowd_finds_nothing_wrong_with_a_server_that_stays_as_it_is", steady::plain),
    ("twenty_in_a_row_lose_no_byte_and_no_peer", steady::twenty),
    ("a_signal_every_two_milliseconds_never_kills", killed::flood),
    ("killed_at_any_moment_it_is_gone_as_a_whole", killed::killed),
    ("other_signals_are_obeyed_by_whichever_program_is_there", killed::others),
    ("whatever_is_put_in_its_place_nobody_leaves", refused::replaced),
    ("an_execution_that_fails_changes_nothing", refused::exec_fails),
    ("standard_output_has_each_event_once", told::stdout),
    ("a_fifo_has_each_event_once", told::fifo),
    ("a_unix_collector_misses_nothing", told::unix),
    ("a_tcp_collector_misses_nothing", told::tcp),
];

/// It needs networks, too.
const LAB: &str = "the_lab_finds_nothing_changed";

fn main() {
    let mut arguments = Arguments::from_args();
    let wanted = |name: &str| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let any = !arguments.list && (cut::TRIALS.iter().any(|(name, _)| wanted(name)) || wanted(LAB));
    // It may start this program anew, as root of a namespace.
    let missing = if any { netns::prepare().err() } else { None };
    if let Some(missing) = &missing {
        eprintln!("\n*** NOT RUN: no cable is cut after an upgrade: {missing} ***\n");
    }
    // Most of them wait most of the time.
    arguments.test_threads = arguments.test_threads.or(Some(cut::TRIALS.len()));
    let trial = |(name, run): (&str, fn()), is_ignored: bool| {
        let run = move || {
            run();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(is_ignored)
    };
    let cut = cut::TRIALS.map(|each| trial(each, missing.is_some()));
    let lab = trial((LAB, services::lab), missing.is_some());
    let no_namespace = services::first_missing();
    if let Some(missing) = &no_namespace {
        eprintln!("\n*** NOT RUN: no upgrade as PID 1: {missing} ***\n");
    }
    let first = trial(("as_the_first_process_of_a_container", services::first), no_namespace.is_some());
    let others = TRIALS.map(|each| trial(each, false));
    let busy = BUSY.map(|(name, run)| {
        let run = move || {
            static ALONE: Mutex<()> = Mutex::new(());
            let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
            run();
            Ok(())
        };
        Trial::test(name, run)
    });
    libtest_mimic::run(&arguments, cut.into_iter().chain([lab, first]).chain(busy).chain(others).collect()).exit();
}

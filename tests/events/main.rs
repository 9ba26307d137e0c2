//! Events: what they say, and that whoever reads them delays nobody, loses nothing silently, and gets no broken line.
//!
//! Owns the list of the trials. Those that cut cables need network namespaces, and those that count system calls need strace:
//! where these are missing they are reported as ignored, never as passed, and stderr says what is missing.

mod collectors;
#[path = "../common/mod.rs"]
mod common;
mod cut;
mod files;
#[path = "../common/netns.rs"]
mod netns;
mod peers;
mod quiet;
mod story;
mod stuck;

use libtest_mimic::{Arguments, Trial};

/// What a trial needs beside the program.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Nothing,
    Networks,
    Strace,
}

use Needs::{Networks, Nothing, Strace};

const TRIALS: [(&str, Needs, fn()); 28] = [
    ("an_arrival_and_a_departure_have_the_right_figures", Nothing, peers::figures),
    ("each_end_has_its_reason", Nothing, peers::reasons),
    ("ipv6_addresses_are_whole", Nothing, peers::ipv6),
    ("a_refusal_and_a_limit_are_told", Nothing, peers::limits),
    ("a_service_s_own_end_is_told", Nothing, peers::unresponsive),
    ("a_second_signal_cuts_off", Nothing, peers::aborted),
    ("a_stuck_pipe_delays_nobody", Nothing, stuck::pipe_is_stuck),
    ("a_stuck_fifo_delays_nobody", Nothing, stuck::fifo),
    ("a_stuck_socket_as_stdout_delays_nobody", Nothing, stuck::socket),
    ("a_stuck_unix_reader_delays_nobody", Nothing, stuck::unix),
    ("a_stuck_tcp_reader_delays_nobody", Nothing, stuck::tcp),
    ("a_flood_is_bounded", Nothing, stuck::flood),
    ("a_slow_reader_gets_whole_lines", Nothing, stuck::slow),
    ("several_servers_share_a_pipe_without_tearing_lines", Nothing, stuck::shared),
    ("a_pipe_s_flags_stay_as_they_are", Nothing, stuck::flags),
    ("a_unix_reader_comes_back", Nothing, collectors::unix),
    ("a_tcp_reader_comes_back_and_misses_nothing", Nothing, collectors::tcp),
    ("a_reader_that_closes_while_nothing_happens_is_noticed", Nothing, collectors::closes_quietly),
    ("a_collector_that_is_down_does_not_fill_the_log", Nothing, collectors::down),
    ("a_file_is_reopened_and_nothing_is_lost", Nothing, files::renamed),
    ("a_full_disk_is_survived", Nothing, files::full),
    ("a_torn_or_truncated_file_stays_readable", Nothing, files::torn),
    ("a_fifo_waits_for_its_reader", Nothing, files::fifo),
    ("what_cannot_be_opened_is_said", Nothing, files::said),
    ("the_examples_in_the_documentation_are_events", Nothing, story::documented),
    ("a_dead_peer_s_departure_says_what_it_owed", Networks, cut::peers),
    ("a_dead_collector_is_noticed", Networks, cut::collector),
    ("nothing_is_called_while_nothing_happens", Strace, quiet::idle),
];

fn main() {
    // It may start this program anew, as root of a namespace.
    let networks = netns::prepare().err();
    let strace = quiet::missing();
    for missing in [&networks, &strace].into_iter().flatten() {
        eprintln!("\nNOT RUN: {missing}. Tests that need it are ignored; they have not passed.\n");
    }
    let trials = TRIALS.map(|(name, needs, run)| {
        let is_missing = needs == Networks && networks.is_some() || needs == Strace && strace.is_some();
        let run = move || {
            run();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(is_missing)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

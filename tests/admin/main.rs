//! The admin port of the real program, over real sockets.
//!
//! promtool checks the metrics. Where it is missing, that test is reported as ignored, and stderr says why.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod apart;
mod http;
mod metrics;
mod peers;
mod streams;
mod wire;

use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Trial};

fn main() {
    let missing = missing();
    if let Some(missing) = &missing {
        eprintln!("\nNOT RUN: {missing}. The test of the metrics' grammar is ignored; it has not passed.\n");
    }
    let tests: [(&str, fn()); 25] = [
        ("each_path_answers_and_says_what_it_is", http::paths),
        ("head_is_get_without_the_body", http::head),
        ("requests_in_any_pieces_are_answered_in_order", http::pieces),
        ("a_long_answer_does_not_overtake_and_is_not_overtaken", http::pipelining),
        ("http_1_0_ends_unless_it_is_asked_to_go_on", http::old),
        ("who_asks_and_closes_its_half_is_answered", http::half_closed),
        ("what_cannot_be_answered_is_said_in_http", http::refusals),
        ("a_body_is_dropped_and_100_is_said_once", http::bodies),
        ("a_slow_request_times_out_and_an_idle_connection_ends", http::slow),
        ("a_name_of_somebody_else_s_reaches_nothing", access::hosts),
        ("a_token_is_needed_for_everything_that_tells_something", access::token),
        ("a_unix_socket_is_made_and_removed_and_a_stale_one_replaced", access::unix),
        ("where_it_may_not_listen_is_said_in_a_sentence", access::sentences),
        ("draining_is_not_ready", access::draining),
        ("pages_show_each_peer_that_stays_exactly_once", peers::paging),
        ("a_sorted_list_is_kept_while_peers_come_and_go", peers::sorted),
        ("a_long_list_holds_nobody_up", peers::crowded),
        ("a_filter_shows_those_from_a_network", peers::filter),
        ("one_peer_tells_its_story_and_can_be_let_go_once", peers::one),
        ("events_resume_where_the_reader_was", streams::events),
        ("those_who_watch_see_everybody", streams::watch),
        ("followers_that_vanish_are_forgotten", streams::vanishing),
        ("readers_that_never_read_are_let_go_and_hold_little", streams::stuck),
        ("it_answers_when_there_is_no_room_for_peers", apart::full),
        ("silent_clients_keep_nobody_out", apart::crowd),
    ];
    let trials = tests.into_iter().map(|(name, run)| trial(name, run, false));
    let metrics = [
        trial("promtool_accepts_the_metrics_without_a_word", metrics::grammar, missing.is_some()),
        trial("metrics_count_what_happens", metrics::counts, false),
        trial("open_metrics_is_told_to_those_who_ask_for_it", metrics::open_metrics, false),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials.chain(metrics).collect()).exit();
}

fn trial(name: &str, run: fn(), is_ignored: bool) -> Trial {
    let run = move || {
        run();
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(is_ignored)
}

fn missing() -> Option<String> {
    match Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("`promtool --version` ended with {status}")),
        Err(error) => Some(format!("promtool cannot be run ({error}): `apt-get install prometheus` installs it")),
    }
}

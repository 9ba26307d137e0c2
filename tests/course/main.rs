//! The course: seven servers, and the text about them.
//!
//! Each flaw that a server is said to have is shown here: the server fails in that way, and the next one does not. What needs a cable to
//! cut is ignored where the lab cannot make networks, and stderr says why.

mod breaks;
mod cables;
mod flaws;
mod servers;
mod story;
mod text;
mod words;

use libtest_mimic::{Arguments, Trial};

type Named = (&'static str, fn());

const FLAWS: [Named; 12] = [
    ("flaw_1_the_second_peer_waits_for_the_first", flaws::the_second_peer_waits_for_the_first),
    ("flaw_2_each_peer_costs_a_thread", flaws::each_peer_costs_a_thread),
    ("flaw_3_a_processor_is_taken_for_nothing", flaws::a_processor_is_taken_for_nothing),
    ("flaw_3_a_peer_that_reads_late_is_let_go", flaws::a_peer_that_reads_late_is_let_go),
    ("flaw_4_a_half_read_buffer_is_not_announced_again", flaws::a_half_read_buffer_is_not_announced_again),
    ("flaw_5_a_peer_that_never_reads_eats_the_memory", flaws::a_peer_that_never_reads_eats_the_memory),
    ("flaw_5_who_has_closed_its_end_is_not_given_the_rest", flaws::who_has_closed_its_end_is_not_given_the_rest),
    ("flaw_5_a_listener_is_deaf_after_emfile", flaws::a_listener_is_deaf_after_emfile),
    ("mended_7_nothing_spins_without_descriptors", flaws::nothing_spins_without_descriptors),
    ("flaw_6_a_living_peer_makes_room", flaws::a_living_peer_makes_room),
    ("flaw_6_an_old_event_meets_a_newcomer", flaws::an_old_event_meets_a_newcomer),
    ("flaw_7_it_wakes_for_idle_peers", flaws::it_wakes_for_idle_peers),
];

const CABLES: [Named; 4] = [
    ("flaw_6_a_dead_peer_stays_for_ever", cables::a_dead_peer_stays_for_ever),
    ("flaw_7_keepalive_is_blind_while_data_are_in_flight", cables::keepalive_is_blind_while_data_are_in_flight),
    (
        "flaw_7_a_living_peer_that_does_not_read_is_taken_for_dead",
        cables::a_living_peer_that_does_not_read_is_taken_for_dead,
    ),
    ("c_the_textbook_in_c_is_blind_as_well", cables::the_textbook_in_c_is_blind_as_well),
];

const TEXT: [Named; 10] = [
    ("text_code_is_that_of_its_file", text::code_is_that_of_its_file),
    ("text_what_commands_print_is_what_they_print", text::what_commands_print_is_what_they_print),
    ("text_links_lead_somewhere", text::links_lead_somewhere),
    ("text_tests_that_are_named_exist", text::tests_that_are_named_exist),
    ("story_a_life_is_told", story::a_life_is_told_from_the_accept_to_the_departure),
    ("break_each_invariant_can_be_broken", breaks::each_invariant_can_be_broken),
    ("words_the_code_uses_the_words_of_the_table", words::the_code_uses_the_words_of_the_table),
    ("words_the_code_uses_no_other_words_for_them", words::the_code_uses_no_other_words_for_them),
    ("words_the_table_has_the_words_of_the_code", words::the_table_has_the_words_of_the_code),
    ("words_the_course_uses_no_other_words_for_them", words::the_course_uses_no_other_words_for_them),
];

fn main() {
    let mut arguments = Arguments::from_args();
    // They mostly wait.
    arguments.test_threads = arguments.test_threads.or(Some(6));
    let missing = (!arguments.list).then(cables::missing).flatten();
    if let Some(missing) = &missing {
        eprintln!("\n*** NOT RUN: the course's cut cables. {missing} ***\n");
    }
    let mut trials: Vec<Trial> = FLAWS.into_iter().chain(TEXT).map(|(name, run)| trial(name, run)).collect();
    trials.extend(CABLES.map(|(name, run)| trial(name, run).with_ignored_flag(missing.is_some())));
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(name: &str, run: fn()) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}

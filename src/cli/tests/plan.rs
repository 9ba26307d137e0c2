//! The command lines of `plan`.

use super::*;
use crate::plan::{Question, Wanted};

fn question(line: &str, environment: &[(&str, &str)]) -> Question {
    match read(line, environment) {
        Ok(Command::Plan(question)) => *question,
        other => panic!("{line}: {other:?}"),
    }
}

fn settings(line: &str, environment: &[(&str, &str)]) -> (u64, u64, u32) {
    let question = question(line, environment);
    let (Wanted::Settings(keepalive) | Wanted::Deadline { usual: keepalive, .. }) = question.wanted else {
        panic!("{line}: {question:?}")
    };
    (keepalive.idle().as_secs(), keepalive.interval().as_secs(), keepalive.count())
}

#[test]
fn any_subset_will_do() {
    assert_eq!(settings("plan", &[]), (5, 5, 6));
    assert_eq!(settings("plan --deadline 30s", &[]), (6, 4, 6));
    assert_eq!(settings("plan --deadline 30s --battery", &[]), (24, 2, 3));
    assert_eq!(settings("plan --idle 9s --battery", &[]), (9, 5, 6), "what is given is not split anew");
    assert_eq!(settings("plan --battery", &[("STILLTHERE_DEADLINE", "30s")]), (24, 2, 3));
    let given = question("plan --loss 2% --rtt 200ms --peers 7 --burst-loss 0.5 --json --svg a.svg", &[]);
    assert_eq!((given.loss, given.round_trip, given.peers), (0.02, Duration::from_millis(200), 7));
    assert_eq!((given.burst_loss, given.json, given.svg), (0.5, true, Some("a.svg".into())));
    assert!(matches!(question("plan --false-drops 1/year", &[]).wanted, Wanted::AtMost(..)));
    let given = |line| matches!(question(line, &[]).wanted, Wanted::Deadline { given: true, .. });
    assert!(given("plan --deadline 30s") && given("plan --deadline 30s --battery") && !given("plan --rtt 1s"));
    let behind = question("plan --behind Cloudflare,azure-lb,azure-lb --nat-timeout 90s", &[]).behind;
    let limits: Vec<u64> = behind.iter().map(|one| one.limit.as_secs()).collect();
    assert_eq!(limits, [90, 240, 400], "the shortest first, each once");
    let machine = [("STILLTHERE_DEADLINE", "60s")];
    assert!(matches!(question("plan --false-drops 1/year", &machine).wanted, Wanted::AtMost(..)));
}

#[test]
fn what_makes_no_sense_says_what_would() {
    for (line, parts) in [
        ("plan --loss 2", ["--loss 2", "2% or 0.02"]),
        ("plan --loss 100%", ["--loss 100%", "nothing to plan"]),
        ("plan --loss 50% --burst-loss 20%", ["--burst-loss 20%", "than on average"]),
        ("plan --burst 0s", ["--burst 0s", "1ms or longer"]),
        ("plan --burst 1us", ["--burst 1us", "1ms or longer"]),
        ("plan --rtt 2days", ["--rtt 2days", "it must be at most a day"]),
        ("plan --peers 0", ["--peers 0", "from 1 to"]),
        ("plan --false-drops often", ["--false-drops often", "such as 1/year"]),
        ("plan --false-drops 1/year --deadline 5s", ["--false-drops 1/year", "or --deadline"]),
        ("plan --behind azure", ["\"azure\" is not listed", "did you mean azure-lb?"]),
        ("plan --behind nothing-like-it", ["is not listed\n", "\n  aws-alb "]),
        ("plan --nat-timeout 60days", ["--nat-timeout 60days", "it must be at most 30 days"]),
        ("plan --heartbeat 0s", ["--heartbeat 0s", "longer than 0s"]),
        ("plan --idle 40000s", ["--idle 40000s", "1s to 32767s"]),
        ("plan --deadline 2s --battery", ["--deadline 2s", "3s is the least"]),
        ("plan 30s", ["\"30s\"", "options only"]),
        ("plan --rrt 1s", ["no option --rrt", "did you mean --rtt?"]),
        ("plam", ["\"plam\" is not a command", "did you mean plan?"]),
    ] {
        let said = refused(line);
        for part in parts {
            assert!(said.contains(part), "{line}: {said:?} does not contain {part:?}");
        }
    }
}

#[test]
fn help_fits_a_screen() {
    let Ok(Command::Tell(text)) = read("plan --help", &[]) else { panic!() };
    assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(plan_options::OPTIONS.iter().all(|option| text.contains(&format!("--{} ", option.name))));
}

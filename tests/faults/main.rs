//! Injected faults: each system call that the server makes is made to fail with each errno that its man
//! page lists, before `main`, between `main` and the first wait, and while it serves. A running
//! server keeps the peers that it has; one that cannot start says why.
//!
//! `cargo test --test faults` prints at its end which pairs of call and errno were tried, and what
//! happened. Where strace(1) cannot be used, the trials are reported as ignored, never as passed.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread::scope;

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::course::{Course, Stage};
use self::strace::Fault;
use self::table::{ROWS, Row, Scene, Start};

#[path = "../common/mod.rs"]
mod common;
mod course;
mod peers;
mod running;
mod start;
mod strace;
mod table;

/// How many servers one trial runs at a time. They mostly sleep.
const AT_A_TIME: usize = 8;

/// A call, an errno and a moment that are to be tried.
struct Pair {
    errno: &'static str,
    when: &'static str,
    attempt: Box<dyn Fn() -> Result<String, String> + Send>,
}

/// One line of the table.
struct Tried {
    call: String,
    errno: &'static str,
    when: &'static str,
    came: String,
}

type Table = Arc<Mutex<Vec<Tried>>>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let table = Table::default();
    let usable = strace::is_usable();
    let trials = match &usable {
        Ok(()) => {
            allow_crowds();
            trials(&Course::record(), &table)
        }
        // Without a recorded run it is not known which calls are made, so the trials follow the rows of the table.
        Err(_) => ROWS
            .iter()
            .map(|row| Trial::test(row.names[0], || Err(Failed::without_message())).with_ignored_flag(true))
            .collect(),
    };
    let conclusion = libtest_mimic::run(&arguments, trials);
    print_table(&table.lock().expect("a trial's panic is caught"));
    if let Err(want) = usable {
        println!("NOT TESTED: no fault was injected, for {want}\n");
    }
    conclusion.exit_code()
}

fn trials(course: &Course, table: &Table) -> Vec<Trial> {
    let mut trials = vec![{
        let unknown: Vec<_> = [Stage::BeforeMain, Stage::Start, Stage::Running]
            .into_iter()
            .flat_map(|stage| course.calls(stage).into_iter().map(move |call| (stage, call.to_string())))
            .filter(|(stage, call)| !is_in_table(*stage, call))
            .collect();
        Trial::test("every call has a row", move || match &unknown[..] {
            [] => Ok(()),
            _ => Err(format!("the server makes calls that tests/faults/table.rs does not know: {unknown:?}").into()),
        })
    }];
    for row in ROWS {
        let made = |stage| row.names.iter().find(|name| course.calls(stage).contains(**name)).copied();
        if let Some(call) = made(Stage::BeforeMain) {
            let time = course.times(Stage::BeforeMain, call)[0];
            trials.push(trial_of_start(call, row, Stage::BeforeMain, vec![time], table));
        }
        if let Some(call) = made(Stage::Start) {
            trials.push(trial_of_start(call, row, Stage::Start, course.times(Stage::Start, call), table));
        }
        if let Some(call) = made(Stage::Running) {
            trials.push(trial_of_running(call, row, table));
        }
    }
    // If options are not inherited, they are set one by one.
    trials.push(trial_together("getsockopt,setsockopt", &[Scene::ComesFirst], table));
    trials.push(trial_together("brk,mmap,mremap", &[Scene::Crowds, Scene::Pours], table));
    trials
}

/// Whether the table says how a call is tested in the stage in which it was made.
fn is_in_table(stage: Stage, call: &str) -> bool {
    Row::find(call).is_some_and(|row| match stage {
        Stage::BeforeMain => true,
        Stage::Start => row.start != Start::Absent || row.errnos.is_empty(),
        // Rust's runtime removes its handlers when `main` has ended.
        Stage::Running => !row.running.is_empty() || row.errnos.is_empty() || call == "sigaltstack",
    })
}

fn trial_of_start(call: &str, row: &'static Row, stage: Stage, times: Vec<usize>, table: &Table) -> Trial {
    let begin = if stage == Stage::BeforeMain { "before main" } else { "start" };
    let mut pairs = Vec::new();
    for time in times {
        for errno in row.errnos {
            let name = call.to_string();
            pairs.push(Pair::new(errno, begin, table::is_beyond_trial(row, errno, None), move || {
                start::attempt(Fault { call: &name, errno, first: time, last: Some(time) }, stage, row.start)
            }));
        }
    }
    trial(format!("{begin}: {call}"), call, pairs, table)
}

fn trial_of_running(call: &str, row: &'static Row, table: &Table) -> Trial {
    let mut pairs = Vec::new();
    for errno in row.errnos {
        for scene in row.running {
            let name = call.to_string();
            let why_not = table::is_beyond_trial(row, errno, Some(*scene));
            pairs.push(Pair::new(errno, scene.in_words(), why_not, move || {
                let last = Some(table::times(row, errno));
                running::play(*scene, row, Fault { call: &name, errno, first: 1, last })
            }));
        }
        // A wait that is interrupted for ever looks like one that is interrupted often.
        if row.names[0] == "epoll_wait" && *errno != "EINTR" {
            let name = call.to_string();
            pairs.push(Pair::new(errno, "for ever", None, move || running::never_waits_again(&name, errno)));
        }
    }
    trial(format!("running: {call}"), call, pairs, table)
}

/// Calls that can replace each other, so that all of them must fail to leave the server no alternative.
fn trial_together(calls: &'static str, scenes: &'static [Scene], table: &Table) -> Trial {
    let row = calls.split(',').find_map(Row::find).expect("they have rows");
    let mut pairs = Vec::new();
    for errno in if row.is_allocator_s() { &["ENOMEM"] } else { row.errnos } {
        for scene in scenes {
            pairs.push(Pair::new(errno, scene.in_words(), None, move || {
                running::play(*scene, row, Fault { call: calls, errno, first: 1, last: Some(6) })
            }));
        }
    }
    trial(format!("running: {calls}"), calls, pairs, table)
}

impl Pair {
    fn new(
        errno: &'static str,
        when: &'static str,
        why_not: Option<&'static str>,
        attempt: impl Fn() -> Result<String, String> + Send + 'static,
    ) -> Self {
        let attempt = move || why_not.map_or_else(&attempt, |why| Ok(why.to_string()));
        Self { errno, when, attempt: Box::new(attempt) }
    }
}

/// Tries all pairs, some of them at the same time, and adds the results to the table.
fn trial(name: String, call: &str, pairs: Vec<Pair>, table: &Table) -> Trial {
    let (call, table) = (call.to_string(), table.clone());
    Trial::test(name, move || {
        let (waiting, failures) = (Mutex::new(pairs.into_iter()), Mutex::new(String::new()));
        let next = || waiting.lock().expect("nothing panics in here").next();
        let work = || {
            while let Some(Pair { errno, when, attempt }) = next() {
                let came = caught(attempt);
                let came = came.unwrap_or_else(|why| {
                    let mut failures = failures.lock().expect("nothing panics in here");
                    let _ = writeln!(failures, "{call} {errno}, {when}: {why}\n");
                    format!("FAILED: {}", why.lines().next().unwrap_or_default())
                });
                let tried = Tried { call: call.clone(), errno, when, came };
                table.lock().expect("nothing panics in here").push(tried);
            }
        };
        scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(work);
            }
        });
        let failures = failures.into_inner().expect("nothing panics in here");
        if failures.is_empty() { Ok(()) } else { Err(failures.into()) }
    })
}

/// A panic is the failure of one pair and does not end the others.
fn caught<T>(attempt: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default())
    })
}

/// Errnos with the same outcome share a line.
fn print_table(tried: &[Tried]) {
    let mut lines: Vec<(&str, &str, &str, String)> = Vec::new();
    for Tried { call, errno, when, came } in tried {
        match lines.iter_mut().find(|line| (line.0, line.1, line.2) == (call, when, came)) {
            Some(line) if line.3.split(' ').any(|other| other == *errno) => {}
            Some(line) => {
                line.3.push(' ');
                line.3 += errno;
            }
            None => lines.push((call, when, came, errno.to_string())),
        }
    }
    let row = |call| ROWS.iter().position(|row| row.names.contains(&call));
    lines.sort_by_key(|(call, when, came, _)| (row(call), *call, *when, *came));
    let skipped = tried.iter().filter(|tried| tried.came.starts_with("not tried")).count();
    println!("{} faults were injected, {skipped} pairs were not tried:\n", tried.len() - skipped);
    println!("{:<16} | {:<28} | {:<60} | errno", "call", "when", "what happened");
    for (call, when, came, errnos) in lines {
        println!("{call:<16} | {when:<28} | {came:<60} | {errnos}");
    }
    println!();
}

/// Each peer of a crowd takes a descriptor, also in the test.
fn allow_crowds() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        println!("the descriptor limit cannot be raised: {error}");
    }
}

//! Is the lab's verdict true? The lab judges misleading servers, and at the same time their sockets and descriptors are
//! checked independently.
//!
//! Owns the trials and the comparison. Where network namespaces cannot be created they are ignored,
//! never passed, and stderr says what to type.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};

use self::look::Looker;

mod look;
#[path = "../common/netns.rs"]
#[allow(dead_code)] // this test uses only a part of it
mod netns;
mod servers;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stillthere");
/// The pause between two independent checks.
const PAUSE: Duration = Duration::from_millis(50);
/// How many trials run at a time: there must be a check between the end of a peer and that of its server.
const AT_A_TIME: usize = 3;
const ATTEMPTS: usize = 5;
/// A check this close to the end of a peer may have been before it.
const MARGIN: f64 = 0.3;
/// How far the lab and the checks may differ on a busy machine.
const APART: f64 = 1.0;
/// The lab delays its lines by this long, to sort them.
const HELD_BACK: f64 = 0.1;
/// How long a dead peer is watched that the server keeps.
const CAP: f64 = 6.0;

/// What is true of a server.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Truth {
    LetGo,
    /// Its descriptor is closed, and the kernel still has the socket.
    Orphaned,
    Held,
}

const TRIALS: [(&str, fn()); 10] = [
    ("honest", || judged("honest", "{addr}:{port}", "idle/black-hole", Truth::LetGo)),
    ("it_opens_others_later", || judged("opens-later", "{addr}:{port}", "idle/black-hole", Truth::LetGo)),
    ("it_closes_another", || judged("closes-another", "{addr}:{port}", "idle/black-hole", Truth::Held)),
    ("it_closes_its_listener", || judged("closes-the-listener", "{addr}:{port}", "exchanged/black-hole", Truth::Held)),
    ("both_families_on_one_socket", || judged("closes-another", "[::]:{port}", "idle/black-hole", Truth::Held)),
    ("a_child_of_another_session_has_it", || judged("hands-over", "{addr}:{port}", "idle/black-hole", Truth::Held)),
    ("a_child_of_another_network_has_it", || judged("hands-outside", "{addr}:{port}", "idle/black-hole", Truth::Held)),
    ("it_has_a_duplicate", || judged("dups", "{addr}:{port}", "idle/black-hole", Truth::Held)),
    ("the_socket_lingers", || judged("lingers", "{addr}:{port}", "in-flight/black-hole", Truth::Orphaned)),
    ("it_was_dead_when_it_was_accepted", || {
        judged("closes-another", "{addr}:{port}", "accept-queue/reset", Truth::Held)
    }),
];

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    if let Some(result) = servers::run(&arguments) {
        return match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        };
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(AT_A_TIME));
    let wanted = |name: &str| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
    let any = !arguments.list && TRIALS.iter().any(|(name, _)| wanted(name));
    let missing = any.then(|| netns::prepare().err()).flatten();
    if let Some(missing) = &missing {
        eprintln!("\n*** THE LAB'S VERDICTS ARE NOT TESTED: no network namespaces here. {missing} ***\n");
    }
    let trial = |(name, run): (&str, fn())| {
        let run = move || {
            run();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    libtest_mimic::run(&arguments, TRIALS.map(trial).into_iter().collect()).exit_code()
}

/// Has the lab judge a server, checks it independently, and compares. On a busy machine there may have been no check while
/// the peer was there, or between its end and that of its server: then the trial is repeated.
fn judged(server: &str, address: &str, scene: &str, truth: Truth) {
    let is_compared = (0..ATTEMPTS).any(|_| is_compared(server, address, scene, truth));
    assert!(is_compared, "{server}: nobody looked in time");
}

fn is_compared(server: &str, address: &str, scene: &str, truth: Truth) -> bool {
    let own = std::env::current_exe().expect("a test program has a name");
    let line = format!("'{}' {} {server} {address} # {{addr}}", own.display(), servers::SERVE);
    let confession = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "{}-{server}-{}",
        std::process::id(),
        scene.replace('/', "-") + &address.replace(|c: char| !c.is_alphanumeric(), "")
    ));
    let cap = format!("{CAP}s");
    let mut lab = Command::new(PROGRAM)
        .args(["lab", "run", scene, "--deadline", "3s", "--cap", &cap, "--server", &line])
        .env(servers::CONFESSION, &confession)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the lab starts");
    let lines = lines(&mut lab);
    let mut looker = Looker::of(lab.id(), confession.clone());
    while lab.try_wait().expect("a child can be waited for").is_none() {
        looker.look();
        sleep(PAUSE);
    }
    let _ = fs::remove_file(confession); // it does not exist if the server never accepted
    let status = lab.wait().expect("a child can be waited for");
    let told = lines.iter().collect::<Vec<_>>();
    let story = told.iter().map(|(_, line)| format!("{line}\n")).collect::<String>();
    let said = Said::of(&told).unwrap_or_else(|| panic!("{server}: no verdict in:\n{story}"));
    let looks = &looker.looks;
    let seen = looks.iter().map(|look| format!("{:+.2} {look:?}\n", said.seconds(look.at))).collect::<String>();
    // The peer's life may have been too short for any check.
    let Some(held) = looks.iter().rposition(|look| look.is_held()) else { return false };
    let last = looks.last().expect("the peer was seen");
    let is_too_late = |gone: f64| said.seconds(last.at) < gone + MARGIN;
    if truth != Truth::Held && looks.len() == held + 1 && said.gone.is_some_and(is_too_late) {
        return false;
    }
    let found = match looks.get(held + 1) {
        None => Truth::Held,
        Some(_) if last.states.is_empty() => Truth::LetGo,
        Some(_) => Truth::Orphaned,
    };
    assert_eq!(found, truth, "{server} does not do what it is to do:\n{seen}");
    match (truth, said.gone) {
        (Truth::Held, None) => assert!(!status.success(), "{server}: {story}{seen}"),
        (Truth::LetGo | Truth::Orphaned, Some(gone)) => {
            assert!(status.success(), "{server}: {story}{seen}");
            let looked = said.seconds(looks[held + 1].at);
            assert!((looked - gone).abs() < APART, "{server}: {looked} is seen, {gone} is said:\n{story}{seen}");
        }
        _ => panic!("{server}: it is {truth:?}, and the lab says:\n{story}{seen}"),
    }
    let is_orphan = story.contains("orphan");
    assert_eq!(is_orphan, truth == Truth::Orphaned, "{server}: whether the kernel goes on is said:\n{story}{seen}");
    true
}

/// What the lab printed, and when.
struct Said {
    fault: Instant,
    gone: Option<f64>,
}

impl Said {
    fn of(told: &[(Instant, String)]) -> Option<Self> {
        let (fault, _) = told.iter().find(|(_, line)| line.contains("─ fault ─"))?;
        let (_, measured) = told.iter().find(|(_, line)| line.trim_start().starts_with("measured "))?;
        let gone = measured.split_once("gone after ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        Some(Self { fault: *fault, gone })
    }

    fn seconds(&self, at: Instant) -> f64 {
        match at.checked_duration_since(self.fault) {
            Some(after) => after.as_secs_f64() + HELD_BACK,
            None => HELD_BACK - self.fault.duration_since(at).as_secs_f64(),
        }
    }
}

/// All lines that the lab prints, with their times.
fn lines(lab: &mut std::process::Child) -> Receiver<(Instant, String)> {
    let (sender, lines) = channel();
    let streams: [Option<Box<dyn std::io::Read + Send>>; 2] =
        [lab.stdout.take().map(|out| Box::new(out) as _), lab.stderr.take().map(|out| Box::new(out) as _)];
    for stream in streams.into_iter().flatten() {
        let sender = sender.clone();
        thread::spawn(move || {
            let lines = BufReader::new(stream).lines().map_while(Result::ok);
            lines.take_while(|line| sender.send((Instant::now(), line.clone())).is_ok()).for_each(drop);
        });
    }
    lines
}

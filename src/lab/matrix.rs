//! `stillthere lab matrix`: many scenes side by side, for one server or several.
//!
//! Owns the jobs, the progress that is printed meanwhile, and which report goes to which file. `play/` runs a scene;
//! `show/report/` lays out the table.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::SystemTime;

use crate::lab::cast::program::Program;
use crate::lab::play::performance::{Part, Played, SceneOutcome, play};
use crate::lab::play::scene::{Fault, Scene, State};
use crate::lab::show::report::{self, Cell, page, table};
use crate::lab::show::terminal::{wants_colours, width};
use crate::lab::stage::interrupt::Interrupt;
use crate::lab::stage::places::Places;
use crate::lab::timeline::Verdict;
use crate::lab::{INTERRUPTED, LabSettings, MatrixRun, Promise};
use crate::markup::file::{self, ReportFile};
use crate::observe::stdout;
use crate::seconds::InWords;

/// The result of one scene with one server.
struct Done {
    program: usize,
    part: usize,
    scene: Scene,
    result: Result<Played, String>,
}

/// Runs all scenes, and prints the table.
///
/// # Errors
/// A sentence: no server could be tested, it was interrupted, or a file cannot be written.
pub(in crate::lab) fn run(matrix: &MatrixRun, interrupt: &Interrupt) -> Result<Promise, String> {
    let reports = file::prepare([matrix.json.as_ref(), matrix.html.as_ref(), matrix.markdown.as_ref()])?;
    let mut programs = Vec::new();
    for whose in &matrix.whose {
        match whose.program(&matrix.settings) {
            Ok(program) => programs.push(program),
            Err(why) => progress(&format!("left out: {why}")),
        }
    }
    if programs.is_empty() {
        return Err("none of the servers is installed".to_string());
    }
    let done = play_all(matrix, &programs, interrupt);
    if interrupt.is_asked() {
        return Err(INTERRUPTED.to_string());
    }
    // Presets are in the table for comparison. The exit code is about our own promise, or about that of the one server
    // that was asked for.
    let counts = |program: &Program| programs.len() == 1 || program.is_ours;
    let is_broken = done.iter().any(|done| counts(&programs[done.program]) && is_broken(&done.result));
    show(matrix, &programs, done, reports)?;
    Ok(if is_broken { Promise::Broken } else { Promise::Kept })
}

/// Hands the scenes out to threads, one after the other.
fn play_all(matrix: &MatrixRun, programs: &[Program], interrupt: &Interrupt) -> Vec<Done> {
    let mut parts = Vec::new();
    for (index, program) in programs.iter().enumerate() {
        for scene in &matrix.scenes {
            parts.push((index, part(&matrix.settings, program, *scene, parts.len() + 1)));
        }
    }
    let next = AtomicUsize::new(0);
    let stage = Places::new(matrix.at_once);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..matrix.jobs.min(parts.len()) {
            let (sender, parts, next, stage) = (sender.clone(), &parts, &next, &stage);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((program, part)) = parts.get(index).filter(|_| !interrupt.is_asked()) else { return };
                    let result = play(part, stage, interrupt, &mut |_, _| {});
                    let done = Done { program: *program, part: index, scene: part.scene, result };
                    if sender.send(done).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut all = Vec::new();
        for done in results {
            if !interrupt.is_asked() {
                let (nth, of, name) = (all.len() + 1, parts.len(), &programs[done.program].name);
                let (scene, words) = (done.scene.to_string(), in_words(&done.result));
                progress(&format!("{nth:>4} of {of}  {name:<15} {scene:<32} {words}"));
            }
            all.push(done);
        }
        all.sort_by_key(|done| done.part);
        all
    })
}

/// On stderr, whose reader may be gone.
fn progress(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn part(settings: &LabSettings, program: &Program, scene: Scene, number: usize) -> Part {
    Part {
        scene,
        program: program.clone(),
        keepalive: settings.keepalive.clone(),
        wheel: settings.wheel,
        cap: settings.cap,
        keep: settings.keep,
        start_patience: settings.start_patience,
        family: settings.family,
        number,
    }
}

/// The tables on the terminal, and the files.
fn show(
    matrix: &MatrixRun,
    programs: &[Program],
    done: Vec<Done>,
    [json, html, markdown]: [Option<ReportFile>; 3],
) -> Result<(), String> {
    let mut reports = programs.iter().map(|program| empty(matrix, program)).collect::<Vec<_>>();
    let mut remarks = vec![Vec::new(); programs.len()];
    for Done { program, scene, result, .. } in done {
        let why = match result {
            Ok(Played { outcome: SceneOutcome::Judged(verdict), timeline }) => {
                let report = &mut reports[program];
                let place = |names: &[String], name: &str| names.iter().position(|known| known == name);
                let fault = place(&report.faults, scene.fault.name()).unwrap_or_default();
                let state = place(&report.states, scene.state.name()).unwrap_or_default();
                report.cells.push(Cell { fault, state, verdict, timeline });
                continue;
            }
            Ok(Played { outcome: SceneOutcome::CannotBe(why), .. }) => why,
            Err(sentence) => format!("could not be played: {sentence}"),
        };
        remarks[program].push((scene, why));
    }
    let colours = wants_colours(io::stdout().is_terminal(), |name| std::env::var_os(name));
    let mut tables = String::new();
    for (report, remarks) in reports.iter().zip(&remarks) {
        let mut text = table::draw(report, width(io::stdout()), colours);
        for (why, scenes) in gathered(remarks) {
            text += &format!("–  {}: {why}\n", scenes.join(", "));
        }
        tables += &(text + "\n");
    }
    // If the terminal cannot be written to, the files are written all the same.
    let told = stdout::tell(&tables);
    if let Some(file) = json {
        let tables = reports.iter().map(report::json::write).collect::<Vec<_>>();
        let text = if let [one] = tables.as_slice() { one.clone() } else { format!("[{}]\n", tables.join(",")) };
        file.write(text.as_bytes())?;
    }
    if let Some(file) = markdown {
        let mut text = report::markdown::write(&reports);
        for (report, remarks) in reports.iter().zip(&remarks) {
            for (why, scenes) in gathered(remarks) {
                text += &format!("\n–, {}: {}: {why}.\n", report.server, scenes.join(", "));
            }
        }
        file.write(text.as_bytes())?;
    }
    if let Some(file) = html {
        file.write(page::write(&reports).as_bytes())?;
    }
    told
}

fn empty(matrix: &MatrixRun, program: &Program) -> report::Matrix {
    let keepalive = &matrix.settings.keepalive;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let has = |is_there: &dyn Fn(&Scene) -> bool| matrix.scenes.iter().any(is_there);
    let states = State::ALL.into_iter().filter(|state| has(&|scene| scene.state == *state));
    let faults = Fault::ALL.into_iter().filter(|fault| has(&|scene| scene.fault == *fault));
    report::Matrix {
        title: "Who is still there? Every state of a connection, and every fault".to_string(),
        when: humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace('T', " ").replace('Z', " UTC"),
        kernel: format!("Linux {}", release.trim()),
        server: program.name.clone(),
        version: program.version.clone(),
        settings: format!(
            "deadline {}: idle {}, interval {}, count {}",
            InWords(keepalive.deadline()),
            InWords(keepalive.idle()),
            InWords(keepalive.interval()),
            keepalive.count()
        ),
        told: program.told(keepalive),
        cap: matrix.settings.cap,
        keep: matrix.settings.keep,
        states: states.map(|state| state.name().to_string()).collect(),
        faults: faults.map(|fault| fault.name().to_string()).collect(),
        cells: Vec::new(),
    }
}

/// Each reason once, with its scenes.
fn gathered(remarks: &[(Scene, String)]) -> Vec<(&str, Vec<String>)> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for (scene, why) in remarks {
        match reasons.iter_mut().find(|(known, _)| known == why) {
            Some((_, scenes)) => scenes.push(scene.to_string()),
            None => reasons.push((why, vec![scene.to_string()])),
        }
    }
    reasons
}

fn is_broken(result: &Result<Played, String>) -> bool {
    match result {
        Ok(Played { outcome: SceneOutcome::Judged(verdict), .. }) => !verdict.kept_its_promise,
        Ok(_) => false,
        Err(_) => true,
    }
}

fn in_words(result: &Result<Played, String>) -> String {
    match result {
        Ok(Played { outcome: SceneOutcome::Judged(verdict), .. }) => verdict_in_words(verdict),
        Ok(Played { outcome: SceneOutcome::CannotBe(why), .. }) => format!("– {why}"),
        Err(sentence) => format!("could not be played: {sentence}"),
    }
}

fn verdict_in_words(verdict: &Verdict) -> String {
    let measured = match verdict.measured {
        Some(measured) => format!("gone after {:.2} s", measured.as_secs_f64()),
        None => format!("still there after {:.0} s", verdict.watched.as_secs_f64()),
    };
    let promised = match verdict.predicted {
        Some((from, to)) => format!(", promised {:.1} to {:.1} s", from.as_secs_f64(), to.as_secs_f64()),
        None => String::new(),
    };
    let broken = if verdict.kept_its_promise { "" } else { ": BROKE ITS PROMISE" };
    format!("{measured}{promised}{broken}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once() {
        let scene = |name: &str| name.parse::<Scene>().unwrap();
        let remarks = [
            (scene("idle/none"), "why".to_string()),
            (scene("idle/reset"), "so".to_string()),
            (scene("idle/closed"), "why".to_string()),
        ];
        let gathered = gathered(&remarks);
        assert_eq!(gathered[0], ("why", vec!["idle/none".to_string(), "idle/closed".to_string()]));
        assert_eq!(gathered.len(), 2);
    }
}

//! `stillthere lab run`: one scene, printed as it happens.

use std::io::{self, IsTerminal};

use crate::lab::play::performance::{Part, SceneOutcome, play};
use crate::lab::show::terminal::{Printer, wants_colours};
use crate::lab::show::{figure, pcapng};
use crate::lab::stage::interrupt::Interrupt;
use crate::lab::stage::network::INTERFACE;
use crate::lab::stage::places::Places;
use crate::lab::{INTERRUPTED, Promise, SceneRun};
use crate::markup::file;

/// Plays the scene and prints its timeline.
///
/// # Errors
/// A sentence: what could not be done.
pub(in crate::lab) fn run(run: &SceneRun, interrupt: &Interrupt) -> Result<Promise, String> {
    let [pcap, svg] = file::prepare([run.pcap.as_ref(), run.svg.as_ref()])?;
    let program = run.whose.program(&run.settings)?;
    let part = Part {
        scene: run.scene,
        program,
        keepalive: run.settings.keepalive.clone(),
        wheel: run.settings.wheel,
        cap: run.settings.cap,
        keep: run.settings.keep,
        start_patience: run.settings.start_patience,
        family: run.settings.family,
        number: 1,
    };
    let colours = wants_colours(io::stdout().is_terminal(), |name| std::env::var_os(name));
    let mut printer = Printer::new(io::stdout(), colours, None);
    let mut opened = false;
    let wants_files = run.pcap.is_some() || run.svg.is_some();
    let mut trouble = None;
    let mut has_gone = false;
    let played = play(&part, &Places::new(1), interrupt, &mut |origin, entry| {
        if !std::mem::replace(&mut opened, true) {
            printer = Printer::new(io::stdout(), colours, Some(origin));
        }
        match printer.entry(entry) {
            // If the reader has closed the pipe and no file is to be written, the scene need not go on.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                if !wants_files && !std::mem::replace(&mut has_gone, true) {
                    interrupt.ask();
                }
            }
            Err(error) => trouble = Some(format!("cannot write to standard output: {error}")),
            Ok(()) => {}
        }
    });
    if has_gone {
        return Ok(Promise::Unseen);
    }
    if interrupt.is_asked() {
        return Err(INTERRUPTED.to_string());
    }
    let played = played?;
    if let Some(file) = pcap {
        let mut packets = Vec::new();
        pcapng::write(&mut packets, &played.timeline, INTERFACE)
            .map_err(|error| format!("the packets cannot be written as a capture file: {error}"))?;
        file.write(&packets)?;
    }
    match played.outcome {
        SceneOutcome::CannotBe(why) => Err(format!("{}: {why}", run.scene)),
        SceneOutcome::Judged(verdict) => {
            match printer.verdict(&verdict) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    trouble = Some(format!("cannot write to standard output: {error}"));
                }
                _ => {}
            }
            if let Some(file) = svg {
                file.write(figure::draw(&played.timeline, &verdict).as_bytes())?;
            }
            if let Some(trouble) = trouble {
                return Err(trouble);
            }
            Ok(if verdict.kept_its_promise { Promise::Kept } else { Promise::Broken })
        }
    }
}

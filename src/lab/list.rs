//! `stillthere lab list`: the scenes in words.

use std::fmt::Write;

use crate::keepalive::{Keepalive, TimerWheel};
use crate::lab::cast::preset::PRESETS;
use crate::lab::play::expectation::{Expectation, expect};
use crate::lab::play::scene::{Fault, Scene, State};
use crate::observe::stdout;
use crate::speak::Speak;

/// # Errors
/// Standard output cannot be written.
pub(in crate::lab) fn print() -> Result<(), String> {
    stdout::tell(&text())
}

fn text() -> String {
    let mut text = String::from("A scene is a state and a fault: in-flight/black-hole.\n\nStates:\n");
    for state in State::ALL {
        let _ = writeln!(text, "  {:<21}{}", state.name(), state.explanation());
    }
    text += "\nFaults:\n";
    for fault in Fault::ALL {
        let _ = writeln!(text, "  {:<21}{}", fault.name(), fault.explanation());
    }
    text += "\nImpossible scenes:\n";
    for scene in Scene::all() {
        if let Expectation::CannotBe(why) =
            expect(scene, &Keepalive::default(), TimerWheel::of_this_kernel(), Speak::Echo)
        {
            let _ = writeln!(text, "  {scene}: {why}");
        }
    }
    let presets = PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ");
    let _ = writeln!(text, "\nServers: stillthere (this one), textbook, {presets}; or any by --server and --speak");
    text
}

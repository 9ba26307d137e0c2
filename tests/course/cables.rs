//! What a cut cable shows, played by the lab with the servers of the course.
//!
//! The lab is used as a student uses it: as a program.

use std::process::{Command, Stdio};

use crate::servers::{A_SLAB, A_THREAD_EACH, STILL_THERE, path_of};

/// Plays a scene, and returns what the lab has printed and whether the server kept its promise: a peer that is silent for 5 s is
/// gone, and a living one is kept.
fn keeps(scene: &str, example: &str, argument: &str) -> (bool, String) {
    let server = format!("{} {{addr}}:{{port}} {argument}", path_of(example).display());
    let mut lab = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    lab.args(["lab", "run", scene, "--server", &server, "--cap", "9s", "--keep", "15s"]).stdin(Stdio::null());
    let output = lab.output().expect("the lab starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let trouble = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => (true, said),
        Some(1) if said.contains("BROKE ITS PROMISE") => (false, said),
        _ => panic!("{scene} was not played: {said}{trouble}"),
    }
}

fn is_kept(scene: &str, example: &str, argument: &str) -> bool {
    keeps(scene, example, argument).0
}

/// What the lab lacks on this machine, in its own words.
pub fn missing() -> Option<String> {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    let output = lab.args(["lab", "run", "idle/closed"]).stdin(Stdio::null()).output().expect("the lab starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.contains("the lab makes").then(|| said.trim().to_string())
}

/// 6, and all before it: nobody tells a server that a cable was cut. In 2 it costs a thread.
pub fn a_dead_peer_stays_for_ever() {
    for example in [A_THREAD_EACH, A_SLAB] {
        let (kept, said) = keeps("idle/black-hole", example, "");
        assert!(!kept && said.contains("still there after 9.0 s"), "{example}: {said}");
    }
    assert!(is_kept("idle/black-hole", STILL_THERE, ""));
}

/// 7, in two halves: keepalive alone is blind while an ACK is owed.
pub fn keepalive_is_blind_while_data_are_in_flight() {
    assert!(is_kept("idle/black-hole", STILL_THERE, "keepalive-only"));
    let (kept, said) = keeps("in-flight/black-hole", STILL_THERE, "keepalive-only");
    assert!(!kept && said.contains("still there after 9.0 s") && !said.contains("keepalive probe"), "{said}");
    assert!(is_kept("in-flight/black-hole", STILL_THERE, ""));
}

/// 7: a window that stays shut. The house makes the kernel ask more often, and takes nobody for dead who answers.
pub fn a_living_peer_that_does_not_read_is_taken_for_dead() {
    let (kept, said) = keeps("window-shut/none", STILL_THERE, "");
    assert!(!kept && said.contains("a living peer"), "{said}");
    let mut house = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    let output = house.args(["lab", "run", "window-shut/none", "--keep", "15s"]).stdin(Stdio::null()).output();
    let output = output.expect("the lab starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The listener of the textbooks, in C: as the seventh server with keepalive alone.
pub fn the_textbook_in_c_is_blind_as_well() {
    let program = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("keepalive-{}", std::process::id()));
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/course/keepalive.c");
    let made = Command::new("cc").args(["-Wall", "-Wextra", "-Werror", "-o"]).args([&program, &source]).status();
    assert!(made.is_ok_and(|status| status.success()), "cc has not compiled {}", source.display());
    let line = format!("{} {{addr}} {{port}}", program.display());
    let plays = |scene| {
        let mut lab = Command::new(env!("CARGO_BIN_EXE_stillthere"));
        let output = lab.args(["lab", "run", scene, "--server", &line, "--cap", "9s"]).stdin(Stdio::null()).output();
        String::from_utf8_lossy(&output.expect("the lab starts").stdout).into_owned()
    };
    let (idle, in_flight) = (plays("idle/black-hole"), plays("in-flight/black-hole"));
    let _ = std::fs::remove_file(&program);
    assert!(idle.contains("kept its promise") && idle.contains("keepalive probe 3 of 3"), "{idle}");
    assert!(in_flight.contains("still there after 9.0 s") && !in_flight.contains("keepalive probe"), "{in_flight}");
}

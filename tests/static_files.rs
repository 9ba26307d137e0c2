//! The static files of `make static-all`, each run by qemu-user (the one of this machine without it): it serves, lets go of a peer
//! that says nothing, and goes on in another program with all of its peers.
//!
//! A file that is not there, that is older than the source, or whose qemu is not there, is reported as ignored, and stderr says why.
//!
//! qemu-user passes execve(2) on to the kernel, which refuses a program of another architecture unless binfmt_misc knows an
//! interpreter for it. So the server is started by a script that calls qemu, as `argv[0]` says; the server finds itself by that,
//! and what it executes for an upgrade is the script. With binfmt_misc, which a container has, the script is not needed.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Server, ask, exchange, made};
use libtest_mimic::{Arguments, Trial};

/// An architecture, as the file is called and as qemu calls it.
const ARCHITECTURES: [(&str, &str); 4] =
    [("x86_64", "x86_64"), ("aarch64", "aarch64"), ("armv7", "arm"), ("riscv64", "riscv64")];

/// What is tried on a machine.
type Act = fn(&Machine);

const TRIALS: [(&str, Act); 4] = [
    ("serves_and_echoes", serves),
    ("lets_go_of_a_peer_that_says_nothing", expects),
    ("goes_on_in_another_program_with_all_its_peers", upgrades),
    ("refuses_to_go_on_in_a_program_that_does_not_run", refuses),
];

fn main() {
    let mut trials = Vec::new();
    for (architecture, qemu) in ARCHITECTURES {
        let missing = missing(architecture, qemu);
        if let Some(missing) = &missing {
            eprintln!("\nNOT RUN: {missing}. These tests are ignored; they have not passed.\n");
        }
        for (name, run) in TRIALS {
            let run = move || {
                run(&Machine::new(architecture, qemu, name));
                Ok(())
            };
            trials.push(Trial::test(format!("{architecture}_{name}"), run).with_ignored_flag(missing.is_some()));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn file(architecture: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/static").join(format!("stillthere-{architecture}"))
}

fn is_of_this_machine(architecture: &str) -> bool {
    architecture == std::env::consts::ARCH
}

fn missing(architecture: &str, qemu: &str) -> Option<String> {
    if let Some(because) = made::unusable(&file(architecture), "make static-all") {
        return Some(because);
    }
    if is_of_this_machine(architecture) {
        return None;
    }
    let ran = Command::new(format!("qemu-{qemu}")).arg("--version").stdout(Stdio::null()).status();
    (!ran.is_ok_and(|status| status.success()))
        .then(|| format!("qemu-{qemu} cannot be run: `apt-get install qemu-user` installs it"))
}

/// A directory with the program: a script that calls qemu, or the file itself. It goes when the test ends.
struct Machine {
    directory: PathBuf,
    program: Vec<u8>,
}

impl Machine {
    fn new(architecture: &str, qemu: &str, name: &str) -> Self {
        let name = format!("static.{architecture}.{name}.{}", std::process::id());
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).unwrap();
        let program = match is_of_this_machine(architecture) {
            true => fs::read(file(architecture)).unwrap(),
            false => format!("#!/bin/sh\nexec qemu-{qemu} -0 \"$0\" '{}' \"$@\"\n", file(architecture).display())
                .into_bytes(),
        };
        let machine = Self { directory, program };
        machine.install(&machine.program);
        machine
    }

    /// As a package manager does it: the new file takes the name of the old one.
    fn install(&self, program: &[u8]) {
        let new = self.directory.join("new");
        fs::write(&new, program).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.directory.join("stillthere")
    }

    fn start(&self, options: &[&str]) -> Server {
        let mut command = Command::new(self.path());
        command.args(["serve", "127.0.0.1:0", "--log", "debug", "--deadline", "20s"]).args(options);
        Server::start_with(command)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn serves(machine: &Machine) {
    let mut server = machine.start(&[]);
    let mut peers = [server.connect(), server.connect(), server.connect()];
    for (peer, byte) in peers.iter_mut().zip(*b"abc") {
        ask(peer, &vec![byte; 300_000]);
    }
    server.signal("TERM");
    server.wait_for("stopped: 0 connected, 3 accepted");
    assert!(server.wait().success());
}

/// The clock of a machine with 32 bits was once read wrong, and no peer was ever let go.
fn expects(machine: &Machine) {
    let mut server = machine.start(&["--expect", "2s"]);
    let mut peer = server.connect();
    exchange(&mut peer);
    let said = Instant::now();
    let (gone, line) = server.wait_for("departed: unresponsive");
    let silent = gone.duration_since(said);
    assert!((Duration::from_millis(1900)..Duration::from_secs(4)).contains(&silent), "{silent:?}: {line}");
    assert!(line.contains("connected 2."), "{line}");
}

fn upgrades(machine: &Machine) {
    let mut server = machine.start(&["--expect", "4s"]);
    let pid = server.pid();
    let mut silent = server.connect();
    exchange(&mut silent);
    let since = Instant::now();
    let mut peers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for generation in 1..=3 {
        peers.iter_mut().for_each(exchange);
        server.signal("USR2");
        server.wait_for(&format!("21 peers stay (generation {generation})"));
    }
    peers.iter_mut().for_each(exchange);
    // Its deadline is the one that it had.
    let (gone, line) = server.wait_for("departed: unresponsive");
    let waited = gone.duration_since(since);
    assert!((Duration::from_millis(3900)..Duration::from_secs(6)).contains(&waited), "{waited:?}: {line}");
    drop(silent);
    exchange(&mut server.connect());
    server.signal("TERM");
    server.wait_for("stopped: 0 connected, 22 accepted");
    assert_eq!(server.pid(), pid);
    assert!(server.wait().success());
}

fn refuses(machine: &Machine) {
    let mut server = machine.start(&[]);
    let mut peer = server.connect();
    machine.install(b"this is no program\n");
    server.signal("USR2");
    server.wait_for("nobody leaves");
    exchange(&mut peer);
    machine.install(&machine.program);
    server.signal("USR2");
    server.wait_for("1 peer stays (generation 1)");
    exchange(&mut peer);
}

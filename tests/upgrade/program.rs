//! A program of a test's own, which can be replaced while a server runs it, as a package manager does: by a rename.
//!
//! Owns the file and its replacements, and what is asked of a server with a signal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::common::Server;
use crate::story::Directory;

/// What a server says when it goes on in another program, and when it does not.
pub const UPGRADED: &str = "upgraded from ";
pub const REFUSED: &str = "the upgrade is refused: ";

/// The file that a server was started from.
pub struct Program {
    pub directory: Directory,
}

impl Program {
    pub fn new() -> Self {
        let program = Self { directory: Directory::new() };
        program.put(&original());
        program
    }

    pub fn path(&self) -> String {
        self.directory.path("stillthere")
    }

    /// As [`Server::command`], with this program.
    pub fn command(&self, options: &[&str]) -> Command {
        let other = Server::command(options);
        let mut command = Command::new(self.path());
        command.args(other.get_args());
        command
    }

    pub fn start(&self, options: &[&str]) -> Server {
        Server::start_with(self.command(options))
    }

    /// Puts these bytes in its place.
    pub fn put(&self, bytes: &[u8]) {
        let new = self.directory.path("new");
        fs::write(&new, bytes).expect("a file can be written");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
        fs::rename(&new, self.path()).expect("a file can be renamed");
    }

    /// Puts a script in its place, which can run the original as `$PROGRAM`.
    pub fn put_script(&self, text: &str) {
        let original = env!("CARGO_BIN_EXE_stillthere");
        self.put(format!("#!/bin/sh\nPROGRAM='{original}'\n{text}\n").as_bytes());
    }

    pub fn put_original(&self) {
        self.put(&original());
    }

    pub fn remove(&self) {
        fs::remove_file(self.path()).expect("a file can be removed");
    }
}

/// The program that is tested.
pub fn original() -> Vec<u8> {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| fs::read(env!("CARGO_BIN_EXE_stillthere")).expect("the program can be read")).clone()
}

/// Sends SIGUSR2, without a process for it.
pub fn signal(server: &Server) {
    let pid = Pid::from_raw(server.pid() as i32).expect("a pid");
    kill_process(pid, Signal::USR2).expect("the server runs");
}

/// Has a server upgraded, and waits for it. The line that it logs.
pub fn upgrade(server: &mut Server) -> String {
    signal(server);
    server.wait_for(UPGRADED).1
}

/// The server does not do it. The sentence that says why.
pub fn is_refused(server: &mut Server) -> String {
    signal(server);
    let (_, line) = server.wait_for(REFUSED);
    let (_, sentence) = line.split_once(REFUSED).expect("it was found");
    sentence.to_string()
}

/// How often a line with this part comes within a moment from now, or came before.
pub fn count(server: &mut Server, part: &str) -> usize {
    let _ = server.wait_for_within("no line has this in it", Duration::from_millis(300));
    server.log.iter().filter(|(_, line)| line.contains(part)).count()
}

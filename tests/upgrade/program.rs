//! A program of a test's own, which can be replaced while a server runs it, as a package manager does: by a rename.
//!
//! Owns the file and its replacements, and what is asked of a server with a signal.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

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
        program.put_original();
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
        let staged = self.directory.path("staged");
        fs::write(&staged, bytes).expect("a file can be written");
        self.put_file(&staged);
    }

    /// Another process writes the file: a child that this one starts at the same time, for another trial, would have it open for
    /// writing, and a program that is open for writing is not executed (ETXTBSY).
    fn put_file(&self, from: &str) {
        let new = self.directory.path("new");
        let status = Command::new("install").args(["-m", "755", from, &new]).status().expect("install runs");
        assert!(status.success(), "{from} is copied");
        fs::rename(&new, self.path()).expect("a file can be renamed");
    }

    /// Puts a script in its place, which can run the original as `$PROGRAM`.
    pub fn put_script(&self, text: &str) {
        let original = env!("CARGO_BIN_EXE_stillthere");
        self.put(format!("#!/bin/sh\nPROGRAM='{original}'\n{text}\n").as_bytes());
    }

    pub fn put_original(&self) {
        self.put_file(env!("CARGO_BIN_EXE_stillthere"));
    }

    pub fn remove(&self) {
        fs::remove_file(self.path()).expect("a file can be removed");
    }
}

/// The program that is tested.
pub fn original() -> Vec<u8> {
    fs::read(env!("CARGO_BIN_EXE_stillthere")).expect("the program can be read")
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

/// A line with this, which may have come before.
pub fn find(server: &mut Server, part: &str) -> (Instant, String) {
    let found = server.log.iter().find(|(_, line)| line.contains(part)).cloned();
    found.unwrap_or_else(|| server.wait_for(part))
}

/// How often a line with this part comes within a moment from now, or came before.
pub fn count(server: &mut Server, part: &str) -> usize {
    let _ = server.wait_for_within("no line has this in it", Duration::from_millis(300));
    server.log.iter().filter(|(_, line)| line.contains(part)).count()
}

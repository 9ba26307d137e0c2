//! The log for programs, and for systemd's journal.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::Trials;

pub const TRIALS: Trials = &[
    ("every_line_of_the_log_is_an_object_of_json", json),
    ("lines_for_the_journal_have_priorities_and_others_have_none", journal),
    ("a_format_that_there_is_not_is_refused", unknown),
];

/// It is killed with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillthere"));
    command.arg("serve").args(options).stdin(Stdio::null());
    command
}

fn json() {
    let mut server = Running(serve(&["127.0.0.1:0", "--log-format", "json"]).stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stderr.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).expect("a line is an object");
    assert_eq!((&first["level"], &first["target"]), (&"info".into(), &"stillthere::serve".into()));
    humantime::parse_rfc3339(first["time"].as_str().unwrap()).expect("RFC 3339");
    let message = first["message"].as_str().unwrap();
    let address = message.split_once(" listens on ").unwrap().1.split(',').next().unwrap();
    // A start that fails ends with an object, too.
    let output = serve(&[address, "--log-format", "json"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let last: Value = serde_json::from_str(told.lines().last().unwrap()).expect("a line is an object");
    assert_eq!(last["level"], "error");
    assert!(last["message"].as_str().unwrap().contains("another socket has this address"), "{last}");
}

/// Any stream can be said to be the journal's.
fn journal() {
    for is_it in [true, false] {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let (mut reader, pipe) = (std::fs::File::from(reader), std::fs::File::from(writer));
        let metadata = pipe.metadata().unwrap();
        let inode = if is_it { metadata.ino() } else { metadata.ino() + 1 };
        // There is no such interface, so this start fails.
        let mut command = serve(&["192.0.2.1:7"]);
        let status = command.env("JOURNAL_STREAM", format!("{}:{inode}", metadata.dev())).stderr(pipe).status();
        drop(command);
        assert_eq!(status.unwrap().code(), Some(1));
        let mut told = String::new();
        reader.read_to_string(&mut told).unwrap();
        assert!(told.lines().count() > 0 && told.lines().all(|line| line.starts_with("<3>") == is_it), "{told}");
    }
}

fn unknown() {
    let output = serve(&["--log-format", "xml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("it must be text or json"));
}

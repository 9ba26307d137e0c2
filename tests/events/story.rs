//! What a reader was told: every line is an event by the schema, and none is missing that is not told of.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jsonschema::Validator;
use serde_json::Value;

use crate::common::{PATIENCE, again};

/// The schema that is published.
fn schema() -> &'static Validator {
    static SCHEMA: OnceLock<Validator> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let schema: Value =
            serde_json::from_str(include_str!("../../docs/events.schema.json")).expect("the schema is JSON");
        assert!(jsonschema::meta::is_valid(&schema), "the schema is a schema");
        jsonschema::validator_for(&schema).expect("the schema is understood")
    })
}

/// Events in the order in which they were told.
pub struct Story(pub Vec<Value>);

impl Story {
    /// Checks each line. A text that does not end with a line's end is torn.
    pub fn of(text: &str) -> Self {
        assert!(text.is_empty() || text.ends_with('\n'), "torn at the end: {:?}", text.lines().last());
        Self(text.lines().map(event).collect())
    }

    /// The same, and each event follows the one before it, or says how many are missing.
    pub fn whole(text: &str) -> Self {
        let story = Self::of(text);
        story.has_no_gap();
        story
    }

    pub fn has_no_gap(&self) {
        let mut next = 1;
        for event in &self.0 {
            let seq = event["seq"].as_u64().unwrap();
            if event["event"] == "left_out" {
                next += event["count"].as_u64().unwrap();
                assert_eq!(seq, next, "it has the number of the next event: {event}");
            } else {
                assert_eq!(seq, next, "a gap that was not told of, before {event}");
                next += 1;
            }
        }
    }

    pub fn all(&self, word: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |event| event["event"] == word)
    }

    pub fn count(&self, word: &str) -> usize {
        self.all(word).count()
    }

    /// How many events were left out, over all lines that say so.
    pub fn left_out(&self) -> u64 {
        self.all("left_out").map(|event| event["count"].as_u64().unwrap()).sum()
    }

    /// The only one of its kind.
    pub fn one(&self, word: &str) -> &Value {
        let found: Vec<_> = self.all(word).collect();
        assert_eq!(found.len(), 1, "one {word}, in {:#?}", self.0);
        found[0]
    }
}

/// One line, checked.
pub fn event(line: &str) -> Value {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("broken: {line:?}: {error}"));
    if let Err(error) = schema().validate(&event) {
        panic!("not by the schema: {line}: {error}");
    }
    event
}

/// Reads lines until `is_enough`; what came.
pub fn read_until(reader: &mut (impl Read + AsFd), mut is_enough: impl FnMut(&str) -> bool) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let so_far = String::from_utf8_lossy(&text);
        if is_enough(&so_far) {
            return so_far.into_owned();
        }
        assert!(again::has_more(&*reader, PATIENCE), "nothing came for a long time after {so_far}");
        let count = again::read(&mut *reader, &mut piece).unwrap_or_else(|error| panic!("after {so_far}: {error}"));
        assert!(count > 0, "it ended after {so_far}");
        text.extend_from_slice(&piece[..count]);
    }
}

/// Reads to the end.
pub fn read_rest(reader: &mut (impl Read + AsFd)) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 65536];
    loop {
        assert!(again::has_more(&*reader, PATIENCE), "no end came for a long time");
        match again::read(&mut *reader, &mut piece).expect("it can be read") {
            0 => return String::from_utf8(text).expect("events are UTF-8"),
            count => text.extend_from_slice(&piece[..count]),
        }
    }
}

/// A directory of a test's own, which is removed with it.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("stillthere-events-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a directory can be made");
        Self(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path in UTF-8").to_string()
    }

    /// Reads a file until it holds this.
    pub fn wait_for(&self, name: &str, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(self.path(name)).unwrap_or_default();
            if text.contains(part) {
                return text;
            }
            assert!(Instant::now() < until, "{name} never had {part:?}, but {text}");
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A pipe; the standard library has them since Rust 1.87.
pub fn pipe() -> (File, File) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
    (reader.into(), writer.into())
}

/// What docs/events.md shows is what a reader gets.
pub fn documented() {
    let page = include_str!("../../docs/events.md");
    let lines: String = page.lines().filter(|line| line.starts_with('{')).map(|line| format!("{line}\n")).collect();
    let story = Story::whole(&lines);
    assert_eq!((story.count("start"), story.count("departure"), story.count("stop")), (1, 2, 1));
}

//! The changes that break an invariant: each fits the source as it is, and names a test that is there.
//!
//! Whether that test then fails is asked by `make break N=all`, which takes ten minutes.

use std::fs;
use std::process::Command;

use crate::text::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// How many invariants docs/architecture.md has, and docs/course/break/ breaks.
fn invariants() -> usize {
    let house = read("docs/architecture.md");
    let section = house.split("\n## What must hold\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let section = section.expect("the house says what must hold");
    (1..).take_while(|number| section.contains(&format!("\n{number}. "))).count()
}

pub fn each_invariant_can_be_broken() {
    let count = invariants();
    assert!(count >= 11, "only {count} invariants were found");
    let patches = fs::read_dir(root().join("docs/course/break")).expect("there are patches").count();
    assert_eq!(patches, count, "a patch for each invariant of docs/architecture.md");
    for number in 1..=count {
        let path = format!("docs/course/break/{number}.patch");
        let patch = read(&path);
        assert!(patch.starts_with(&format!("Invariant: {number}. ")), "{path} says which one it breaks");
        let mut command = Command::new("patch");
        let tried =
            command.args(["--dry-run", "--force", "--strip", "1", "--input", &path]).current_dir(root()).output();
        let tried = tried.expect("patch is installed: `apt install patch`");
        let said = String::from_utf8_lossy(&tried.stdout);
        assert!(tried.status.success(), "{path} does not fit any more: the source around it has changed\n{said}");
        let changes = patch.lines().filter(|line| line.starts_with(['+', '-'])).count();
        assert!(changes <= 16, "{path} is not a few lines");
        let test = patch.lines().find_map(|line| line.strip_prefix("Test: cargo test ")).expect("its test");
        let name = test.split([' ', '\'']).rfind(|word| !word.is_empty()).expect("a name");
        let exists = match test.split(' ').next() {
            Some("--lib") => grep("src", name),
            _ => grep("tests", name),
        };
        assert!(exists, "{path}: there is no test {name}");
    }
}

fn grep(under: &str, name: &str) -> bool {
    let last = name.rsplit("::").next().expect("a name");
    let mut command = Command::new("grep");
    command.args(["-r", "-q", "-w", last, under]).current_dir(root()).status().is_ok_and(|status| status.success())
}

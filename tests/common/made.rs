//! What a `make` target has made before the tests, and whether the source has changed since.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// Why a file cannot be tested, if it cannot: a test of an old program would say nothing about the source.
pub fn unusable(file: &Path, target: &str) -> Option<String> {
    let Ok(made) = fs::metadata(file).and_then(|metadata| metadata.modified()) else {
        return Some(format!("{} is not there: `{target}` makes it", file.display()));
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let newest = newest(&root.join("src")).max(newest(&root.join("Cargo.lock")));
    (newest > made).then(|| format!("{} is older than the source: `{target}` makes it anew", file.display()))
}

fn newest(path: &Path) -> SystemTime {
    let own = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("the source is there");
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| newest(&entry.path())).max().unwrap_or(own).max(own)
}

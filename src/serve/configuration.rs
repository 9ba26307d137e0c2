//! The configuration file as the server has it: where it is, what it said, and which options hold because of it.
//!
//! Owns how the file is read from the disk. Knows no option: what a line means is the business of the arguments.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file of more bytes is no configuration.
const MOST: u64 = 1 << 20;

/// A configuration that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    pub path: PathBuf,
    /// As it was read: whoever has the text can read the same settings again.
    pub text: String,
    /// Each option that was given, in the file or elsewhere, with its value.
    pub given: Vec<(&'static str, String)>,
}

/// When a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Before the start: the file may be a pipe, and be waited for.
    Start,
    /// While peers are served: nothing is waited for.
    Serving,
}

/// What is in the file.
///
/// # Errors
/// A sentence: the file cannot be read, or is none that a configuration is read from.
pub fn read(path: &Path, occasion: Occasion) -> Result<Vec<u8>, String> {
    let mut options = OpenOptions::new();
    options.read(true);
    if occasion == Occasion::Serving {
        options.custom_flags(libc::O_NONBLOCK);
    }
    let cannot =
        |because: &dyn std::fmt::Display| format!("the configuration {} cannot be read: {because}", path.display());
    let file = options.open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => cannot(&format_args!("{error}; --config names the file")),
        _ => cannot(&error),
    })?;
    let kind = file.metadata().map_err(|error| cannot(&error))?.file_type();
    if kind.is_dir() {
        return Err(cannot(&"it is a directory; give a file in it"));
    }
    if occasion == Occasion::Serving && !kind.is_file() {
        return Err(cannot(&"it is no regular file, so it could be read only once, at the start"));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > MOST {
        return Err(cannot(&"it has more than 1 MiB; is it the right file?"));
    }
    Ok(bytes)
}

//! stdout, for every command but `serve`.

use std::io::{self, Write};

/// Writes a text. A reader that has gone (`stillthere plan | head -1`) has seen what it wanted.
///
/// # Errors
/// A sentence: it cannot be written for another reason, a full disk for instance.
pub fn tell(text: &str) -> Result<(), String> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}

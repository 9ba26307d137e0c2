//! stdout, for every command but `serve`.

use std::io::{self, Write};

/// Writes a text. A reader that has gone (`stillthere plan | head -1`) has seen what it wanted.
///
/// # Errors
/// A sentence: it cannot be written for another reason, a full disk for instance.
pub fn tell(text: &str) -> Result<(), String> {
    is_told(text).map(|_| ())
}

/// The same, for a text that is only a part. Whether there is still somebody to read the rest.
///
/// # Errors
/// See [`tell`].
pub fn is_told(text: &str) -> Result<bool, String> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("cannot write to standard output: {error}")),
    }
}

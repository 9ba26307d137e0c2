//! What a server gives up when it is ready to serve: another user's rights, and what it never needs again.
//!
//! Owns how that is done and proved. Knows no setting of the server: what must stay possible is told to it. `serve/confining.rs` does.
//!
//! | file | what a reader finds there |
//! |---|---|
//! | `user.rs` | who the server is to be, from /etc/passwd and /etc/group, and becoming that for good |
//! | `gifts.rs` | files that were made as root and are the user's from then on |
//! | `allowed.rs` | what stays possible under Landlock |
//! | `landlock.rs` | the three system calls, which no crate here wraps |

use std::fs::File;
use std::io::{self, Read};

pub(crate) mod allowed;
pub(crate) mod gifts;
mod landlock;
pub(crate) mod user;

/// All of a file, as text. (The standard library's way takes 1 kB.)
pub(crate) fn contents(path: &str) -> io::Result<String> {
    let (mut file, mut bytes, mut buffer) = (File::open(path)?, Vec::new(), [0; 4096]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

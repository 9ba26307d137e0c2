//! Whether the log goes to systemd's journal, which reads a priority at the beginning of each line (sd-daemon(3)).
//!
//! JOURNAL_STREAM names the device and the inode of the stream that a service was started with. It is inherited by all that the
//! service starts, so it says something only about a stream that is this one.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Our stderr is a stream of the journal.
pub fn is_stderr() -> bool {
    let Some(stream) = env::var_os("JOURNAL_STREAM") else { return false };
    let stderr = fs::metadata("/proc/self/fd/2").map(|stderr| (stderr.dev(), stderr.ino()));
    stderr.is_ok_and(|stderr| stream.to_str().and_then(read) == Some(stderr))
}

/// `8:12345`.
fn read(stream: &str) -> Option<(u64, u64)> {
    let (device, inode) = stream.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_two_numbers() {
        assert_eq!(read("8:12345"), Some((8, 12345)));
        for other in ["", "8", "8:", ":12345", "8:12345:1", "a:b", "-1:2"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}

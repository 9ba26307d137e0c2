//! Numbers that the kernel shows in /proc/sys: sysctl(8).
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;

/// `net/core/somaxconn`, for instance; `None` if it cannot be read or is not a number.
pub(crate) fn number(name: &str) -> Option<u64> {
    let mut text = [0; 24];
    let count = beginning(&format!("/proc/sys/{name}"), &mut text)?;
    std::str::from_utf8(&text[..count]).ok()?.trim().parse().ok()
}

/// Reads the beginning of a file of /proc into the buffer. Returns how many bytes that is.
pub(crate) fn beginning(path: &str, buffer: &mut [u8]) -> Option<usize> {
    File::open(path).ok()?.read(buffer).ok()
}

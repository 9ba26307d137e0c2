//! Numbers that the kernel tells in /proc/sys: sysctl(8).
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;

/// `net/core/somaxconn`, for instance; `None` if it cannot be read, or is no number.
pub fn number(name: &str) -> Option<u64> {
    let mut text = [0; 24];
    let count = beginning(&format!("/proc/sys/{name}"), &mut text)?;
    std::str::from_utf8(&text[..count]).ok()?.trim().parse().ok()
}

/// Fills the buffer with what a file of /proc begins with: how much that is.
pub fn beginning(path: &str, buffer: &mut [u8]) -> Option<usize> {
    File::open(path).ok()?.read(buffer).ok()
}

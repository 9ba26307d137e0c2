//! What the server costs, as the kernel counts it: memory of user space, the kernel's slabs, the CPU.
//!
//! Owns the reading of /proc. Knows no connection.

use std::fs;
use std::time::Duration;

/// Memory at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Pages that the process wrote to and shares with nobody, in bytes (`Private_Dirty`).
    pub private: u64,
    /// All slabs of the kernel, in bytes: sockets, files, epoll entries, of the whole machine. With both
    /// ends of a connection on it they hold both.
    pub slab: u64,
}

impl Footprint {
    /// # Errors
    /// A sentence: there is no such process, or it is another user's.
    pub fn of(pid: u32) -> Result<Self, String> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let maps = fs::read_to_string(&path).map_err(|error| format!("--pid {pid}: cannot read {path}: {error}"))?;
        let meminfo = fs::read_to_string("/proc/meminfo").map_err(|error| format!("cannot read meminfo: {error}"))?;
        let found = kibibytes(&maps, "Private_Dirty:").zip(kibibytes(&meminfo, "Slab:"));
        let (private, slab) = found.ok_or("the kernel does not tell Private_Dirty or Slab")?;
        Ok(Self { private, slab })
    }
}

/// A line such as `Slab:   123 kB`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// How long all threads of a process have been running, to the nanosecond.
pub fn cpu(pid: u32) -> Option<Duration> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        sum += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_footprint_can_be_read() {
        let before = Footprint::of(std::process::id()).unwrap();
        let many = vec![1u8; 32 << 20];
        let after = Footprint::of(std::process::id()).unwrap();
        assert!(after.private >= before.private + (24 << 20) && after.slab > 0, "{before:?} {after:?} {}", many.len());
        assert!(cpu(std::process::id()).is_some_and(|time| time > Duration::ZERO));
        assert!(Footprint::of(u32::MAX).unwrap_err().contains("--pid 4294967295"));
    }
}

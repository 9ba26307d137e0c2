//! What the server costs according to the kernel: user-space memory, the kernel's slabs, CPU time.
//!
//! Owns the reading of /proc. Knows no connection.

use std::fs;
use std::time::Duration;

/// Memory at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Pages that the process wrote to and shares with nobody, in bytes (`Private_Dirty`).
    pub private: u64,
    /// All slabs of the kernel, in bytes: sockets, files and epoll entries of the whole machine. If both
    /// ends of a connection are on it, both are included.
    pub slab: u64,
}

impl Footprint {
    /// Of one process, without its children.
    ///
    /// # Errors
    /// A sentence: there is no such process, or it is another user's.
    pub fn of(pid: u32) -> Result<Self, String> {
        Ok(Self { private: private(pid, true)?, slab: slab()? })
    }
}

/// The memory that a process has written to, in bytes. One that is not `alone` shares pages with its relatives since
/// fork(2), which are private to none of them: it counts with its share of those (`Pss_Dirty`, Linux 6.0), so that the
/// sum has them once. Without relatives both figures are the same.
///
/// # Errors
/// A sentence.
pub(super) fn private(pid: u32, alone: bool) -> Result<u64, String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let maps = fs::read_to_string(&path).map_err(|error| format!("--pid {pid}: cannot read {path}: {error}"))?;
    let share = if alone { None } else { kibibytes(&maps, "Pss_Dirty:") };
    let private = share.or_else(|| kibibytes(&maps, "Private_Dirty:"));
    private.ok_or_else(|| format!("--pid {pid}: the kernel does not report its Private_Dirty"))
}

/// # Errors
/// A sentence.
pub(super) fn slab() -> Result<u64, String> {
    let meminfo = fs::read_to_string("/proc/meminfo").map_err(|error| format!("cannot read meminfo: {error}"))?;
    kibibytes(&meminfo, "Slab:").ok_or_else(|| "the kernel does not report Slab in /proc/meminfo".to_string())
}

/// The fields of /proc/PID/stat after the name, which may contain blanks: the first is the state (proc(5)).
pub(super) fn stat(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.trim_end().to_string())
}

/// CPU time of children that have ended and were waited for, and of theirs, to the clock tick.
pub(super) fn of_ended_children(pid: u32) -> Option<Duration> {
    let fields = stat(pid)?;
    let mut ticks = fields.split(' ').skip(13).map_while(|field| field.parse::<u64>().ok());
    let ticks = ticks.next()? + ticks.next()?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// A line such as `Slab:   123 kB`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The CPU time of all present threads of a process, to the nanosecond.
pub fn cpu(pid: u32) -> Option<Duration> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread that has just ended has no such file any more.
        let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else { continue };
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

//! Figures of this process, from /proc/self.
//!
//! Owns where they are read. Reading them takes a few microseconds, however many peers there are.

use std::fs::{self, File};
use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// With more peers than this, the open descriptors are counted only where the kernel does it (Linux 6.2): to list
/// thousands of them takes milliseconds.
const MOST_LISTED: usize = 1000;

/// Figures of this process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub cpu: Duration,
    pub virtual_bytes: u64,
    pub resident_bytes: u64,
    /// When it was started, since 1970.
    pub started: Duration,
}

impl Process {
    /// `None` where /proc is not mounted.
    pub(super) fn look() -> Option<Self> {
        let mut line = [0; 1024];
        let length = File::open("/proc/self/stat").and_then(|mut file| file.read(&mut line)).ok()?;
        let ticks = clock_ticks_per_second();
        let uptime = clock_gettime(ClockId::Boottime);
        let uptime = Duration::new(uptime.tv_sec as u64, uptime.tv_nsec as u32);
        Self::read(std::str::from_utf8(&line[..length]).ok()?, ticks, page_size() as u64, uptime)
    }

    /// Reads the line of /proc/PID/stat (proc(5)). The name of the program is in it, and may hold blanks and brackets.
    fn read(line: &str, ticks: u64, page: u64, uptime: Duration) -> Option<Self> {
        let rest = line.rsplit_once(')')?.1;
        let mut figures = rest.split_ascii_whitespace();
        // The first one behind the name has the number 3.
        let mut figure = |skipped: usize| figures.nth(skipped)?.parse::<u64>().ok();
        let (user, system) = (figure(11)?, figure(0)?);
        let (started, virtual_bytes, resident) = (figure(6)?, figure(0)?, figure(0)?);
        let of_ticks = |count: u64| Duration::from_millis(count.saturating_mul(1000) / ticks.max(1));
        let age = uptime.saturating_sub(of_ticks(started));
        let began = SystemTime::now().checked_sub(age).and_then(|began| began.duration_since(UNIX_EPOCH).ok());
        Some(Self {
            cpu: of_ticks(user.saturating_add(system)),
            virtual_bytes,
            resident_bytes: resident.saturating_mul(page),
            started: began.unwrap_or_default(),
        })
    }
}

/// How many descriptors are open; `None` if that is not known cheaply.
pub(super) fn open_descriptors(peers: usize) -> Option<u64> {
    let directory = "/proc/self/fd";
    match fs::metadata(directory).ok()?.len() {
        0 if peers > MOST_LISTED => None,
        // One of them is the directory that is being read.
        0 => Some(fs::read_dir(directory).ok()?.count().saturating_sub(1) as u64),
        count => Some(count),
    }
}

/// How many descriptors may be open; `None`: as many as there is memory for.
pub(super) fn descriptor_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_proc_is_read_whatever_the_program_is_called() {
        let line = "17 (a) b (c) S 1 17 17 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 6000 4096000 300 18446744073709551615 1 1";
        let process = Process::read(line, 100, 4096, Duration::from_secs(100)).unwrap();
        assert_eq!(
            (process.cpu, process.virtual_bytes, process.resident_bytes),
            (Duration::from_secs(3), 4_096_000, 1_228_800)
        );
        let ago = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - process.started;
        assert!(
            ago.abs_diff(Duration::from_secs(40)) < Duration::from_secs(1),
            "it was started 60 seconds after the machine"
        );
        for line in
            ["", "17 (a", "17 (a) S 1 2", "17 (a) S 1 17 17 0 -1 4194304 100 0 0 0 x 50 0 0 20 0 1 0 6000 4096000 300"]
        {
            assert_eq!(Process::read(line, 100, 4096, Duration::ZERO), None, "{line}");
        }
    }

    #[test]
    fn this_process_has_figures() {
        let process = Process::look().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(process.resident_bytes > 1 << 16 && process.virtual_bytes >= process.resident_bytes, "{process:?}");
        assert!(
            process.started + Duration::from_secs(3600) > now && process.started <= now + Duration::from_millis(100),
            "{process:?}"
        );
        let few = open_descriptors(0).unwrap();
        assert!(few >= 3 && descriptor_limit().is_none_or(|limit| limit >= few), "{few}");
    }
}

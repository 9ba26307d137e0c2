//! The server's processes: the one given by --pid, and all its descendants.
//!
//! Owns the list of them, and the sums over all. How one process is read is in `memory.rs`. Knows no
//! connection.

use std::fs;
use std::time::Duration;

use crate::load::memory::{self, Footprint};

/// A process and its descendants. Children that are started later are found by the next check; a child whose parent
/// has ended stays in the family if it was found before.
#[derive(Clone, Debug)]
pub(super) struct ProcessFamily {
    /// The process given by --pid.
    pid: u32,
    members: Vec<Member>,
    /// The largest number of members at one check.
    most: usize,
    /// This kernel does not list children (`CONFIG_PROC_CHILDREN`).
    childless: bool,
}

/// A flag of a process that is ending (include/linux/sched.h), in /proc/PID/stat.
const PF_EXITING: u64 = 4;

/// A process is identified by its pid and by when it started: pids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    pid: u32,
    started: u64,
}

/// CPU time that the members had used up at one moment.
#[derive(Clone, Debug)]
pub(super) struct Spent {
    time: Duration,
    members: Vec<Member>,
}

/// CPU time between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub time: Duration,
    /// Members that ended in between. Their time is included if a parent waited for them, to the clock tick.
    pub ended: usize,
}

impl ProcessFamily {
    /// # Errors
    /// A sentence: there is no such process, or we may not read its memory.
    pub(super) fn of(pid: u32) -> Result<Self, String> {
        let path = format!("/proc/{pid}");
        let Some(first) = Member::of(pid) else {
            return Err(format!("--pid {pid}: there is no such process; `pgrep -o NAME` prints the oldest of a name"));
        };
        if let Err(error) = fs::read(format!("{path}/smaps_rollup")) {
            return Err(unreadable(pid, &error));
        }
        let childless = fs::read(format!("{path}/task/{pid}/children")).is_err();
        Ok(Self { pid, members: vec![first], most: 1, childless })
    }

    /// The memory of all of them.
    ///
    /// # Errors
    /// A sentence: which of them cannot be read, and why.
    pub(super) fn footprint(&mut self) -> Result<Footprint, String> {
        self.look()?;
        let mut sum = Footprint { private: 0, slab: memory::slab()? };
        let alone = self.members.len() == 1;
        for member in &self.members {
            // One that has just ended has no memory any more.
            match memory::private(member.pid, alone) {
                Ok(private) => sum.private += private,
                Err(_) if Member::of(member.pid) != Some(*member) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sum)
    }

    /// The CPU time of all of them so far; `None`: it cannot be read.
    pub(super) fn spent(&mut self) -> Option<Spent> {
        self.look().ok()?;
        // The time of ended children is added to their parent's once it has waited for them.
        let time = |member: &Member| Some(memory::cpu(member.pid)? + memory::of_ended_children(member.pid)?);
        Some(Spent { time: self.members.iter().filter_map(time).sum(), members: self.members.clone() })
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Whether children, if there are any, are left out.
    pub(super) fn is_blind_to_children(&self) -> bool {
        self.childless
    }

    /// Drops the members that have ended, and adds new ones.
    fn look(&mut self) -> Result<(), String> {
        self.members.retain(|member| Member::of(member.pid) == Some(*member));
        if self.members.is_empty() {
            return Err(format!("--pid {}: the process has ended", self.pid));
        }
        let mut next = 0;
        while next < self.members.len() {
            let pid = self.members[next].pid;
            for child in children(pid).iter().filter_map(|child| Member::of(*child)) {
                if !self.members.contains(&child) {
                    self.members.push(child);
                }
            }
            next += 1;
        }
        self.most = self.most.max(self.members.len());
        Ok(())
    }
}

impl Spent {
    /// The time used since `before`. `None` if the sum has shrunk: the time of members that ended without being waited for is
    /// missing from it.
    pub(super) fn since(&self, before: &Self) -> Option<Used> {
        let gone = |member: &&Member| !self.members.contains(member);
        let ended = before.members.iter().filter(gone).count();
        Some(Used { time: self.time.checked_sub(before.time)?, ended })
    }
}

impl Member {
    fn of(pid: u32) -> Option<Self> {
        let fields = memory::stat(pid)?;
        let field = |nth: usize| fields.split(' ').nth(nth);
        // State Z: a zombie. A process that is ending has no memory any more.
        let is_ending = matches!(field(0)?, "Z" | "X") || field(6)?.parse::<u64>().ok()? & PF_EXITING != 0;
        let started = field(19)?.parse().ok()?;
        (!is_ending).then_some(Self { pid, started })
    }
}

/// The children of all threads of a process; empty if they cannot be read.
fn children(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(text.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    children
}

/// Why a process's memory cannot be read, and what to do.
fn unreadable(pid: u32, error: &std::io::Error) -> String {
    use std::io::ErrorKind::PermissionDenied;
    use std::os::unix::fs::MetadataExt;
    if error.kind() == PermissionDenied {
        let owner = fs::metadata(format!("/proc/{pid}")).map(|process| format!(" (user {})", process.uid()));
        let owner = owner.unwrap_or_default();
        return format!(
            "--pid {pid}: that process belongs to another user{owner}, and only they and root may read its memory; run \
             this as that user or as root, or leave out --pid"
        );
    }
    format!("--pid {pid}: its memory cannot be read (kernel threads and defunct processes have none): {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn children_and_theirs_are_found_when_they_come_and_counted_when_they_go() {
        // A shell, its child that uses the CPU for a while, and a grandchild that stays.
        let line = "read start; (sleep 60 & echo $!; read go; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done) ; echo \
                    done; read end";
        let mut shell = Command::new("sh");
        let mut shell = shell.args(["-c", line]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut say, mut told) = (shell.stdin.take().unwrap(), BufReader::new(shell.stdout.take().unwrap()).lines());
        let mut family = ProcessFamily::of(shell.id()).unwrap();
        let alone = family.footprint().unwrap().private;
        assert_eq!((family.most(), family.is_blind_to_children()), (1, false));
        std::io::Write::write_all(&mut say, b"\n").unwrap();
        let sleeper: u32 = told.next().unwrap().unwrap().parse().unwrap();
        let before = family.spent().unwrap();
        assert!(family.footprint().unwrap().private > alone && family.most() == 3, "{family:?}");
        std::io::Write::write_all(&mut say, b"\n").unwrap();
        assert_eq!(told.next().unwrap().unwrap(), "done");
        let after = family.spent().unwrap();
        // The child has ended, and the shell has waited for it. The grandchild is an orphan, and stays.
        let used = after.since(&before).unwrap();
        assert_eq!((used.ended, family.members.len()), (1, 2), "{family:?}");
        assert!(used.time >= Duration::from_millis(10), "{used:?}");
        assert!(Command::new("kill").args(["-s", "KILL", &sleeper.to_string()]).status().unwrap().success());
        drop(say);
        shell.wait().unwrap();
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while family.footprint().is_ok() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(family.footprint().unwrap_err().contains("has ended"));
    }

    #[test]
    fn who_cannot_be_read_is_told_why() {
        assert!(ProcessFamily::of(u32::MAX).unwrap_err().contains("there is no such process"));
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let said = unreadable(std::process::id(), &denied);
        assert!(said.contains("another user (user ") && said.contains("as root"), "{said}");
    }
}

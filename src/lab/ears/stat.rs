//! State, parent and process group of a process or a thread: `/proc/PID/stat`, proc_pid_stat(5).
//!
//! Owns the parsing of that file. Does not know which processes matter.

use std::fs;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Stat {
    /// `T` is stopped, `Z` a zombie, `X` dead.
    pub state: char,
    pub parent: u32,
    pub group: u32,
}

impl Stat {
    /// `None`: there is no such process.
    pub(in crate::lab) fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `None`: there is no such thread.
    pub(in crate::lab) fn of_thread(pid: u32, thread: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).ok()?)
    }

    /// The second field, the name in parentheses, may contain anything, even spaces and parentheses.
    fn parse(stat: &str) -> Option<Self> {
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        Some(Self { state, parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_contain_anything() {
        let stat = Stat::parse("4711 (a) Z 1 (b) S 815 42 42 0 -1 4194304");
        assert_eq!(stat, Some(Stat { state: 'S', parent: 815, group: 42 }));
        assert_eq!(Stat::parse("4711 (a"), None);
    }

    #[test]
    fn this_process_has_a_parent_and_runs() {
        let own = Stat::of(std::process::id()).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id());
        assert!(!matches!(own.state, 'T' | 'Z' | 'X'), "{own:?}");
    }
}

//! The processes in a server's namespace, and whether they run.
//!
//! Owns the search of `/proc` that finds them, whatever process group or parent they have by now. Only reads:
//! `cast/signals.rs` stops and ends them. Does not know what they are for.

use crate::lab::ears::descriptors::{Processes, numbers};
use crate::lab::ears::stat::Stat;
use crate::lab::stage::namespaces::Namespace;

/// The processes of a namespace, without zombies.
pub(in crate::lab) fn processes(namespace: &Namespace) -> Vec<u32> {
    let Ok(inside) = Processes::of(namespace) else { return Vec::new() };
    inside.members().filter(|pid| !is_lab(*pid)).collect()
}

/// Some of the lab's own threads have entered namespaces. The lab as a whole is in none, and must never be signalled.
fn is_lab(pid: u32) -> bool {
    pid == std::process::id()
}

/// Whether a process is running; a zombie is not.
pub(in crate::lab) fn is_alive(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// The processes of a namespace, without those of one process group.
pub(in crate::lab) fn members(namespace: &Namespace, but_group: Option<u32>) -> Vec<u32> {
    let group = |pid: &u32| Stat::of(*pid).map(|stat| stat.group);
    let is_meant = |pid: &u32| but_group.is_none() || group(pid) != but_group;
    processes(namespace).into_iter().filter(is_meant).collect()
}

/// Whether every thread of a process is stopped. They do not stop at the moment of the signal.
pub(in crate::lab) fn is_stopped(pid: u32) -> bool {
    let mut states = numbers(&format!("/proc/{pid}/task")).filter_map(|thread| Stat::of_thread(pid, thread));
    states.all(|stat| matches!(stat.state, 'T' | 'Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_seen_to_run() {
        assert!(is_alive(std::process::id()) && !is_stopped(std::process::id()));
    }
}

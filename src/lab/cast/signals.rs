//! Stops, continues and ends the processes in a server's namespace.
//!
//! Owns the signals, and repeats them until they have taken effect. `ears/processes.rs` finds the processes. Does not
//! know what they are for.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::lab::ears::processes::{is_stopped, members, processes};
use crate::lab::stage::namespaces::Namespace;

/// How long processes may take to stop, or to end. Meanwhile the search and the signal are repeated, because they may fork.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends SIGSTOP until all processes of a namespace are stopped, without those of one process group.
pub(in crate::lab) fn stop_all(namespace: &Namespace, but_group: Option<u32>) {
    let until = Instant::now() + PATIENCE;
    loop {
        let running = members(namespace, but_group).into_iter().filter(|pid| !is_stopped(*pid)).collect::<Vec<_>>();
        if running.is_empty() || Instant::now() > until {
            return;
        }
        running.into_iter().for_each(|pid| signal(pid, Signal::STOP));
        sleep(Duration::from_millis(2));
    }
}

/// Sends SIGCONT to all processes of a namespace, without those of one process group.
pub(in crate::lab) fn continue_all(namespace: &Namespace, but_group: Option<u32>) {
    members(namespace, but_group).into_iter().for_each(|pid| signal(pid, Signal::CONT));
}

/// Sends SIGKILL until no process of a namespace is left.
pub(in crate::lab) fn kill_all(namespace: &Namespace) {
    let until = Instant::now() + PATIENCE;
    loop {
        let alive = processes(namespace);
        if alive.is_empty() || Instant::now() > until {
            return;
        }
        alive.into_iter().for_each(|pid| signal(pid, Signal::KILL));
        sleep(Duration::from_millis(5));
    }
}

fn signal(pid: u32, signal: Signal) {
    // This fails only if the process has already ended, and callers check for that.
    let _ = Pid::from_raw(pid as i32).map(|pid| kill_process(pid, signal));
}

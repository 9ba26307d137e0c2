//! The processes in a server's namespace, and which of them listen.
//!
//! Owns the search of `/proc` that finds them, whatever process group or parent they have by now. Only reads:
//! `cast/signals.rs` stops and ends them. Does not know what they are for.

use std::fs;
use std::io;
use std::net::SocketAddr;

use crate::lab::ears::descriptors::{Processes, numbers};
use crate::lab::ears::measure::{endpoint, tcp};
use crate::lab::stage::namespaces::Namespace;

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Listener {
    pub address: SocketAddr,
    pub inode: u64,
}

impl Listener {
    /// Whether a connection to `wanted` reaches it. A listener on `[::]` usually takes IPv4 as well.
    pub(in crate::lab) fn is_for(&self, wanted: SocketAddr) -> bool {
        let ip = self.address.ip();
        let takes_all = ip.is_unspecified() && (ip.is_ipv6() || wanted.is_ipv4());
        self.address.port() == wanted.port() && (takes_all || ip == wanted.ip())
    }
}

/// All listeners in a namespace.
pub(in crate::lab) fn listeners(namespace: &Namespace) -> io::Result<Vec<Listener>> {
    let text = namespace.within(|| {
        let tables = ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("/proc/thread-self/net/{name}")));
        let [v4, v6] = tables;
        Ok(v4? + &v6.unwrap_or_default()) // there may be no IPv6 at all
    })?;
    Ok(text.lines().filter_map(listener).collect())
}

fn listener(line: &str) -> Option<Listener> {
    let fields = line.split_whitespace().collect::<Vec<_>>();
    let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
    let is_listener = u8::from_str_radix(state, 16).ok()? == tcp::LISTEN;
    let (ip, port) = endpoint(local)?;
    is_listener.then_some(Listener { address: SocketAddr::new(ip, port), inode: inode.parse().ok()? })
}

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
    state_and_group(&format!("/proc/{pid}/stat")).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// The processes of a namespace, without those of one process group.
pub(in crate::lab) fn members(namespace: &Namespace, but_group: Option<u32>) -> Vec<u32> {
    let group = |pid: &u32| state_and_group(&format!("/proc/{pid}/stat")).map(|(_, group)| group);
    let is_meant = |pid: &u32| but_group.is_none() || group(pid) != but_group;
    processes(namespace).into_iter().filter(is_meant).collect()
}

/// Whether every thread of a process is stopped. They do not stop at the moment of the signal.
pub(in crate::lab) fn is_stopped(pid: u32) -> bool {
    let states = numbers(&format!("/proc/{pid}/task"))
        .filter_map(|thread| state_and_group(&format!("/proc/{pid}/task/{thread}/stat")));
    let mut states = states.map(|(state, _)| state);
    states.all(|state| matches!(state, 'T' | 'Z' | 'X'))
}

/// The state and the process group of a process or a thread, from its `stat` file.
fn state_and_group(stat: &str) -> Option<(char, u32)> {
    let stat = fs::read_to_string(stat).ok()?;
    // The name, in parentheses, may hold anything. After it: state, parent, group.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.nth(1)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn who_listens_is_read_from_the_table() {
        let line = "0: 0100007F:1B5F 00000000:0000 0A 00000000:00000002 00:00000000 00000000 0 0 4711 1 0";
        let local = listener(line).unwrap();
        assert_eq!(local, Listener { address: "127.0.0.1:7007".parse().unwrap(), inode: 4711 });
        assert!(listener(&line.replace(" 0A ", " 01 ")).is_none());
        let wanted = "203.0.113.2:7007".parse().unwrap();
        let at = |address: &str| Listener { address: address.parse().unwrap(), inode: 1 };
        assert!(!local.is_for(wanted) && at("0.0.0.0:7007").is_for(wanted) && at("[::]:7007").is_for(wanted));
        assert!(!at("0.0.0.0:7008").is_for(wanted) && at("203.0.113.2:7007").is_for(wanted));
        assert!(!at("0.0.0.0:7007").is_for("[2001:db8::2]:7007".parse().unwrap()));
    }

    #[test]
    fn a_process_is_seen_to_run() {
        assert!(state_and_group("/proc/self/stat").is_some());
        assert!(is_alive(std::process::id()) && !is_stopped(std::process::id()));
    }
}

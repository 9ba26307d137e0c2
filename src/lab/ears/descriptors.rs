//! Which process has a socket open: the descriptors of all processes, as `/proc` shows them.
//!
//! Owns the reading of `/proc/PID/fd`. Knows neither the socket table nor a scene.
//!
//! Listing thousands of descriptors of a process takes milliseconds, in which the process itself may be blocked. So a single
//! descriptor is checked first where that is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::{SockRef, Type};

use crate::lab::ears::stat::Stat;
use crate::lab::stage::namespaces::Namespace;

/// A descriptor of a process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::lab) struct Descriptor {
    pid: u32,
    /// The directory that it was found in: the process's, or that of a thread with descriptors of its own.
    directory: String,
    number: i32,
}

impl Descriptor {
    /// Whether it still refers to this socket: one system call.
    pub(in crate::lab) fn leads_to(&self, inode: u64) -> bool {
        socket(&format!("{}/{}", self.directory, self.number)) == Some(inode)
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, number, .. } = self;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        write!(f, "descriptor {number} of {} (pid {pid})", name.trim_end())
    }
}

/// The processes that may have a socket of a network namespace.
#[derive(Debug)]
pub(in crate::lab) struct Processes {
    network: u64,
}

impl Processes {
    /// # Errors
    /// The namespace does not exist.
    pub(in crate::lab) fn of(namespace: &Namespace) -> io::Result<Self> {
        Ok(Self { network: fs::metadata(namespace.path())?.ino() })
    }

    /// Those in the network namespace of this process.
    #[cfg(test)]
    pub(in crate::lab) fn here() -> Self {
        Self { network: fs::metadata("/proc/self/ns/net").unwrap().ino() }
    }

    /// A descriptor for each of these sockets that is open. The processes of the namespace are searched first. A thread may
    /// have a descriptor table of its own, and a child may have left the namespace with a descriptor: these are searched if
    /// a socket is still missing. No other process is searched: a busy machine has millions of unrelated descriptors.
    pub(in crate::lab) fn find(&self, inodes: &BTreeSet<u64>) -> BTreeMap<u64, Descriptor> {
        let mut found = BTreeMap::new();
        let (inside, outside): (Vec<_>, Vec<_>) = processes().partition(|pid| self.is_inside(*pid));
        let threads = inside.iter().flat_map(|pid| threads_of(*pid));
        let outside = outside.iter().filter(|pid| is_descendant(**pid)).map(|pid| (*pid, directory_of(*pid)));
        let places = inside.iter().map(|pid| (*pid, directory_of(*pid))).chain(threads).chain(outside);
        for (pid, directory) in places {
            if found.len() == inodes.len() {
                break;
            }
            let ours = sockets_in(pid, &directory).filter(|(inode, _)| inodes.contains(inode));
            found.extend(ours);
        }
        found
    }

    /// All processes that are in the namespace now, whatever process group or parent they have.
    pub(in crate::lab) fn members(&self) -> impl Iterator<Item = u32> + '_ {
        processes().filter(|pid| self.is_inside(*pid))
    }

    /// All sockets of the namespace's processes.
    pub(in crate::lab) fn sockets(&self) -> BTreeMap<u64, Descriptor> {
        self.members().flat_map(|pid| sockets_in(pid, &directory_of(pid))).collect()
    }

    fn is_inside(&self, pid: u32) -> bool {
        let is_inside = |place: String| Some(fs::metadata(format!("{place}/ns/net")).ok()?.ino() == self.network);
        // If the first thread has ended, the entries of the other threads still show the namespace.
        let by_thread =
            || numbers(&format!("/proc/{pid}/task")).find_map(|id| is_inside(format!("/proc/{pid}/task/{id}")));
        is_inside(format!("/proc/{pid}")).or_else(by_thread).unwrap_or(false)
    }
}

/// Whether this is a TCP connection with this local port. A dead connection is in no table, so the socket itself is asked,
/// through a duplicate of the descriptor (pidfd_getfd(2)) that is closed at once.
///
/// # Errors
/// The kernel does not permit the duplicate.
pub(in crate::lab) fn is_connection_of(descriptor: &Descriptor, port: u16) -> io::Result<bool> {
    let Some(pid) = Pid::from_raw(descriptor.pid.try_into().unwrap_or_default()) else { return Ok(false) };
    let ours = pidfd_open(pid, PidfdFlags::empty())
        .and_then(|process| pidfd_getfd(process, descriptor.number, PidfdGetfdFlags::empty()));
    let ours = match ours {
        Ok(ours) => ours,
        // The process has ended, or has closed it.
        Err(Errno::SRCH | Errno::BADF) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let socket = SockRef::from(&ours);
    let has_port = || socket.local_addr().is_ok_and(|address| address.as_socket().is_some_and(|a| a.port() == port));
    Ok(socket.r#type().is_ok_and(|kind| kind == Type::STREAM) && !socket.is_listener().unwrap_or(false) && has_port())
}

/// Whether the lab has started it, directly or through another process.
fn is_descendant(pid: u32) -> bool {
    let parent = |pid: u32| Stat::of(pid).map(|stat| stat.parent);
    let mut ancestors = std::iter::successors(parent(pid), |pid| parent(*pid));
    ancestors.any(|ancestor: u32| ancestor == std::process::id())
}

fn processes() -> impl Iterator<Item = u32> {
    numbers("/proc")
}

/// The entries of a directory that are numbers.
pub(in crate::lab) fn numbers(directory: &str) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn directory_of(pid: u32) -> String {
    format!("/proc/{pid}/fd")
}

/// The descriptor directories of all threads but the first, whose directory is that of the process. If the first thread has
/// ended, that one is empty.
fn threads_of(pid: u32) -> impl Iterator<Item = (u32, String)> {
    let threads = numbers(&format!("/proc/{pid}/task")).filter(move |thread| *thread != pid);
    threads.map(move |thread| (pid, format!("/proc/{pid}/task/{thread}/fd")))
}

fn sockets_in(pid: u32, directory: &str) -> impl Iterator<Item = (u64, Descriptor)> + use<> {
    let directory = directory.to_string();
    numbers(&directory).filter_map(move |number| {
        let inode = socket(&format!("{directory}/{number}"))?;
        Some((inode, Descriptor { pid, directory: directory.clone(), number: number.try_into().ok()? }))
    })
}

/// The inode of the socket that a descriptor refers to, if it is a socket.
fn socket(descriptor: &str) -> Option<u64> {
    let target = fs::read_link(descriptor).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_socket_is_followed_through_its_descriptors() {
        let one = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let inode = socket(&format!("/proc/self/fd/{}", one.as_raw_fd())).unwrap();
        let found = Processes::here().find(&BTreeSet::from([inode, 0]));
        let descriptor = &found[&inode];
        assert_eq!((found.len(), descriptor.pid, descriptor.number), (1, std::process::id(), one.as_raw_fd()));
        assert!(descriptor.leads_to(inode) && !descriptor.leads_to(inode + 1));
        assert!(descriptor.to_string().contains(&format!("(pid {})", std::process::id())), "{descriptor}");
        let duplicate = one.try_clone().unwrap();
        drop(one);
        assert!(Processes::here().find(&BTreeSet::from([inode])).contains_key(&inode), "it has a duplicate");
        drop(duplicate);
        // A process that another test forks has copies of all descriptors for a moment.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !Processes::here().find(&BTreeSet::from([inode])).is_empty() {
            assert!(std::time::Instant::now() < until, "nobody has it open");
        }
    }

    #[test]
    fn a_connection_is_told_from_its_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (peer, _) = listener.accept().unwrap();
        let of = |fd: i32| Descriptor { pid: std::process::id(), directory: "/proc/self/fd".to_string(), number: fd };
        assert!(is_connection_of(&of(peer.as_raw_fd()), port).unwrap());
        assert!(!is_connection_of(&of(peer.as_raw_fd()), port ^ 1).unwrap());
        assert!(!is_connection_of(&of(listener.as_raw_fd()), port).unwrap());
        assert!(!is_connection_of(&of(1 << 20), port).unwrap(), "it is closed");
    }
}

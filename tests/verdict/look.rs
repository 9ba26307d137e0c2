//! Independent checks of a peer of the lab's server: `ss` in the server's namespace, and the
//! descriptors of every process.
//!
//! Owns the checks. It shares no code with the lab, because the lab's verdict is compared with it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// The port that every server of the lab listens on.
const PORT: &str = "sport = :7007";

/// What was seen at one moment.
#[derive(Clone, Debug)]
pub struct Look {
    pub at: Instant,
    /// The states of the peer's sockets, as `ss` names them.
    pub states: Vec<String>,
    /// Whether one of them still belongs to a program, according to `ss`.
    pub has_inode: bool,
    /// How many descriptors, of all processes, refer to the peer's socket.
    pub descriptors: usize,
}

impl Look {
    /// A program holds the peer, or it waits to be accepted.
    pub fn is_held(&self) -> bool {
        let waits = |state: &String| matches!(state.as_str(), "ESTAB" | "CLOSE-WAIT" | "SYN-RECV");
        self.has_inode || self.descriptors > 0 || self.states.iter().any(waits)
    }
}

/// Looks at the server of the lab with this process id, for as long as it has one.
#[derive(Debug)]
pub struct Looker {
    lab: u32,
    inodes: BTreeSet<u64>,
    /// The file in which the server writes the inode of its peer, for a peer that was never seen in the table.
    confession: PathBuf,
    pub looks: Vec<Look>,
}

impl Looker {
    pub fn of(lab: u32, confession: PathBuf) -> Self {
        Self { lab, inodes: BTreeSet::new(), confession, looks: Vec::new() }
    }

    pub fn look(&mut self) {
        let Some(namespace) = self.namespace() else { return };
        let at = Instant::now();
        let Some(rows) = sockets(&namespace) else { return };
        self.inodes.extend(rows.iter().filter_map(|(_, inode)| *inode));
        let confessed = fs::read_to_string(&self.confession).ok();
        self.inodes.extend(confessed.and_then(|target| inode(&target)));
        let descriptors = if self.inodes.is_empty() { 0 } else { self.descriptors() };
        let look = Look {
            at,
            has_inode: rows.iter().any(|(_, inode)| inode.is_some()),
            states: rows.into_iter().map(|(state, _)| state).collect(),
            descriptors,
        };
        // After the verdict the lab ends its server: checks from then on say nothing about the server.
        if has_a_server(&namespace) {
            self.looks.push(look);
        }
    }

    fn namespace(&self) -> Option<String> {
        let names = fs::read_dir("/run/netns").ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let lab = self.lab.to_string();
        let is_ours = |name: &String| {
            let rest = name.strip_prefix("stillthere-lab-").and_then(|rest| rest.strip_prefix(&lab));
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()) && rest.ends_with("-server"))
        };
        names.into_iter().find(is_ours)
    }

    fn descriptors(&self) -> usize {
        let entries = |path: &str| fs::read_dir(path).into_iter().flatten().flatten();
        let processes = entries("/proc").filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let links = processes.flat_map(|pid| entries(&format!("/proc/{pid}/fd")).map(|entry| entry.path()));
        let inodes = links.filter_map(|link| inode(fs::read_link(link).ok()?.to_str()?));
        inodes.filter(|inode| self.inodes.contains(inode)).count()
    }
}

/// The inode in the target of a descriptor's link: `socket:[4711]`.
fn inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether the server under test is still running.
fn has_a_server(namespace: &str) -> bool {
    let Ok(network) = fs::metadata(format!("/run/netns/{namespace}")) else { return false };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut inside =
        processes.filter(|path| fs::metadata(path.join("ns/net")).is_ok_and(|its| its.ino() == network.ino()));
    inside.any(|path| fs::read_to_string(path.join("cmdline")).is_ok_and(|line| line.contains(super::servers::SERVE)))
}

/// The state of each connection, and its inode if a program has it open.
fn sockets(namespace: &str) -> Option<Vec<(String, Option<u64>)>> {
    let arguments = ["netns", "exec", namespace, "ss", "-H", "-t", "-a", "-n", "-e", PORT];
    let output = Command::new("ip").args(arguments).output().ok().filter(|output| output.status.success())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let socket = |line: &str| {
        let state = line.split_whitespace().next()?.to_string();
        let inode = line.split_once("ino:").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
        (state != "LISTEN" && state != "TIME-WAIT").then_some((state, inode.filter(|inode| *inode != 0)))
    };
    Some(said.lines().filter_map(socket).collect())
}

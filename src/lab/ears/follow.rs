//! Whether a server still holds its peer. The client's sockets are followed, whatever else the server
//! opens or closes.
//!
//! Owns what is known of each of them: its row in the kernel's table while it has one, and after that its inode, and
//! whether some process still has it open. Knows no scene.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use crate::lab::ears::descriptors::{Descriptor, Processes, is_connection_of};
use crate::lab::ears::measure::{SocketRow, SocketTable, tcp};
use crate::lab::stage::namespaces::Namespace;

/// A socket that no process had open in this many checks in a row counts as closed. One check is not enough: a descriptor may
/// be passed from a process that is still to be checked to one that already was.
const MISSED: u32 = 2;

/// What a server holds of its peers at one moment.
#[derive(Clone, Debug, Default)]
pub(in crate::lab) struct Holding {
    /// Sockets of peers that are in the table, whether accepted or not.
    pub sockets: Vec<SocketRow>,
    /// Sockets that the kernel has given up, but a process still has open.
    pub descriptors: Vec<Descriptor>,
    /// Connections in the listener's accept queue, including dead ones.
    pub queued: u32,
    /// Sockets that are no longer in the table, and for which no open descriptor has been found yet.
    doubtful: usize,
}

impl Holding {
    pub(in crate::lab) fn is_empty(&self) -> bool {
        self.seems_empty() && self.doubtful == 0
    }

    fn seems_empty(&self) -> bool {
        self.sockets.is_empty() && self.descriptors.is_empty() && self.queued == 0
    }

    /// How many peers.
    pub(in crate::lab) fn count(&self) -> usize {
        self.sockets.len() + self.descriptors.len() + self.doubtful
    }
}

/// One of the client's sockets, at the server's end.
#[derive(Debug)]
struct Followed {
    peer_port: u16,
    /// Zero until the program has accepted it.
    inode: u64,
    /// The process that had it open at the last check.
    descriptor: Option<Descriptor>,
    missed: u32,
}

/// The client's sockets at the server.
#[derive(Debug)]
pub(in crate::lab) struct Following {
    client: IpAddr,
    port: u16,
    table: SocketTable,
    processes: Processes,
    followed: Vec<Followed>,
    /// Sockets that belong to no peer: those that the server had before the first peer came, and those that turned out to
    /// be something else.
    others: BTreeSet<u64>,
    empty_since: Option<Instant>,
}

impl Following {
    /// Begins before the client at `client` connects to `port`.
    ///
    /// # Errors
    /// A sentence: why the table cannot be read.
    pub(in crate::lab) fn begin(server: &Namespace, client: IpAddr, port: u16) -> Result<Self, String> {
        let table = SocketTable::of(server).map_err(|error| format!("cannot read the socket table: {error}"))?;
        let processes =
            Processes::of(server).map_err(|error| format!("cannot find the server's processes: {error}"))?;
        Ok(Self::through(table, processes, client, port))
    }

    fn through(table: SocketTable, processes: Processes, client: IpAddr, port: u16) -> Self {
        let others = processes.sockets().into_keys().collect();
        Self { client, port, table, processes, followed: Vec::new(), others, empty_since: None }
    }

    /// Checks the socket table, and the descriptors for sockets that are no longer in it.
    ///
    /// # Errors
    /// A sentence: what cannot be read.
    pub(in crate::lab) fn look(&mut self) -> Result<Holding, String> {
        let at = Instant::now();
        let rows = self.table.rows().map_err(|error| format!("cannot read the socket table: {error}"))?;
        let ours = rows.iter().filter(|row| row.port == self.port);
        let queued = ours.clone().filter(|row| row.state == tcp::LISTEN).map(|row| row.unread).sum();
        let sockets = ours.filter(|row| row.peer == self.client).copied().collect::<Vec<_>>();
        let mut holding = Holding { queued, ..Holding::default() };
        self.read(&sockets, &mut holding);
        self.search(&rows, &mut holding)?;
        let seems_empty = holding.seems_empty();
        self.empty_since = self.empty_since.filter(|_| seems_empty).or(seems_empty.then_some(at));
        Ok(holding)
    }

    /// Since when the server has held nothing, without interruption.
    pub(in crate::lab) fn empty_since(&self) -> Option<Instant> {
        self.empty_since
    }

    /// The states of orphans: sockets that the program has closed and the kernel has not finished with.
    ///
    /// # Errors
    /// A sentence: the table cannot be read.
    pub(in crate::lab) fn orphans(&mut self) -> Result<Vec<&'static str>, String> {
        let rows = self.table.rows().map_err(|error| format!("cannot read the socket table: {error}"))?;
        let ours = rows.iter().filter(|row| (row.port, row.peer) == (self.port, self.client));
        Ok(ours.filter(|row| !row.is_held() && row.state != tcp::TIME_WAIT).map(|row| tcp::name(row.state)).collect())
    }

    /// A description of what is held: the state of the first peer's socket, and which process has it open.
    pub(in crate::lab) fn whereabouts(&self, holding: &Holding) -> String {
        let more = match holding.count() {
            0 | 1 => String::new(),
            count => format!("; and {} more", count - 1),
        };
        let Some(row) = holding.sockets.first() else {
            let descriptor = holding.descriptors.first().map(ToString::to_string);
            return descriptor.map_or_else(
                || "it waits to be accepted".to_string(),
                |descriptor| format!("the kernel has given up its socket, but {descriptor} is still open{more}"),
            );
        };
        let state = tcp::name(row.state);
        let found = self.processes.find(&BTreeSet::from([row.inode]));
        match found.get(&row.inode) {
            _ if row.inode == 0 => format!("its socket is {state} and waits to be accepted{more}"),
            Some(descriptor) => format!("its socket is {state}, and {descriptor} is open{more}"),
            None => format!("its socket is {state}, and belongs to a program{more}"),
        }
    }

    /// Updates the followed sockets from the table.
    fn read(&mut self, sockets: &[SocketRow], holding: &mut Holding) {
        for row in sockets.iter().filter(|row| row.is_held()) {
            holding.sockets.push(*row);
            match self.followed.iter_mut().find(|known| known.peer_port == row.peer_port) {
                // A socket gets its inode when it is accepted.
                Some(known) if known.inode == 0 || row.inode == 0 || known.inode == row.inode => {
                    known.inode = known.inode.max(row.inode);
                    (known.descriptor, known.missed) = (None, 0);
                }
                _ => {
                    let (peer_port, inode) = (row.peer_port, row.inode);
                    self.followed.push(Followed { peer_port, inode, descriptor: None, missed: 0 });
                }
            }
        }
        // When the last descriptor is closed the socket belongs to the kernel: an orphan has no inode.
        self.followed.retain(|known| {
            let row = sockets.iter().find(|row| row.peer_port == known.peer_port);
            row.is_none_or(SocketRow::is_held)
        });
    }

    /// Checks the sockets that are in no table. One that timed out or was reset is not listed there any more, however long a
    /// program keeps its descriptor.
    fn search(&mut self, rows: &[SocketRow], holding: &mut Holding) -> Result<(), String> {
        let is_listed = |known: &Followed| {
            let same = |row: &SocketRow| (row.peer_port, row.inode) == (known.peer_port, known.inode);
            holding.sockets.iter().any(same)
        };
        let (listed, mut unlisted): (Vec<_>, Vec<_>) = self.followed.drain(..).partition(is_listed);
        self.followed = listed;
        let mut wanted = BTreeSet::new();
        for known in unlisted.iter_mut().filter(|known| known.inode != 0) {
            known.descriptor = known.descriptor.take().filter(|descriptor| descriptor.leads_to(known.inode));
            if known.descriptor.is_none() {
                wanted.insert(known.inode);
            }
        }
        let mut found = if wanted.is_empty() { Default::default() } else { self.processes.find(&wanted) };
        // A connection that died in the accept queue was never seen with an inode. While the queue is not empty, it may still
        // be in it.
        let is_lost = |known: &Followed| known.inode == 0;
        let mut accepted = if holding.queued == 0 && unlisted.iter().any(is_lost) {
            self.accepted_when_dead(rows)?
        } else {
            Vec::new()
        };
        for mut known in unlisted {
            if known.inode == 0 && holding.queued > 0 {
                self.followed.push(known);
                continue;
            }
            if let Some((inode, descriptor)) = if known.inode == 0 { accepted.pop() } else { None } {
                (known.inode, known.descriptor) = (inode, Some(descriptor));
            }
            known.descriptor = known.descriptor.or_else(|| found.remove(&known.inode));
            match &known.descriptor {
                Some(descriptor) => {
                    holding.descriptors.push(descriptor.clone());
                    known.missed = 0;
                }
                None => known.missed += 1,
            }
            if known.missed < MISSED {
                holding.doubtful += usize::from(known.missed > 0);
                self.followed.push(known);
            }
        }
        Ok(())
    }

    /// Connections of the server's port that are in no table and are not followed yet: they died before they were accepted.
    fn accepted_when_dead(&mut self, rows: &[SocketRow]) -> Result<Vec<(u64, Descriptor)>, String> {
        let mut found = Vec::new();
        for (inode, descriptor) in self.processes.sockets() {
            let is_known = rows.iter().any(|row| row.inode == inode)
                || self.others.contains(&inode)
                || self.followed.iter().any(|known| known.inode == inode);
            if is_known {
                continue;
            }
            match is_connection_of(&descriptor, self.port) {
                Ok(true) => found.push((inode, descriptor)),
                Ok(false) => drop(self.others.insert(inode)),
                Err(error) => return Err(format!("cannot see what {descriptor} is: {error}")),
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use socket2::SockRef;

    use super::*;

    /// In the network namespace of the tests, where this process is both the server and the client.
    struct Here {
        listener: TcpListener,
        following: Following,
    }

    impl Here {
        fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let table = SocketTable::here().unwrap();
            let following = Following::through(table, Processes::here(), address.ip(), address.port());
            Self { listener, following }
        }

        fn connect(&self) -> TcpStream {
            TcpStream::connect(self.listener.local_addr().unwrap()).unwrap()
        }

        /// Compares sockets, descriptors and the queue, and whether nothing is held any more. A process that another test
        /// forks has copies of all descriptors for a moment, so this is tried for a while.
        fn comes_to(&mut self, wanted: (usize, usize, u32, bool)) {
            let until = Instant::now() + Duration::from_secs(10);
            loop {
                let holding = self.following.look().unwrap();
                let seen = (holding.sockets.len(), holding.descriptors.len(), holding.queued, holding.is_empty());
                if seen == wanted {
                    return;
                }
                assert!(Instant::now() < until, "{seen:?} instead of {wanted:?}");
            }
        }
    }

    fn reset(client: TcpStream) {
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    }

    #[test]
    fn a_socket_that_the_kernel_gave_up_is_held_until_its_last_descriptor_is_closed() {
        let mut here = Here::new();
        here.comes_to((0, 0, 0, true));
        let client = here.connect();
        let (peer, _) = here.listener.accept().unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        here.comes_to((1, 0, 0, false));
        reset(client);
        here.comes_to((0, 1, 0, false));
        drop(other);
        let duplicate = peer.try_clone().unwrap();
        drop(peer);
        here.comes_to((0, 1, 0, false));
        let holding = here.following.look().unwrap();
        let words = here.following.whereabouts(&holding);
        assert!(words.contains("has given up its socket") && words.contains("is still open"), "{words}");
        drop(duplicate);
        here.comes_to((0, 0, 0, false)); // once is not enough
        here.comes_to((0, 0, 0, true));
        assert!(here.following.empty_since().is_some());
    }

    #[test]
    fn one_that_died_in_the_queue_is_found_by_asking_the_sockets() {
        let mut here = Here::new();
        let client = here.connect();
        here.comes_to((1, 0, 1, false));
        reset(client);
        here.comes_to((0, 0, 1, false));
        let (peer, _) = here.listener.accept().unwrap();
        let _other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        here.comes_to((0, 1, 0, false));
        drop(peer);
        here.comes_to((0, 0, 0, false));
        here.comes_to((0, 0, 0, true));
    }

    #[test]
    fn an_orphan_is_let_go_and_told() {
        let mut here = Here::new();
        let client = here.connect();
        let (peer, _) = here.listener.accept().unwrap();
        here.comes_to((1, 0, 0, false));
        drop(peer);
        here.comes_to((0, 0, 0, true));
        // The FIN's ACK may be delayed (RFC 9293 §3.8.6.3).
        let until = Instant::now() + Duration::from_secs(10);
        while here.following.orphans().unwrap() == ["FIN-WAIT-1"] && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(here.following.orphans().unwrap(), ["FIN-WAIT-2"]);
        drop(client);
    }
}

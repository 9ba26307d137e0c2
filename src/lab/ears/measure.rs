//! A server's connections as the kernel lists them: the socket table of its namespace.
//!
//! Owns the reading of `/proc/net/tcp`. Knows no process and no scene.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::lab::stage::namespaces::Namespace;

/// States of a socket, as the kernel numbers them.
pub(in crate::lab) mod tcp {
    pub(crate) const ESTABLISHED: u8 = 1;
    pub(crate) const SYN_RECEIVED: u8 = 3;
    pub(crate) const TIME_WAIT: u8 = 6;
    pub(crate) const CLOSE: u8 = 7;
    pub(crate) const CLOSE_WAIT: u8 = 8;
    pub(crate) const LISTEN: u8 = 10;

    /// The name of the state in RFC 9293.
    pub(crate) fn name(state: u8) -> &'static str {
        const NAMES: [&str; 13] = [
            "unknown",
            "ESTABLISHED",
            "SYN-SENT",
            "SYN-RECEIVED",
            "FIN-WAIT-1",
            "FIN-WAIT-2",
            "TIME-WAIT",
            "CLOSED",
            "CLOSE-WAIT",
            "LAST-ACK",
            "LISTEN",
            "CLOSING",
            "SYN-RECEIVED",
        ];
        NAMES.get(usize::from(state)).unwrap_or(&NAMES[0])
    }
}

/// The timers of a socket, as the table numbers them.
pub(in crate::lab) mod timer {
    pub(crate) const RETRANSMISSION: u8 = 1;
    pub(crate) const WINDOW_PROBE: u8 = 4;
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct SocketRow {
    pub port: u16,
    pub peer: IpAddr,
    pub peer_port: u16,
    pub state: u8,
    /// Bytes that are not acknowledged yet, including those that are not sent yet.
    pub unacknowledged: u32,
    /// Bytes that are not read yet; for a listener, connections that are not accepted yet.
    pub unread: u32,
    pub timer: u8,
    /// Zero if no program holds the socket: it waits to be accepted, or is an orphan.
    pub inode: u64,
}

impl SocketRow {
    /// Whether a program holds it, or will when it accepts. An orphan, which the program has closed and the kernel has not
    /// finished with, is not held.
    pub(in crate::lab) fn is_held(&self) -> bool {
        self.inode != 0 || matches!(self.state, tcp::ESTABLISHED | tcp::SYN_RECEIVED | tcp::CLOSE_WAIT | tcp::CLOSE)
    }
}

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Listener {
    pub address: SocketAddr,
}

impl Listener {
    /// Whether a connection to `wanted` reaches it. A listener on `[::]` usually takes IPv4 as well.
    pub(in crate::lab) fn is_for(&self, wanted: SocketAddr) -> bool {
        let ip = self.address.ip();
        let takes_all = ip.is_unspecified() && (ip.is_ipv6() || wanted.is_ipv4());
        self.address.port() == wanted.port() && (takes_all || ip == wanted.ip())
    }
}

/// The socket table of a namespace, opened once and read often.
#[derive(Debug)]
pub(in crate::lab) struct SocketTable(Vec<File>);

impl SocketTable {
    /// # Errors
    /// The namespace cannot be entered, or its table cannot be opened.
    pub(in crate::lab) fn of(namespace: &Namespace) -> io::Result<Self> {
        // An open file keeps showing the table of the namespace in which it was opened.
        namespace.within(|| {
            let files = ["tcp", "tcp6"].map(|name| File::open(format!("/proc/thread-self/net/{name}")));
            let [v4, v6] = files;
            Ok(Self([Some(v4?), v6.ok()].into_iter().flatten().collect()))
        })
    }

    /// That of the network namespace of this process.
    #[cfg(test)]
    pub(in crate::lab) fn here() -> io::Result<Self> {
        Ok(Self(vec![File::open("/proc/thread-self/net/tcp")?]))
    }

    /// # Errors
    /// The table cannot be read.
    pub(in crate::lab) fn rows(&mut self) -> io::Result<Vec<SocketRow>> {
        Ok(self.text()?.lines().filter_map(row).collect())
    }

    /// # Errors
    /// The table cannot be read.
    pub(in crate::lab) fn listeners(&mut self) -> io::Result<Vec<Listener>> {
        Ok(self.text()?.lines().filter_map(listener).collect())
    }

    fn text(&mut self) -> io::Result<String> {
        let mut text = String::new();
        for file in &mut self.0 {
            file.rewind()?;
            file.read_to_string(&mut text)?;
        }
        Ok(text)
    }
}

fn row(line: &str) -> Option<SocketRow> {
    let fields = line.split_whitespace().collect::<Vec<_>>();
    let [_, local, remote, state, queues, timer, _, _, _, inode, ..] = fields[..] else { return None };
    let ((_, port), (peer, peer_port)) = (endpoint(local)?, endpoint(remote)?);
    let (unacknowledged, unread) = queues.split_once(':')?;
    Some(SocketRow {
        port,
        peer,
        peer_port,
        state: u8::from_str_radix(state, 16).ok()?,
        unacknowledged: u32::from_str_radix(unacknowledged, 16).ok()?,
        unread: u32::from_str_radix(unread, 16).ok()?,
        timer: u8::from_str_radix(timer.split_once(':')?.0, 16).ok()?,
        inode: inode.parse().ok()?,
    })
}

fn listener(line: &str) -> Option<Listener> {
    let mut fields = line.split_whitespace().skip(1);
    let ((ip, port), state) = (endpoint(fields.next()?)?, fields.nth(1)?);
    let is_listener = u8::from_str_radix(state, 16).ok()? == tcp::LISTEN;
    is_listener.then_some(Listener { address: SocketAddr::new(ip, port) })
}

/// Addresses are written as 32-bit words in the machine's byte order.
fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let words = address.as_bytes().chunks(8).map(|word| {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let bytes = words.collect::<Option<Vec<_>>>()?.concat();
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?).to_canonical(),
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1B5F 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 027100CB:1B5F 026433C6:D431 01 00000010:00000003 04:00000018 00000002     0        0 815 3 0000000000000000 21 4 28 10 -1
   2: 027100CB:1B5F 026433C6:D432 09 00000000:00000000 01:00000018 00000002     0        0 0 3 0000000000000000 21 4 28 10 -1
   3: 0000000000000000FFFF0000027100CB:1B5F 0000000000000000FFFF0000026433C6:D433 01 00000000:00000000 00:00000000 00000000 0 0 0 1 0 20 4 0 10 -1
";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_table_is_read_as_the_kernel_writes_it() {
        let rows = TABLE.lines().filter_map(row).collect::<Vec<_>>();
        assert_eq!(rows.len(), 4);
        let client = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2));
        let expected = SocketRow {
            port: 7007,
            peer: client,
            peer_port: 0xd431,
            state: tcp::ESTABLISHED,
            unacknowledged: 16,
            unread: 3,
            timer: timer::WINDOW_PROBE,
            inode: 815,
        };
        assert_eq!(rows[1], expected);
        let held = rows.iter().filter(|row| row.peer == client && row.is_held());
        let ports = held.map(|row| row.peer_port).collect::<Vec<_>>();
        assert_eq!(ports, [0xd431, 0xd433], "an orphan is let go, one that waits is not");
        assert_eq!((rows[0].state, rows[0].unread), (tcp::LISTEN, 2), "two are in the queue");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn listeners_are_read_from_the_table() {
        let line = "0: 0100007F:1B5F 00000000:0000 0A 00000000:00000002 00:00000000 00000000 0 0 4711 1 0";
        let local = listener(line).unwrap();
        assert_eq!(local, Listener { address: "127.0.0.1:7007".parse().unwrap() });
        assert!(listener(&line.replace(" 0A ", " 01 ")).is_none());
        let wanted = "203.0.113.2:7007".parse().unwrap();
        let at = |address: &str| Listener { address: address.parse().unwrap() };
        assert!(!local.is_for(wanted) && at("0.0.0.0:7007").is_for(wanted) && at("[::]:7007").is_for(wanted));
        assert!(!at("0.0.0.0:7008").is_for(wanted) && at("203.0.113.2:7007").is_for(wanted));
        assert!(!at("0.0.0.0:7007").is_for("[2001:db8::2]:7007".parse().unwrap()));
    }
}

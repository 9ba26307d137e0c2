//! The peers that are known, from sweeps and news.
//!
//! Owns who is there. A full sweep is the truth: who is not in it, and did not arrive while it went on, has gone.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::ask::AddressFilter;
use crate::ask::top::told::{Entry, Slice};

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub id: Arc<str>,
    pub address: String,
    /// When the last sign of life came, by the server's clock, in milliseconds.
    pub heard: u64,
    pub probes: u64,
    pub waiting: u64,
    /// The latest full sweep that had it.
    sweep: u64,
}

/// The order of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum By {
    #[default]
    Silence,
    Waiting,
    Address,
}

impl By {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Silence => Self::Waiting,
            Self::Waiting => Self::Address,
            Self::Address => Self::Silence,
        }
    }

    /// Whoever has less comes first. For all orders one number, so that there is one sort in the binary.
    fn rank(self, row: &Row) -> u128 {
        match self {
            Self::Silence => row.heard.into(),
            Self::Waiting => (u64::MAX - row.waiting).into(),
            // IPv4 before IPv6; the port is lost in the last bits of the latter.
            Self::Address => match row.address.parse::<SocketAddr>() {
                Ok(SocketAddr::V4(v4)) => u128::from(v4.ip().to_bits()) << 16 | u128::from(v4.port()),
                Ok(SocketAddr::V6(v6)) => v6.ip().to_bits() >> 2 | 1 << 126,
                Err(_) => u128::MAX,
            },
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Waiting => "output that waits",
            Self::Address => "address",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Peers {
    rows: Vec<Row>,
    places: HashMap<Arc<str>, usize>,
    /// How many full sweeps have begun, and whether one goes on.
    sweep: u64,
    is_sweeping: bool,
}

impl Peers {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Row> {
        self.places.get(id).map(|place| &self.rows[*place])
    }

    pub(super) fn take(&mut self, slice: Slice) {
        if slice.full && !self.is_sweeping {
            (self.is_sweeping, self.sweep) = (true, self.sweep + 1);
        }
        for entry in slice.entries {
            self.put(entry);
        }
        if slice.full && slice.last {
            self.is_sweeping = false;
            let gone: Vec<Arc<str>> =
                self.rows.iter().filter(|row| row.sweep < self.sweep).map(|row| Arc::clone(&row.id)).collect();
            gone.iter().for_each(|id| self.depart(id));
        }
    }

    /// Something was missed: whoever the sweep that goes on has told of may have gone since. The server begins another.
    pub(super) fn forget_sweep(&mut self) {
        self.is_sweeping = false;
    }

    /// Whether a full sweep has told of everybody.
    pub(super) fn is_complete(&self) -> bool {
        self.sweep > 0 && !self.is_sweeping
    }

    fn put(&mut self, entry: Entry) {
        let Entry { id, address, heard, probes, waiting } = entry;
        match self.places.get(id.as_str()) {
            Some(place) => {
                let row = &mut self.rows[*place];
                (row.heard, row.probes, row.waiting, row.sweep) = (heard, probes, waiting, self.sweep);
                if let Some(address) = address {
                    row.address = address;
                }
            }
            None => {
                let id: Arc<str> = id.into();
                self.places.insert(Arc::clone(&id), self.rows.len());
                // An address that was missed comes with the next full sweep.
                let address = address.unwrap_or_else(|| "?".to_string());
                self.rows.push(Row { id, address, heard, probes, waiting, sweep: self.sweep });
            }
        }
    }

    pub(super) fn arrive(&mut self, id: String, address: String, now: u64) {
        self.put(Entry { id, address: Some(address), heard: now, probes: 0, waiting: 0 });
    }

    pub(super) fn depart(&mut self, id: &str) {
        let Some(place) = self.places.remove(id) else { return };
        self.rows.swap_remove(place);
        if let Some(moved) = self.rows.get(place) {
            self.places.insert(Arc::clone(&moved.id), place);
        }
    }

    /// The ids of those that the filter lets through, in order.
    pub(super) fn order(&self, by: By, filter: &str) -> Vec<Arc<str>> {
        let network = filter.contains('/').then(|| filter.parse::<AddressFilter>().ok()).flatten();
        let passes = |row: &&Row| match network {
            Some(network) => row.address.parse::<SocketAddr>().is_ok_and(|address| network.has(address.ip())),
            None => filter.is_empty() || row.address.contains(filter) || row.id.contains(filter),
        };
        let mut rows: Vec<(u128, &Row)> = self.rows.iter().filter(passes).map(|row| (by.rank(row), row)).collect();
        // The id is last, so that rows which are equal do not change places from picture to picture.
        rows.sort_unstable_by(|(one, a), (other, b)| one.cmp(other).then_with(|| a.id.cmp(&b.id)));
        rows.iter().map(|(_, row)| Arc::clone(&row.id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, address: Option<&str>, heard: u64, waiting: u64) -> Entry {
        Entry { id: id.into(), address: address.map(str::to_string), heard, probes: 0, waiting }
    }

    fn ids(peers: &Peers, by: By, filter: &str) -> String {
        peers.order(by, filter).join(" ")
    }

    #[test]
    fn a_full_sweep_is_the_truth() {
        let mut peers = Peers::default();
        let full = |last: bool, entries: Vec<Entry>| Slice { full: true, last, entries };
        peers
            .take(full(false, vec![entry("1-1", Some("192.0.2.1:1"), 30, 0), entry("1-2", Some("10.0.0.1:1"), 10, 5)]));
        peers.take(full(true, vec![entry("1-3", Some("[2001:db8::1]:1"), 20, 9)]));
        assert_eq!(ids(&peers, By::Silence, ""), "1-2 1-3 1-1");
        assert_eq!(ids(&peers, By::Waiting, ""), "1-3 1-2 1-1");
        assert_eq!(ids(&peers, By::Address, ""), "1-2 1-1 1-3");
        for (filter, left) in
            [("10.0.0.0/8", "1-2"), ("192", "1-1"), ("::/0", "1-3"), ("-3", "1-3"), ("10.0.0.0/", ""), ("x", "")]
        {
            assert_eq!(ids(&peers, By::Silence, filter), left, "{filter}");
        }
        // The second full sweep: 1-2 has gone, 1-4 arrives and 1-1 departs while it goes on.
        peers.take(full(false, vec![entry("1-1", Some("192.0.2.1:1"), 40, 0)]));
        peers.arrive("1-4".into(), "192.0.2.4:1".into(), 50);
        peers.depart("1-1");
        peers.depart("1-1");
        assert_eq!(peers.len(), 3, "nobody is missed before the end");
        peers.take(full(true, vec![entry("1-3", Some("[2001:db8::1]:1"), 60, 9)]));
        assert_eq!(ids(&peers, By::Silence, ""), "1-4 1-3");
        // A third one is broken off: 1-3 was told of, and its departure was left out.
        peers.take(full(false, vec![entry("1-3", None, 60, 9)]));
        peers.forget_sweep();
        peers.take(full(true, vec![entry("1-4", Some("192.0.2.4:1"), 50, 0)]));
        assert_eq!(ids(&peers, By::Silence, ""), "1-4");
        peers.arrive("1-3".into(), "[2001:db8::1]:1".into(), 60);
        // A partial one takes nobody away.
        peers.take(Slice {
            full: false,
            last: true,
            entries: vec![entry("1-4", None, 70, 1), entry("1-5", None, 5, 0)],
        });
        assert_eq!(ids(&peers, By::Silence, ""), "1-5 1-3 1-4");
        assert_eq!(peers.get("1-4").map(|row| (row.address.as_str(), row.heard)), Some(("192.0.2.4:1", 70)));
        assert_eq!(peers.get("1-5").map(|row| row.address.as_str()), Some("?"));
    }

    #[test]
    fn an_empty_full_sweep_leaves_nobody() {
        let mut peers = Peers::default();
        peers.arrive("1-1".into(), "192.0.2.1:1".into(), 1);
        peers.take(Slice { full: true, last: true, entries: Vec::new() });
        assert_eq!(peers.len(), 0);
    }
}

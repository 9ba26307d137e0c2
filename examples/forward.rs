//! A forwarder: each peer gets a connection of its own to an upstream, such as redis, and both ends have the same deadline. When
//! one departs, the other is closed. What a peer sends before its upstream is connected waits, up to a bound.
//!
//! `cargo run --example forward -- 127.0.0.1:7203 127.0.0.1:6379`, then `redis-cli -p 7203 ping`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use stillthere::keepalive::Keepalive;
use stillthere::reactor::{Attempt, Connect, Farewell, Listen, Orders, Peer, PeerId, Reactor, Reason, Service};

const NO_UPSTREAM: Reason = Reason(1);
const MOST_EARLY: usize = 64 * 1024;

struct Forward {
    upstream: SocketAddr,
    /// Peers whose upstream is being connected, by the label of the attempt, and what they have sent meanwhile.
    early: BTreeMap<u64, (PeerId, Vec<u8>)>,
    /// The other end of each peer.
    others: BTreeMap<PeerId, PeerId>,
    labels: u64,
}

impl Service for Forward {
    type State = u64;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> u64 {
        self.labels += 1;
        self.early.insert(self.labels, (peer.id(), Vec::new()));
        if peer.orders().connect(Connect::to(self.upstream).label(self.labels)).is_err() {
            peer.let_go_for(NO_UPSTREAM);
        }
        self.labels
    }

    fn connected(&mut self, upstream: &mut Peer<'_, ()>, label: u64) -> u64 {
        match self.early.remove(&label) {
            Some((client, early)) => {
                upstream.send(&early);
                self.others.extend([(client, upstream.id()), (upstream.id(), client)]);
            }
            None => upstream.let_go(), // the peer has gone meanwhile
        }
        label
    }

    fn unreachable(&mut self, attempt: &Attempt<'_>, orders: &mut Orders) {
        if let Some((client, _)) = self.early.remove(&attempt.label) {
            let _ = orders.let_go_for(client, NO_UPSTREAM);
        }
    }

    fn received(&mut self, peer: &mut Peer<'_, u64>, bytes: &[u8]) {
        match (self.others.get(&peer.id()), self.early.get_mut(peer.state)) {
            (Some(other), _) if peer.orders().send(*other, bytes).is_ok() => {}
            (None, Some((_, early))) if early.len() + bytes.len() <= MOST_EARLY => early.extend_from_slice(bytes),
            _ => peer.let_go_for(NO_UPSTREAM),
        }
    }

    fn departed(&mut self, label: u64, farewell: &Farewell<'_>, orders: &mut Orders) {
        self.early.remove(&label);
        if let Some(other) = farewell.id.and_then(|id| self.others.remove(&id)) {
            let _ = orders.close(other); // if that is refused, it departs when it is used next
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut addresses = std::env::args().skip(1);
    let mut address = |default: &str| addresses.next().unwrap_or(default.to_string()).parse::<SocketAddr>();
    let (listen, upstream) = (address("127.0.0.1:7203")?, address("127.0.0.1:6379")?);
    let mut reactor = Reactor::new(10_000)?;
    let keepalive = Keepalive::with_deadline(Duration::from_secs(10))?;
    let service = Forward { upstream, early: BTreeMap::new(), others: BTreeMap::new(), labels: 0 };
    println!("listening on {}", reactor.listen(Listen::on(listen).keepalive(keepalive), service)?.address);
    Ok(reactor.run().map(|_| ())?)
}

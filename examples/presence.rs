//! A presence board: `NAME x` says who you are, `WHO` lists who is there, and for how long each one's *kernel* has been silent.
//! A peer that says nothing answers keepalive probes all the same; one whose cable is pulled does not, and its silence grows
//! until the deadline.
//!
//! `cargo run --example presence -- 127.0.0.1:7201`, then `telnet 127.0.0.1 7201`.

use std::collections::BTreeMap;
use std::time::Duration;

use stillthere::keepalive::Keepalive;
use stillthere::reactor::{Farewell, Listen, Look, Orders, Peer, PeerId, Reactor, Service};
use stillthere::service::LineBuffer;

#[derive(Default)]
struct Board {
    names: BTreeMap<PeerId, String>,
}

impl Service for Board {
    type State = LineBuffer;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> LineBuffer {
        self.names.insert(peer.id(), peer.address().to_string());
        LineBuffer::with_longest(100)
    }

    fn received(&mut self, peer: &mut Peer<'_, LineBuffer>, bytes: &[u8]) {
        if peer.state.add(bytes).is_err() {
            return peer.close();
        }
        let asker = peer.id();
        while let Some(line) = peer.state.next_line() {
            match line.split_once(' ') {
                Some(("NAME", name)) => drop(self.names.insert(asker, name.to_string())),
                // The kernel is asked about each peer when its turn comes: a long list takes several turns of the loop.
                None if line == "WHO" => {
                    if peer.orders().look_at(self.names.keys().copied(), Some(asker)).is_err() {
                        peer.send(b"too much is being asked; ask again\n");
                    }
                }
                _ => peer.send(b"NAME x or WHO\n"),
            }
        }
    }

    fn looked(&mut self, look: &Look, orders: &mut Orders) {
        let Some(asker) = look.asker else { return };
        let silent = look.seen.as_ref().and_then(|seen| seen.info).map(|info| info.silent);
        let mut answer = match (self.names.get(&look.peer), silent) {
            (Some(name), Some(silent)) => format!("{name} silent {:.1} s\n", silent.as_secs_f64()),
            (Some(name), None) if look.seen.is_some() => format!("{name} is there\n"),
            _ => String::new(), // it has departed in the meantime
        };
        if look.left == 0 {
            answer += "end\n";
        }
        let _ = orders.send(asker, answer.as_bytes()); // if too much waits, this line is left out
    }

    fn departed(&mut self, _lines: LineBuffer, farewell: &Farewell<'_>, _orders: &mut Orders) {
        self.names.retain(|id, _| Some(*id) != farewell.id);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7201".to_string());
    let mut reactor = Reactor::new(1000)?;
    reactor.obey_signals(Duration::from_secs(1))?;
    let keepalive = Keepalive::with_deadline(Duration::from_secs(10))?;
    println!(
        "listening on {}",
        reactor.listen(Listen::on(address.parse()?).keepalive(keepalive), Board::default())?.address
    );
    reactor.run()?;
    Ok(())
}

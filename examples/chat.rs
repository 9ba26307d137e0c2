//! A chat: each line that a peer sends reaches all others, and who leaves is said to have left, for whatever reason. A
//! peer whose cable is pulled has left after the deadline.
//!
//! `cargo run --example chat -- 127.0.0.1:7200`, then `telnet 127.0.0.1 7200` in two terminals.

use std::collections::BTreeSet;
use std::time::Duration;

use stillthere::keepalive::Keepalive;
use stillthere::reactor::{Farewell, Listen, Orders, Peer, PeerId, Reactor, Service};

/// The longest line. What is longer is not kept: the peer is closed.
const LONGEST: usize = 4096;

#[derive(Default)]
struct Chat {
    here: BTreeSet<PeerId>,
    arrived: u64,
}

/// What is remembered of a peer.
struct Guest {
    id: PeerId,
    number: u64,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
}

impl Chat {
    /// Says this to all but one.
    fn say(&self, except: PeerId, line: &[u8], orders: &mut Orders) -> bool {
        orders.send_to_all(self.here.iter().copied().filter(|id| *id != except), line).is_ok()
    }
}

impl Service for Chat {
    type State = Guest;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> Guest {
        self.arrived += 1;
        let guest = Guest { id: peer.id(), number: self.arrived, begun: Vec::new() };
        peer.send(format!("you are {}; {} others are here\n", guest.number, self.here.len()).as_bytes());
        self.here.insert(guest.id);
        self.say(guest.id, format!("* {} came\n", guest.number).as_bytes(), peer.orders());
        guest
    }

    fn received(&mut self, peer: &mut Peer<'_, Guest>, bytes: &[u8]) {
        peer.state.begun.extend_from_slice(bytes);
        while let Some(end) = peer.state.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = peer.state.begun.drain(..=end).collect();
            let said = [format!("{}: ", peer.state.number).as_bytes(), &line].concat();
            if !self.say(peer.state.id, &said, peer.orders()) {
                peer.send(b"* too much is being said: your line was not\n");
            }
        }
        if peer.state.begun.len() > LONGEST {
            peer.close();
        }
    }

    fn departed(&mut self, guest: Guest, farewell: &Farewell<'_>, orders: &mut Orders) {
        self.here.remove(&guest.id);
        self.say(guest.id, format!("* {} left: {}\n", guest.number, farewell.departure).as_bytes(), orders);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7200".to_string());
    let mut reactor = Reactor::new(10_000)?;
    reactor.obey_signals(Duration::from_secs(1))?;
    let keepalive = Keepalive::with_deadline(Duration::from_secs(10))?;
    let listening = reactor.listen(Listen::on(address.parse()?).keepalive(keepalive), Chat::default())?;
    println!("listening on {}", listening.address);
    reactor.run()?;
    Ok(())
}

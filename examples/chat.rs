//! A chat: each line of a peer reaches all others, who are told who leaves. A peer whose cable is pulled has left at the deadline.
//!
//! `cargo run --example chat -- 127.0.0.1:7200`, then `telnet 127.0.0.1 7200` in two terminals.

use std::collections::BTreeSet;
use std::time::Duration;

use stillthere::keepalive::Keepalive;
use stillthere::reactor::{Farewell, Listen, Orders, Peer, PeerId, Reactor, Reason, Service};
use stillthere::service::LineBuffer;

const LINE_TOO_LONG: Reason = Reason(1);

#[derive(Default)]
struct Chat {
    here: BTreeSet<PeerId>,
    arrived: u64,
}

/// What is remembered of a peer.
struct Guest {
    number: u64,
    lines: LineBuffer,
}

impl Chat {
    /// Sends this to all but one. False: too much waits to be sent, and nobody gets it.
    fn say(&self, except: Option<PeerId>, line: &str, orders: &mut Orders) -> bool {
        orders.send_to_all(self.here.iter().copied().filter(|id| Some(*id) != except), line.as_bytes()).is_ok()
    }
}

impl Service for Chat {
    type State = Guest;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> Guest {
        self.arrived += 1;
        peer.send(format!("you are {}; {} others are here\n", self.arrived, self.here.len()).as_bytes());
        self.say(None, &format!("* {} came\n", self.arrived), peer.orders());
        self.here.insert(peer.id());
        Guest { number: self.arrived, lines: LineBuffer::with_longest(4096) }
    }

    fn received(&mut self, peer: &mut Peer<'_, Guest>, bytes: &[u8]) {
        if peer.state.lines.add(bytes).is_err() {
            return peer.close_for(LINE_TOO_LONG);
        }
        let id = peer.id();
        while let Some(line) = peer.state.lines.next_line() {
            let said = format!("{}: {line}\n", peer.state.number);
            if !self.say(Some(id), &said, peer.orders()) {
                peer.send(b"* too much is being said: your line was not\n");
            }
        }
    }

    fn departed(&mut self, guest: Guest, farewell: &Farewell<'_>, orders: &mut Orders) {
        self.here.retain(|id| Some(*id) != farewell.id);
        let why = farewell.reason.map_or(farewell.departure.to_string(), str::to_string);
        self.say(None, &format!("* {} left: {why}\n", guest.number), orders);
    }

    fn reason(&self, _reason: Reason) -> &'static str {
        "its line was too long"
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7200".to_string());
    let mut reactor = Reactor::new(10_000)?;
    reactor.obey_signals(Duration::from_secs(1))?;
    let keepalive = Keepalive::with_deadline(Duration::from_secs(10))?;
    println!(
        "listening on {}",
        reactor.listen(Listen::on(address.parse()?).keepalive(keepalive), Chat::default())?.address
    );
    reactor.run()?;
    Ok(())
}

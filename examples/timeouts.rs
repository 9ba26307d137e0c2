//! A protocol with a time-out for each peer, as MQTT has it: `CONNECT 2` promises a line at least every two seconds, and a peer
//! that says nothing for one and a half times that is dropped. Whoever does not say CONNECT within ten seconds is dropped, too.
//!
//! `cargo run --example timeouts -- 127.0.0.1:7202`, then `telnet 127.0.0.1 7202`.

use std::time::Duration;

use stillthere::reactor::{Farewell, Listen, Moment, Orders, Peer, Reactor, Reason, Service};
use stillthere::service::LineBuffer;

const NEVER_CONNECTED: Reason = Reason(1);
const SILENT: Reason = Reason(2);
const NONSENSE: Reason = Reason(3);

struct Sessions;

struct Session {
    lines: LineBuffer,
    heard: Moment,
    /// `None` until it has said CONNECT.
    promised: Option<Duration>,
}

impl Service for Sessions {
    type State = Session;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> Session {
        peer.wake_at(peer.now() + Duration::from_secs(10));
        Session { lines: LineBuffer::with_longest(100), heard: peer.now(), promised: None }
    }

    fn received(&mut self, peer: &mut Peer<'_, Session>, bytes: &[u8]) {
        peer.state.heard = peer.now();
        if peer.state.lines.add(bytes).is_err() {
            return peer.let_go_for(NONSENSE);
        }
        while let Some(line) = peer.state.lines.next_line() {
            let seconds = line.strip_prefix("CONNECT ").and_then(|seconds| seconds.parse::<u16>().ok());
            if let Some(seconds) = seconds {
                let promised = Duration::from_millis(1500) * seconds.into();
                peer.state.promised = Some(promised);
                // Earlier or later than it was: the alarm moves.
                peer.wake_at(peer.state.heard + promised);
                peer.send(b"OK\n");
            } else {
                // The alarm stays where it is: it is cheaper to look again when it comes.
                peer.send(b"PONG\n");
            }
        }
    }

    fn woken(&mut self, peer: &mut Peer<'_, Session>) {
        let Some(promised) = peer.state.promised else { return peer.let_go_for(NEVER_CONNECTED) };
        let due = peer.state.heard + promised;
        if due > peer.now() { peer.wake_at(due) } else { peer.let_go_for(SILENT) }
    }

    fn departed(&mut self, _session: Session, farewell: &Farewell<'_>, _orders: &mut Orders) {
        eprintln!("{farewell}");
    }

    fn reason(&self, reason: Reason) -> &'static str {
        match reason {
            NEVER_CONNECTED => "it never said CONNECT",
            SILENT => "it was silent for longer than it had promised",
            _ => "its line was too long",
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7202".to_string());
    let mut reactor = Reactor::new(1000)?;
    println!("listening on {}", reactor.listen(Listen::on(address.parse()?), Sessions)?.address);
    reactor.run()?;
    Ok(())
}

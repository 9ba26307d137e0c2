//! A service with its unit test: a counter that all peers share. `ADD n` adds to it, and everybody is told the sum.
//!
//! `cargo run --example tested -- 127.0.0.1:7204`, then `telnet 127.0.0.1 7204`; `cargo test --example tested`.

use std::collections::BTreeSet;

use stillthere::reactor::{Farewell, Listen, Orders, Peer, PeerId, Reactor, Service};
use stillthere::service::LineBuffer;

#[derive(Default)]
struct Counter {
    here: BTreeSet<PeerId>,
    sum: u64,
}

impl Service for Counter {
    type State = LineBuffer;

    fn arrived(&mut self, peer: &mut Peer<'_, ()>) -> LineBuffer {
        self.here.insert(peer.id());
        LineBuffer::with_longest(100)
    }

    fn received(&mut self, peer: &mut Peer<'_, LineBuffer>, bytes: &[u8]) {
        if peer.state.add(bytes).is_err() {
            return peer.close();
        }
        while let Some(line) = peer.state.next_line() {
            match line.strip_prefix("ADD ").and_then(|number| number.parse::<u32>().ok()) {
                Some(number) => self.sum += u64::from(number),
                None => peer.send(b"ADD n is wanted\n"),
            }
            let told = format!("{}\n", self.sum);
            let _ = peer.orders().send_to_all(self.here.iter().copied(), told.as_bytes());
        }
    }

    fn departed(&mut self, _lines: LineBuffer, farewell: &Farewell<'_>, _orders: &mut Orders) {
        self.here.retain(|id| Some(*id) != farewell.id);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7204".to_string());
    let mut reactor = Reactor::new(1000)?;
    println!("listening on {}", reactor.listen(Listen::on(address.parse()?), Counter::default())?.address);
    reactor.run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stillthere::testing::Stage;

    use super::*;

    #[test]
    fn everybody_is_told_the_sum_and_a_dead_peer_is_forgotten() {
        let mut stage = Stage::new(Counter::default());
        stage.read_at_most(1); // TCP is a stream: any piece may come by itself
        let [adds, hears, dies] = [stage.arrive(), stage.arrive(), stage.arrive()];
        stage.send(adds, b"ADD 2\nADD 40\n");
        assert_eq!((stage.received(hears), stage.service().sum), (b"2\n42\n".to_vec(), 42));
        stage.pull_cable(dies);
        stage.wait(Duration::from_secs(60));
        assert_eq!((stage.connected(), stage.service().here.len()), (2, 2));
        assert_eq!(stage.departure(dies).unwrap().to_string(), "timed out, probes unanswered");
    }
}

//! The program is asked for, and acts between two turns.

use mio::Registry;

use super::*;

/// Asks for the program in each turn that it takes part in, more than once; then ends the loop.
struct Asks {
    turns: u32,
    names: Names,
}

impl Source for Asks {
    fn latch(&mut self, _key: usize, _event: &mio::event::Event) {}

    fn drive(&mut self, turn: &mut Turn<'_>) {
        if self.turns == 0 {
            turn.requests.push(Request::Abort);
        }
        turn.requests.extend([Request::Program(Ask::Reload); 3]);
        turn.stay_awake(self.names);
        self.turns = self.turns.saturating_sub(1);
    }

    fn is_runnable(&self, _capacity: &Capacity) -> bool {
        true
    }
}

fn asking(reactor: &mut Reactor, turns: u32) {
    reactor.add(|_: &Registry, names| Ok(Asks { turns, names })).unwrap();
}

#[test]
fn run_returns_once_for_a_turn_and_goes_on_with_its_peers() {
    let (mut reactor, address) = reactor(10);
    let mut peers = connect(&mut reactor, address, 1);
    asking(&mut reactor, 3);
    for _ in 0..3 {
        assert_eq!(reactor.run().unwrap(), Ending::Asked(Ask::Reload));
        assert_eq!((reactor.ending(), reactor.tally().connected), (None, 1), "it has not ended");
        reactor.limit_memory(1 << 20).unwrap();
        reactor.limit_per_address(Some(1)).unwrap();
    }
    peers[0].write_all(b"still there").unwrap();
    assert_eq!(reactor.run().unwrap(), Ending::Aborted { cut_off: 1 });
    assert_eq!(reactor.asked(), None, "a loop that has ended asks for nothing");
}

#[test]
fn who_drives_the_loop_is_told_as_well() {
    let (mut reactor, _) = reactor(10);
    asking(&mut reactor, 3);
    reactor.turn_within(Duration::ZERO).unwrap();
    assert_eq!((reactor.asked(), reactor.asked()), (Some(Ask::Reload), None));
}

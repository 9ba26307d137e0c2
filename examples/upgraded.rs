//! A server that is upgraded without losing a peer: each line is answered by how many the peer has sent, and how many all have.
//! `kill -USR2` has the program that is there now go on with the same peers, in the same process; they notice nothing.
//!
//! `cargo run --example upgraded -- 127.0.0.1:7205`, then `telnet 127.0.0.1 7205`. Change something, build it, and send SIGUSR2.

use std::error::Error;
use std::time::Duration;

use stillthere::reactor::{Ask, CannotRestore, CannotSave, Ending, Listen, Peer, Reactor, Saved, Service, Signals};
use stillthere::upgrade::{self, Program, Upgrading};

#[derive(Default)]
struct Count {
    all: u64,
}

fn number(saved: &Saved) -> Result<u64, CannotRestore> {
    saved.bytes().try_into().map(u64::from_be_bytes).map_err(|_| CannotRestore::Unreadable)
}

impl Service for Count {
    type State = u64;

    fn arrived(&mut self, _peer: &mut Peer<'_, ()>) -> u64 {
        0
    }

    fn received(&mut self, peer: &mut Peer<'_, u64>, bytes: &[u8]) {
        for _ in bytes.iter().filter(|byte| **byte == b'\n') {
            (*peer.state, self.all) = (*peer.state + 1, self.all + 1);
            peer.send(format!("{} of {}\n", peer.state, self.all).as_bytes());
        }
    }

    // What is remembered of each peer, and beside them: written down by this program, read by the next one.
    fn save(&self, lines: &u64) -> Result<Saved, CannotSave> {
        Saved::new(1, lines.to_be_bytes().to_vec())
    }

    fn restore(&mut self, _peer: &mut Peer<'_, ()>, saved: &Saved) -> Result<u64, CannotRestore> {
        number(saved)
    }

    fn save_service(&self) -> Result<Saved, CannotSave> {
        Saved::new(1, self.all.to_be_bytes().to_vec())
    }

    fn restore_service(&mut self, saved: &Saved) -> Result<(), CannotRestore> {
        self.all = number(saved)?;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let handed_over = upgrade::handed_over()?; // first of all
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7205".to_string()).parse()?;
    let mut reactor = Reactor::new(Reactor::NO_LIMIT)?;
    let is_fresh = handed_over.is_none();
    handed_over.map_or(Ok(()), |state| reactor.inherit(state))?;
    let grace = Duration::from_secs(5);
    reactor.add(|registry, names| Ok(Signals::open_and_outlive_the_others(grace, registry, names)?.that_ask()))?;
    let mut upgrading = Upgrading::prepare(&mut reactor, Program::of_this_process()?, env!("CARGO_PKG_VERSION"))?;
    let listening = reactor.listen(Listen::on(address), Count::default())?; // with the peers that it had
    if reactor.is_rehearsal() {
        print!("{}", upgrade::answer(Ok(())));
        return Ok(());
    }
    reactor.take_over();
    if is_fresh {
        println!("listening on {}", listening.address);
    }
    while let Ending::Asked(ask) = reactor.run()? {
        if ask == Ask::Upgrade {
            upgrading.asked(&mut reactor, |_| Ok(()));
        }
    }
    Ok(())
}

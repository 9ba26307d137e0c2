//! A loop is written down, and another program goes on with it: the same peers under the same ids, the same deadlines, the same
//! figures.
//!
//! Owns what of a loop is written beside its ports, and the order in which a new loop finds it again: first the clock and the numbers
//! of the ports, then each port when it is opened, and at the end what nobody has claimed. Knows no process: `crate::upgrade` does.

use std::io;
use std::net::SocketAddr;

use mio::event::Event;

#[cfg(feature = "admin")]
use crate::reactor::Moment;
use crate::reactor::arriving::listen::{Listen, Listening};
use crate::reactor::carry_out::carry_out;
use crate::reactor::connection::written::Written;
use crate::reactor::observing::figures::Counted;
use crate::reactor::peer_id::{PortId, Stamp};
use crate::reactor::port::Port;
use crate::reactor::serving::orders::Orders;
use crate::reactor::serving::service::Hosted;
use crate::reactor::source::{Names, Source, Turn};
use crate::reactor::state::fields::{Reader, Torn};
use crate::reactor::state::on_paper::rehearse;
use crate::reactor::state::records::{self, Heading};
use crate::reactor::state::{CannotGoOn, CannotWriteDown, Sockets, State};
use crate::reactor::time::hearing::Hearing;
use crate::reactor::time::moment::Clock;
use crate::reactor::{Happening, Reactor};

/// How often orders are carried out before a loop is written down: enough for all that may wait. Services whose answers to orders are more
/// orders might never come to an end.
const ROUNDS: usize = 4096;

/// What a loop goes on with, until all of its ports are open.
#[derive(Debug)]
pub(super) struct Heritage {
    state: State,
    /// The ports, and whether each was claimed.
    ports: Vec<(Heading, bool)>,
    resumed: Resumed,
}

/// What a loop has gone on with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resumed {
    /// The version of the program that has written the state.
    pub version: String,
    /// How many peers stay.
    pub peers: usize,
    /// How often this chain of programs was upgraded, this time included.
    pub generation: u64,
}

/// An address that the program before has listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unclaimed {
    /// Where.
    pub address: SocketAddr,
    /// It has done so to the end; if not, the port has only peers that came before.
    pub is_open: bool,
}

impl Reactor {
    /// Writes down the whole loop, so that another program can go on with it. Between two turns only. The loop is not changed: it
    /// may turn on. Peers of ports apart ([`Listen::apart`]) are left out. `version` is this program's.
    ///
    /// Orders that wait are carried out before, and peers that have departed are reaped.
    ///
    /// # Errors
    /// See [`CannotWriteDown`].
    pub fn write_down(&mut self, version: &str) -> Result<State, CannotWriteDown> {
        if self.stopping {
            return Err(CannotWriteDown::Stopping);
        }
        self.between_turns(|sources, turn| {
            turn.orders.drop_inquiries();
            for _ in 0..ROUNDS {
                if turn.orders.is_empty() {
                    break;
                }
                carry_out(sources, turn);
                turn.orders.drop_inquiries();
            }
            for source in &mut *sources {
                if let Some(port) = port_of(source) {
                    port.reap_all(turn);
                }
            }
            super::turn::tell(sources, turn);
        });
        if !self.orders.is_empty() {
            return Err(CannotWriteDown::Orders);
        }
        let mut to = State::begin();
        to.record(records::PROGRAM, |to| {
            to.bytes(version.as_bytes());
            to.u64(self.counted.upgrade.generation);
        });
        to.record(records::LOOP, |to| {
            to.u64(self.hearing.clock.epoch());
            to.u64(self.capacity.last_stamp().raw());
            to.u64(self.orders.audience.happened());
            self.counted.write_down(to);
        });
        let mut numbers = Vec::new();
        for source in &mut self.sources {
            if let Some(port) = port_of(source) {
                port.write_down(&mut to, &mut numbers)?;
            } else if let Some((name, bytes)) = source.save() {
                if !to.reserve(name.len() + bytes.len() + 32) {
                    return Err(CannotWriteDown::NoMemory);
                }
                to.record(records::SOURCE, |to| {
                    to.bytes(name.as_bytes());
                    to.bytes(&bytes);
                });
            }
        }
        Ok(State::end(to, numbers))
    }

    /// Goes on with a loop that was written down. To be called first, before any source is added: a port that is opened then goes on
    /// with the listener of the same address, and with its peers. [`Reactor::take_over`] ends it.
    ///
    /// # Errors
    /// A part of the state cannot be read.
    pub fn inherit(&mut self, state: State) -> Result<(), CannotGoOn> {
        let (mut ports, mut resumed) = (Vec::new(), Resumed::default());
        for (tag, mut record) in state.records() {
            match tag {
                records::PROGRAM => {
                    resumed.version = record.text()?.to_string();
                    resumed.generation = record.u64()? + 1;
                }
                records::LOOP => self.resume_loop(&mut record)?,
                records::PORT => ports.push((Heading::read(&mut record)?, false)),
                _ => {}
            }
        }
        self.counted.upgrade.generation = resumed.generation;
        // The number of a port is part of its peers' ids.
        let places = ports.iter().map(|(heading, _)| usize::from(heading.number) + 1).max().unwrap_or(0);
        for _ in self.sources.len()..places {
            self.sources.push(Box::new(Vacant));
            self.awake.add();
        }
        self.heritage = Some(Box::new(Heritage { state, ports, resumed }));
        Ok(())
    }

    fn resume_loop(&mut self, record: &mut Reader<'_>) -> Result<(), Torn> {
        let clock = Clock::since(record.u64()?);
        self.hearing = Hearing::with(clock);
        self.orders = Orders::new(clock);
        self.capacity.resume(Stamp::of_raw(record.u64()?));
        self.orders.audience.resume(record.u64()?);
        self.counted = Counted::read(record)?;
        Ok(())
    }

    /// Whether the loop goes on with a listener for this.
    pub fn inherits(&self, listen: &Listen) -> bool {
        self.heritage.as_ref().is_some_and(|heritage| heritage.find(listen).is_some())
    }

    /// The addresses that the program before has listened on, and that no port of this one has claimed yet. Peers that came there stay if
    /// a port claims it that is [closed](Listen::closed).
    pub fn unclaimed(&self) -> Vec<Unclaimed> {
        let ports = self.heritage.iter().flat_map(|heritage| &heritage.ports);
        let left = ports.filter(|(heading, is_claimed)| !is_claimed && !heading.is_apart);
        left.map(|(heading, _)| Unclaimed { address: heading.address, is_open: heading.listener >= 0 }).collect()
    }

    /// What a source of the program before has saved under this name ([`Source::save`]).
    pub fn inherited_source(&self, name: &str) -> Option<Vec<u8>> {
        let heritage = self.heritage.as_ref()?;
        let mut sources = heritage.state.records().filter(|(tag, _)| *tag == records::SOURCE);
        sources
            .find_map(|(_, mut record)| (record.text() == Ok(name)).then(|| record.bytes().ok().map(<[u8]>::to_vec))?)
    }

    /// What the program before has noted under this tag ([`State::note`]).
    pub fn inherited_note(&self, tag: u16) -> Option<&[u8]> {
        self.heritage.as_ref()?.state.noted(tag)
    }

    /// The loop goes on with another one, whose ports are not all open yet.
    pub fn goes_on(&self) -> bool {
        self.heritage.is_some()
    }

    /// When the loop goes on, by its clock, and the number of what happened last in the one before; `None` if it does not, or only on
    /// paper.
    #[cfg(feature = "admin")]
    pub(crate) fn goes_on_at(&self) -> Option<(Moment, u64)> {
        let goes_on = self.goes_on() && !self.is_rehearsal();
        goes_on.then(|| (self.hearing.clock.now(), self.orders.audience.happened()))
    }

    /// The service of this port is told of news from now on, as if it had asked for that.
    #[cfg(feature = "admin")]
    pub(crate) fn tell_news_to(&mut self, port: PortId) {
        self.orders.audience.observe(port.source(), true);
    }

    /// The loop goes on only on paper ([`State::on_paper`]): nobody will be served.
    pub fn is_rehearsal(&self) -> bool {
        self.heritage.as_ref().is_some_and(|heritage| heritage.state.is_on_paper())
    }

    /// A new program is tried.
    pub(crate) fn upgrade_begins(&mut self) {
        self.counted.upgrade.is_under_way = true;
    }

    /// One is tried.
    #[cfg(any(feature = "config", feature = "notify"))]
    pub(crate) fn upgrade_is_under_way(&self) -> bool {
        self.counted.upgrade.is_under_way
    }

    /// It was refused.
    pub(crate) fn upgrade_is_refused(&mut self) {
        self.counted.upgrade.is_under_way = false;
        self.counted.upgrade.refused += 1;
    }

    /// All ports are open: the loop goes on. What nobody has claimed is closed, and peers with it. `None` if nothing was inherited.
    pub fn take_over(&mut self) -> Option<Resumed> {
        let Heritage { mut state, ports, resumed } = *self.heritage.take()?;
        if !state.is_on_paper() {
            let unclaimed: Vec<_> = ports.iter().filter(|(_, is_claimed)| !is_claimed).collect();
            let (records, sockets) = state.parts();
            for (_, mut record) in records.filter(|(tag, _)| *tag == records::PORT) {
                let heading = Heading::read(&mut record);
                if unclaimed.iter().any(|(of, _)| heading.as_ref() == Ok(of)) {
                    close_all(record, sockets);
                }
            }
            for (heading, _) in unclaimed.iter().filter(|(heading, _)| heading.listener >= 0) {
                drop(sockets.take(heading.listener));
            }
            let (generation, peers) = (resumed.generation, resumed.peers);
            let now = self.hearing.now;
            let version = resumed.version.clone();
            self.orders.audience.note_whole(now, Happening::Upgraded { version, generation, peers });
        }
        Some(resumed)
    }

    /// Opens a port that the program before had, if it had it.
    pub(super) fn claim(
        &mut self,
        listen: &Listen,
        service: Box<dyn Hosted>,
    ) -> Result<io::Result<Listening>, Box<dyn Hosted>> {
        let Some(mut heritage) = self.heritage.take() else { return Err(service) };
        let found = heritage.find(listen);
        let result = match found {
            Some(at) => Ok(self.open_claimed(at, &mut heritage, listen, service)),
            None if heritage.state.is_on_paper() => Ok(try_to_open(listen)),
            None => Err(service),
        };
        self.heritage = Some(heritage);
        result
    }

    fn open_claimed(
        &mut self,
        at: usize,
        heritage: &mut Heritage,
        listen: &Listen,
        mut service: Box<dyn Hosted>,
    ) -> io::Result<Listening> {
        let Heritage { state, ports, resumed } = heritage;
        let (heading, is_claimed) = &mut ports[at];
        let mut listen = listen.clone();
        let port = PortId::of(heading.number.into());
        let is_on_paper = state.is_on_paper();
        let (records, sockets) = state.parts();
        let mut records = records.filter(|(tag, _)| *tag == records::PORT).map(|(_, record)| record);
        let record = records.find(|record| Heading::read(&mut record.clone()).as_ref() == Ok(&*heading));
        let mut record = record.ok_or(io::ErrorKind::InvalidData)?;
        Heading::read(&mut record).map_err(|_| io::ErrorKind::InvalidData)?;
        *is_claimed = true;
        if is_on_paper {
            resumed.peers += rehearse(record, &mut *service, &mut self.orders)
                .map_err(|because| io::Error::new(io::ErrorKind::InvalidData, because))?;
            return Ok(Listening { address: heading.address, keepalive: listen.supported()?, port });
        }
        let names = Names::of_source(heading.number.into());
        self.hearing.now = self.hearing.clock.now();
        let mut opened = Port::inherit(listen, heading, service, sockets, self.poll.registry(), names)?;
        resumed.peers += self.with_turn(|_, turn| opened.resume(heading, record, sockets, turn));
        let listening = Listening { address: heading.address, keepalive: opened.keepalive().clone(), port };
        self.sources[usize::from(heading.number)] = Box::new(opened);
        self.awake.wake(heading.number.into());
        Ok(listening)
    }

    /// The number that the next source gets: one that no port of the program before has had.
    pub(super) fn next_number(&self) -> usize {
        let Some(heritage) = &self.heritage else { return self.sources.len() };
        let is_taken =
            |number: &usize| heritage.ports.iter().any(|(heading, _)| usize::from(heading.number) == *number);
        let mut vacant = (0..self.sources.len()).filter(|number| !is_taken(number));
        vacant.find(|number| self.sources[*number].is_vacant()).unwrap_or(self.sources.len())
    }
}

impl Heritage {
    /// The port that was to listen where this one is to, or does.
    fn find(&self, listen: &Listen) -> Option<usize> {
        let path = listen.path().unwrap_or_default();
        let finds = |matches: &dyn Fn(&Heading) -> bool| {
            let mut ports = self.ports.iter();
            ports.position(|(heading, is_claimed)| {
                !is_claimed && heading.is_apart == listen.apart.is_some() && heading.path == path && matches(heading)
            })
        };
        let is_listening = |heading: &Heading| heading.listener >= 0 || listen.is_closed;
        finds(&|heading| heading.asked == listen.address && is_listening(heading))
            .or_else(|| finds(&|heading| heading.address == listen.address && is_listening(heading)))
    }
}

/// Whether a new address could be listened on. Nobody is accepted there.
fn try_to_open(listen: &Listen) -> io::Result<Listening> {
    let mut listen = listen.clone();
    let mut address = listen.address;
    if listen.path().is_none() {
        address = listen.open()?.local_addr()?;
    }
    Ok(Listening { address, keepalive: listen.keepalive.clone(), port: PortId::of(0) })
}

/// Closes the sockets of all peers of a port's record: nobody would serve them, and their kernels would be answered for ever.
fn close_all(mut port: Reader<'_>, sockets: &mut Sockets) {
    while let Ok((tag, mut record)) = port.record() {
        if tag != records::PEERS {
            continue;
        }
        for _ in 0..record.u32().unwrap_or(0) {
            let Ok(written) = Written::read(&mut record) else { return };
            drop(sockets.take(written.descriptor));
        }
    }
}

fn port_of(source: &mut Box<dyn Source>) -> Option<&mut Port> {
    source.as_any()?.downcast_mut()
}

/// Holds the number of a port until that is opened.
struct Vacant;

impl Source for Vacant {
    fn latch(&mut self, _key: usize, _event: &Event) {}

    fn drive(&mut self, _turn: &mut Turn<'_>) {}

    fn is_vacant(&self) -> bool {
        true
    }
}

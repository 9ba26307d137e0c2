//! Which records a state has, and what a port's record begins with.

use std::net::SocketAddr;
use std::os::fd::RawFd;

use crate::keepalive::{Guard, Keepalive};
use crate::reactor::state::fields::{Reader, Torn, Writer};

/// The program that has written it: its version, and how often this chain of programs was upgraded.
pub(in crate::reactor) const PROGRAM: u16 = 1;
/// The loop itself: its clock, and what it counts.
pub(in crate::reactor) const LOOP: u16 = 2;
/// A port: where it listens, with which options, and then records of its own.
pub(in crate::reactor) const PORT: u16 = 3;
/// A source that is no port: its name, and what it has saved.
pub(in crate::reactor) const SOURCE: u16 = 4;

/// In a port's record: what it counts.
pub(in crate::reactor) const TALLY: u16 = 1;
/// What its service remembers beside its peers.
pub(in crate::reactor) const SERVICE: u16 = 2;
/// Its peers.
pub(in crate::reactor) const PEERS: u16 = 3;
pub(in crate::reactor) const LINGERING: u16 = 4;
pub(in crate::reactor) const STARVED: u16 = 5;
/// The peers that were written to, and are to be looked at for the first time; and those that were looked at.
pub(in crate::reactor) const WATCH_BATCH: u16 = 6;
pub(in crate::reactor) const SUSPECTS: u16 = 7;
/// The same for stalled output.
pub(in crate::reactor) const STALL_BATCH: u16 = 8;
pub(in crate::reactor) const STALL_SUSPECTS: u16 = 9;
pub(in crate::reactor) const ALARMS: u16 = 10;
pub(in crate::reactor) const IDLE: u16 = 11;

/// What a port's record begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::reactor) struct Heading {
    /// Its number among the sources, which is part of its peers' ids.
    pub number: u8,
    pub is_apart: bool,
    /// Where it was to listen, and where it does; port 0 was to be any.
    pub asked: SocketAddr,
    pub address: SocketAddr,
    /// The path of a socket of the file system; empty if it is none.
    pub path: String,
    /// The number of the listener; -1 if it does not listen any more.
    pub listener: RawFd,
    pub options: Options,
}

/// The options of its peers' sockets, as numbers: idle, interval and user timeout in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::reactor) struct Options([u64; 5]);

impl Options {
    pub(in crate::reactor) fn of(keepalive: &Keepalive) -> Self {
        let (rto_max, user_timeout) = match keepalive.guard() {
            Guard::Loop { rto_max } => (rto_max.map_or(0, |time| time.as_millis() as u64), 0),
            Guard::UserTimeout(timeout) => (0, timeout.as_millis() as u64),
            Guard::Nobody => (0, 0),
        };
        let [idle, interval] = [keepalive.idle(), keepalive.interval()].map(|time| time.as_millis() as u64);
        Self([idle, interval, keepalive.count().into(), rto_max, user_timeout])
    }
}

impl Heading {
    pub(in crate::reactor) fn write_down(&self, to: &mut Writer) {
        to.part(|to| {
            to.u8(self.number);
            to.u8(self.is_apart.into());
            to.address(self.asked);
            to.address(self.address);
            to.bytes(self.path.as_bytes());
            to.u32(self.listener as u32);
            to.numbers(&self.options.0);
        });
    }

    pub(in crate::reactor) fn read(record: &mut Reader<'_>) -> Result<Self, Torn> {
        let mut from = record.part()?;
        let mut heading = Self {
            number: from.u8()?,
            is_apart: from.u8()? != 0,
            asked: from.address()?,
            address: from.address()?,
            path: from.text()?.to_string(),
            listener: from.u32()? as RawFd,
            options: Options([0; 5]),
        };
        from.numbers(&mut heading.options.0)?;
        Ok(heading)
    }
}

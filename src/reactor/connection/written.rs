//! A connection that is written down, and goes on in another program.
//!
//! Owns what of a connection has to be known there; all else is found out again: a new epoll instance announces what is true.

use std::net::SocketAddr;
use std::os::fd::RawFd;

use crate::reactor::connection::outbox::{NoMemory, Outbox};
use crate::reactor::connection::queue::QueuePlace;
use crate::reactor::connection::readiness::Readiness;
use crate::reactor::connection::stream::Stream;
use crate::reactor::connection::{Connection, Phase, Watched};
use crate::reactor::departing::departure::Departure;
use crate::reactor::peer_id::{PeerId, Stamp};
use crate::reactor::serving::saved::Saved;
use crate::reactor::state::fields::{Reader, Torn, Writer};

/// It may owe an ACK.
const WATCHED: u8 = 1;
/// Its output is looked at for a stall.
const MAY_STALL: u8 = 2;
/// What an entry takes at most beside its outbox and what its service has saved.
const FIELDS: usize = 128;

/// A peer as it was written down.
#[derive(Debug)]
pub(in crate::reactor) struct Written<'a> {
    pub(in crate::reactor) slot: u32,
    stamp: Stamp,
    /// The number of its socket where it was written down.
    pub(in crate::reactor) descriptor: RawFd,
    pub(in crate::reactor) address: SocketAddr,
    phase: Phase,
    flags: u8,
    outbox: &'a [u8],
    pub(in crate::reactor) saved: Saved,
}

impl Written<'_> {
    pub(in crate::reactor) fn id(&self) -> PeerId {
        PeerId::new(self.stamp, self.slot)
    }

    pub(in crate::reactor) fn read<'a>(from: &mut Reader<'a>) -> Result<Written<'a>, Torn> {
        let mut entry = from.part()?;
        Ok(Written {
            slot: entry.u32()?,
            stamp: Stamp::of_raw(entry.u64()?),
            descriptor: entry.u32()? as RawFd,
            address: entry.address()?,
            phase: Phase::read(&mut entry)?,
            flags: entry.u8()?,
            outbox: entry.bytes()?,
            saved: Saved::read(&mut entry)?,
        })
    }
}

impl Phase {
    fn write_down(self, to: &mut Writer) {
        let (code, departure) = match self {
            Self::Open => (0, Departure::Closed),
            Self::HalfClosed => (1, Departure::Closed),
            Self::Owing => (2, Departure::Closed),
            Self::Closing(departure) => (3, departure),
            Self::Lingering(departure) => (4, departure),
            Self::Dying(departure) => (5, departure),
            Self::Over(departure) | Self::Departed(departure) => (6, departure),
        };
        to.u8(code);
        let (index, detail) = departure.to_code();
        to.u8(index);
        to.u16(detail);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Torn> {
        let code = from.u8()?;
        let departure = Departure::of_code(from.u8()?, from.u16()?);
        Ok(match code {
            0 => Self::Open,
            1 => Self::HalfClosed,
            2 => Self::Owing,
            3 => Self::Closing(departure),
            4 => Self::Lingering(departure),
            5 => Self::Dying(departure),
            6 => Self::Over(departure),
            _ => return Err(Torn),
        })
    }
}

impl<S: Stream> Connection<S> {
    /// Writes it down, and returns the number of its socket.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(in crate::reactor) fn write_down(&self, slot: u32, saved: &Saved, to: &mut Writer) -> Result<RawFd, NoMemory> {
        let outbox = self.outbox.as_ref().map_or(&[][..], Outbox::waiting);
        if !to.reserve(FIELDS + outbox.len() + saved.size()) {
            return Err(NoMemory);
        }
        let mut flags = 0;
        if self.watched != Watched::No {
            flags |= WATCHED;
        }
        if self.readiness.has(Readiness::MAY_STALL) || self.readiness.has(Readiness::STALLS_ARE_LOOKED_FOR) {
            flags |= MAY_STALL;
        }
        let descriptor = self.stream.descriptor();
        to.part(|entry| {
            entry.u32(slot);
            entry.u64(self.stamp.raw());
            entry.u32(descriptor as u32);
            entry.address(self.peer.into());
            self.phase.write_down(entry);
            entry.u8(flags);
            entry.bytes(outbox);
            saved.write_down(entry);
        });
        Ok(descriptor)
    }

    /// The connection goes on. Whether it is watched, and looked at for stalls, is for its port to find out again.
    ///
    /// # Errors
    /// There is no memory for its outbox.
    pub(in crate::reactor) fn resume(stream: S, written: &Written<'_>) -> Result<Self, NoMemory> {
        let mut readiness = Readiness::WRITABLE;
        if written.flags & MAY_STALL != 0 {
            readiness |= Readiness::MAY_STALL;
        }
        Ok(Self {
            stream,
            outbox: if written.outbox.is_empty() { None } else { Some(Outbox::holding(written.outbox)?) },
            stamp: written.stamp,
            peer: written.address.into(),
            phase: written.phase,
            readiness,
            place: QueuePlace::OUT,
            watched: if written.flags & WATCHED != 0 { Watched::Wanted } else { Watched::No },
        })
    }

    /// Its end has begun, or half of it is closed: whatever is to be done about it, no event need announce it.
    pub(in crate::reactor) fn is_not_open(&self) -> bool {
        self.phase != Phase::Open
    }

    #[cfg(test)]
    pub(in crate::reactor) fn stream(&self) -> &S {
        &self.stream
    }

    /// It is in the watch.
    pub(in crate::reactor) fn is_watched(&self) -> bool {
        self.watched == Watched::Yes
    }

    /// It is in the watch already.
    pub(in crate::reactor) fn is_watched_again(&mut self) {
        self.watched = Watched::Yes;
    }

    /// Its output is looked at for a stall already.
    pub(in crate::reactor) fn is_looked_at_again(&mut self) {
        self.readiness.clear(Readiness::MAY_STALL);
        self.readiness |= Readiness::STALLS_ARE_LOOKED_FOR;
    }
}

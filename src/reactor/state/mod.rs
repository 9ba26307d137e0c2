//! A loop that is written down: a value that another program can go on with.
//!
//! Owns the form of it: a magic number, a version, and records by tag. A reader skips the records and the ends of entries that it does
//! not know, so a release goes on with what the one before has written, and the other way round; the version changes only when that
//! is not possible. What is in a record is up to those whose state it is. Knows no socket.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{OwnedFd, RawFd};

use crate::inherited;
use crate::reactor::state::fields::{Reader, Torn, Writer};

pub(in crate::reactor) mod fields;
pub(in crate::reactor) mod on_paper;
pub(in crate::reactor) mod records;

const MAGIC: [u8; 8] = *b"stillthr";
/// Readers of another version cannot go on with it.
const VERSION: u16 = 1;
/// A program's own notes have tags from here on.
const NOTES: u16 = 0x8000;

/// A loop that is written down ([`Reactor::write_down`](crate::reactor::Reactor::write_down)): all of its peers, what waits for each,
/// its deadlines, and what is counted. Its sockets are named by their numbers.
#[derive(Debug)]
pub struct State {
    bytes: Vec<u8>,
    /// Those that are needed to go on with it.
    numbers: Vec<RawFd>,
    sockets: Sockets,
    is_on_paper: bool,
}

impl State {
    pub(in crate::reactor) fn begin() -> Writer {
        let mut to = Writer::default();
        MAGIC.iter().for_each(|byte| to.u8(*byte));
        to.u16(VERSION);
        to
    }

    pub(in crate::reactor) fn end(written: Writer, numbers: Vec<RawFd>) -> Self {
        Self { bytes: written.into_bytes(), numbers, sockets: Sockets::Inherited, is_on_paper: false }
    }

    /// A state that somebody else has written, whose sockets this program was started with: under the same numbers, and not
    /// close-on-exec (fcntl(2)).
    ///
    /// # Errors
    /// It is no state, or one of a version that is not known here.
    pub fn inherited(bytes: Vec<u8>) -> Result<Self, CannotGoOn> {
        let state = Self { bytes, numbers: Vec::new(), sockets: Sockets::Inherited, is_on_paper: false };
        state.check()?;
        Ok(state)
    }

    /// The same if its sockets were sent (SCM_RIGHTS, unix(7)), and have other numbers now: each with the number that it had where the state
    /// was written.
    ///
    /// # Errors
    /// It is no state, or one of a version that is not known here.
    pub fn sent(bytes: Vec<u8>, sockets: Vec<(RawFd, OwnedFd)>) -> Result<Self, CannotGoOn> {
        let mut sent = Vec::new();
        for (number, socket) in sockets {
            let number = usize::try_from(number).map_err(|_| CannotGoOn::NoState)?;
            if sent.len() <= number {
                sent.resize_with(number + 1, || None);
            }
            sent[number] = Some(socket);
        }
        Ok(Self { sockets: Sockets::Sent(sent), ..Self::inherited(bytes)? })
    }

    /// To go on with it only on paper: everything is read, and each service restores its peers, but nobody is served. For a
    /// rehearsal, for which no socket is needed.
    pub fn on_paper(self) -> Self {
        Self { is_on_paper: true, ..self }
    }

    /// What is written, to be handed on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The numbers of all sockets that are to be handed on with it: listeners and peers.
    pub fn sockets(&self) -> &[RawFd] {
        &self.numbers
    }

    /// Adds something of the program's own, under a tag below 32768.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn note(&mut self, tag: u16, bytes: &[u8]) -> io::Result<()> {
        let mut to = Writer::default();
        if !to.reserve(bytes.len() + 16) || self.bytes.try_reserve(bytes.len() + 16).is_err() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        to.record(tag | NOTES, |to| to.bytes(bytes));
        self.bytes.extend_from_slice(&to.into_bytes());
        Ok(())
    }

    /// What was noted under this tag; if more than once, the last one.
    pub fn noted(&self, tag: u16) -> Option<&[u8]> {
        self.records().filter_map(|(of, mut record)| record.bytes().ok().filter(|_| of == tag | NOTES)).last()
    }

    /// Whether it is a state that is known here, and whole.
    fn check(&self) -> Result<(), CannotGoOn> {
        let mut reader = Reader::of(&self.bytes);
        if reader.array() != Ok(MAGIC) {
            return Err(CannotGoOn::NoState);
        }
        match reader.u16() {
            Ok(VERSION) => {}
            Ok(version) => return Err(CannotGoOn::Version(version)),
            Err(Torn) => return Err(CannotGoOn::NoState),
        }
        while !reader.is_empty() {
            reader.record()?;
        }
        Ok(())
    }

    pub(in crate::reactor) fn records(&self) -> impl Iterator<Item = (u16, Reader<'_>)> {
        records(&self.bytes)
    }

    pub(in crate::reactor) fn is_on_paper(&self) -> bool {
        self.is_on_paper
    }

    /// What is written, and the sockets.
    pub(in crate::reactor) fn parts(&mut self) -> (impl Iterator<Item = (u16, Reader<'_>)>, &mut Sockets) {
        (records(&self.bytes), &mut self.sockets)
    }
}

/// The sockets that go with a state.
#[derive(Debug)]
pub(in crate::reactor) enum Sockets {
    /// They have the numbers that they had where the state was written.
    Inherited,
    /// They were sent; by the number that each had there.
    Sent(Vec<Option<OwnedFd>>),
}

impl Sockets {
    /// The socket that had this number where the state was written. Once only.
    ///
    /// # Errors
    /// It is not there.
    pub(in crate::reactor) fn take(&mut self, number: RawFd) -> io::Result<OwnedFd> {
        match self {
            Self::Inherited => inherited::take(number),
            Self::Sent(sent) => {
                let at = usize::try_from(number).ok().and_then(|at| sent.get_mut(at));
                at.and_then(Option::take).ok_or(io::ErrorKind::NotFound.into())
            }
        }
    }
}

/// The records behind the version.
fn records(bytes: &[u8]) -> impl Iterator<Item = (u16, Reader<'_>)> {
    let mut reader = Reader::of(bytes.get(MAGIC.len() + 2..).unwrap_or_default());
    std::iter::from_fn(move || reader.record().ok())
}

/// Why a loop is not written down. It goes on as before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CannotWriteDown {
    /// A service does not write down what it remembers.
    Service(crate::reactor::CannotSave),
    /// A port connects to others: that it does is nothing that can be written down.
    Connects,
    /// Services go on giving orders while those that wait are carried out.
    Orders,
    /// The loop is stopping.
    Stopping,
    /// There is no memory to write it down.
    NoMemory,
}

impl fmt::Display for CannotWriteDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(because) => because.fmt(f),
            Self::Connects => f.write_str("a port connects to others, and cannot be handed over"),
            Self::Orders => f.write_str("its services go on giving orders; it can be tried again"),
            Self::Stopping => f.write_str("the server is stopping"),
            Self::NoMemory => f.write_str("there is no memory to write down the state of all peers"),
        }
    }
}

impl Error for CannotWriteDown {}

/// Why a program does not go on with a loop that was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CannotGoOn {
    /// The bytes are no state.
    NoState,
    /// It was written by a release whose states have this version.
    Version(u16),
    /// A service does not take over its peers.
    Service(crate::reactor::CannotRestore),
}

impl From<Torn> for CannotGoOn {
    fn from(_: Torn) -> Self {
        Self::NoState
    }
}

impl fmt::Display for CannotGoOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoState => {
                f.write_str("what was handed over is not the state of a server, or a part of it is missing")
            }
            Self::Version(version) => {
                write!(f, "the state that was handed over has version {version}; this release knows version {VERSION}")
            }
            Self::Service(because) => because.fmt(f),
        }
    }
}

impl Error for CannotGoOn {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_known_by_its_beginning_and_its_version() {
        let mut to = State::begin();
        to.record(1, |to| to.u64(7));
        let mut state = State::end(to, vec![3]);
        state.note(5, b"one").unwrap();
        state.note(5, b"two").unwrap();
        state.note(6, b"").unwrap();
        let bytes = state.bytes().to_vec();
        let read = State::inherited(bytes.clone()).unwrap();
        assert_eq!((read.noted(5), read.noted(6), read.noted(7)), (Some(&b"two"[..]), Some(&b""[..]), None));
        assert_eq!(read.records().count(), 4);
        for length in 0..bytes.len() {
            let is_whole = State::inherited(bytes[..length].to_vec()).is_ok();
            assert!(!is_whole || [10, 24].contains(&length) || bytes.len() - length > 0 && length > 24, "{length}");
        }
        let mut other = bytes.clone();
        other[8] = 9;
        let because = State::inherited(other).unwrap_err();
        assert_eq!(because, CannotGoOn::Version(9));
        assert!(because.to_string().contains("version 9; this release knows version 1"));
        assert_eq!(State::inherited(b"something else".to_vec()).unwrap_err(), CannotGoOn::NoState);
    }
}

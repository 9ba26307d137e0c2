//! What a service remembers of a peer, written down.
//!
//! Owns the form: a version, which the service chooses, a bounded number of bytes, and moments. Does not know what they mean.

use std::error::Error;
use std::fmt;
use std::net::TcpStream;

#[cfg(feature = "upgrade")]
use crate::reactor::state::fields::{Reader, Torn, Writer};
use crate::reactor::time::moment::{Clock, Moment};

/// What a service remembers of a peer, written down by [`Service::save`](crate::reactor::Service::save) and read by
/// [`Service::restore`](crate::reactor::Service::restore), perhaps in a later version of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    version: u16,
    bytes: Vec<u8>,
    /// By the key that the service has chosen.
    moments: Vec<(u16, Moment)>,
    /// When the clock began by which these moments count.
    epoch: u64,
}

impl Saved {
    /// How many bytes a service may save of one peer.
    pub const LIMIT: usize = 64 * 1024;

    /// These bytes, in the form of this version.
    ///
    /// # Errors
    /// More than [`Saved::LIMIT`].
    pub fn new(version: u16, bytes: Vec<u8>) -> Result<Self, CannotSave> {
        if bytes.len() > Self::LIMIT {
            return Err(CannotSave::TooLong(bytes.len()));
        }
        Ok(Self { version, bytes, ..Self::default() })
    }

    /// With this moment, which is translated if another loop, with another clock, goes on with the peer. The key tells it from other
    /// moments, also from those of a service that is wrapped; the built-in services have those below 16.
    pub fn with_moment(mut self, key: u16, moment: Moment) -> Self {
        self.moments.push((key, moment));
        self
    }

    /// The moment of this key, if one was saved.
    pub fn moment(&self, key: u16) -> Option<Moment> {
        self.moments.iter().find(|(of, _)| *of == key).map(|(_, moment)| *moment)
    }

    /// It was saved by a loop with this clock.
    pub(in crate::reactor) fn saved_by(mut self, clock: Clock) -> Self {
        self.epoch = clock.epoch();
        self
    }

    /// The same for a loop with this clock.
    pub(in crate::reactor) fn by_clock(mut self, clock: Clock) -> Self {
        let from = std::mem::replace(&mut self.epoch, clock.epoch());
        self.moments.iter_mut().for_each(|(_, moment)| *moment = clock.translate(*moment, from));
        self
    }

    /// How many bytes it takes at most when it is written down.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn size(&self) -> usize {
        self.bytes.len() + 10 * self.moments.len() + 16
    }

    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn write_down(&self, to: &mut Writer) {
        to.u16(self.version);
        to.bytes(&self.bytes);
        to.u8(self.moments.len() as u8);
        for (key, moment) in &self.moments {
            to.u16(*key);
            to.moment(*moment);
        }
    }

    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn read(from: &mut Reader<'_>) -> Result<Self, Torn> {
        let (version, bytes) = (from.u16()?, from.bytes()?.to_vec());
        let mut moments = Vec::new();
        for _ in 0..from.u8()? {
            moments.push((from.u16()?, from.moment()?));
        }
        Ok(Self { version, bytes, moments, epoch: 0 })
    }

    /// In which form the bytes are.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// What was saved.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A peer on its way from one loop to another, or to another program: [`Reactor::release`](crate::reactor::Reactor::release)
/// and [`Reactor::adopt`](crate::reactor::Reactor::adopt).
#[derive(Debug)]
pub struct Carried {
    /// The socket; its descriptor can be sent to another process (SCM_RIGHTS, unix(7)).
    pub stream: TcpStream,
    /// What its service remembers of it.
    pub saved: Saved,
    /// Output that waits.
    pub unsent: Vec<u8>,
}

/// Why a peer cannot be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CannotSave {
    /// Its service does not write down what it remembers.
    NotSupported,
    /// The service wanted to save this many bytes: more than [`Saved::LIMIT`].
    TooLong(usize),
    /// There is no such peer: it has departed.
    Gone,
    /// The connection is ending, or half of it is closed.
    Ending,
    /// It is about to be driven: after the next turn it can be.
    Busy,
}

impl fmt::Display for CannotSave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupported => f.write_str("its service does not write down what it remembers of a peer"),
            Self::TooLong(bytes) => {
                write!(f, "its service wanted to save {bytes} bytes of one peer; {} is the most", Saved::LIMIT)
            }
            Self::Gone => f.write_str("the peer has departed"),
            Self::Ending => f.write_str("the connection is ending, or half of it is closed"),
            Self::Busy => f.write_str("the peer is about to be served; it can be handed over after the next turn"),
        }
    }
}

impl Error for CannotSave {}

/// Why a service does not take over a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CannotRestore {
    /// The service takes over no peers.
    NotSupported,
    /// It does not know this version.
    Version(u16),
    /// The bytes make no sense to it.
    Unreadable,
}

impl fmt::Display for CannotRestore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupported => f.write_str("the service takes over no peers"),
            Self::Version(version) => write!(f, "the service does not know version {version} of what was saved"),
            Self::Unreadable => f.write_str("what was saved makes no sense to the service"),
        }
    }
}

impl Error for CannotRestore {}

//! The latch: what the kernel announced and has not been used up yet.
//!
//! epoll(7) in edge-triggered mode, the only mode of mio, announces a change once. So a bit stays set
//! until its system call would block, or a short read has shown that the next one would; only then does
//! the kernel promise another edge.

use std::fmt;

/// Four bits of news: what may be tried, and hints. Four other flags are kept with them, to save a byte.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Readiness(u8);

impl Readiness {
    /// Reading may succeed.
    pub const READABLE: Self = Self(1);
    /// Writing may succeed.
    pub const WRITABLE: Self = Self(2);
    /// More than data shares this edge: the end of the stream, a hang-up, an error, or the mark of
    /// urgent data, where a read stops short. A short read then does not mean "drained".
    pub const MORE_THAN_DATA: Self = Self(4);
    /// The connection may be dead: `SO_ERROR` may hold the reason.
    pub const HUNG_UP: Self = Self(8);
    /// Not news: epoll has been asked to announce room for writing. Never cleared.
    pub const ROOM_IS_ANNOUNCED: Self = Self(16);
    /// Not news: something was written since the port last asked whether its output may stall.
    pub const MAY_STALL: Self = Self(32);
    /// Not news: the port is watching its output for a stall.
    pub const STALLS_ARE_LOOKED_FOR: Self = Self(64);
    /// Not news: there was no memory to remember one of its deadlines.
    pub const FORGOTTEN: Self = Self(128);

    /// What an event says. Only readable and writable are promises of mio; the rest are hints.
    pub fn of(event: &mio::event::Event) -> Self {
        let mut news = Self::default();
        if event.is_readable() {
            news |= Self::READABLE;
        }
        if event.is_writable() {
            news |= Self::WRITABLE;
        }
        if event.is_read_closed() || event.is_priority() {
            news |= Self::MORE_THAN_DATA;
        }
        if event.is_error() || event.is_write_closed() {
            // A read returns the reason.
            news |= Self::READABLE | Self::MORE_THAN_DATA | Self::HUNG_UP;
        }
        news
    }

    /// Whether all of these bits are set.
    pub fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// Clears these bits.
    pub fn clear(&mut self, bits: Self) {
        self.0 &= !bits.0;
    }
}

impl std::ops::BitOr for Readiness {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for Readiness {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::READABLE, "readable"),
            (Self::WRITABLE, "writable"),
            (Self::MORE_THAN_DATA, "more than data"),
            (Self::HUNG_UP, "hung up"),
        ];
        let mut said = names.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| *name);
        f.write_str(said.next().unwrap_or("nothing"))?;
        said.try_for_each(|name| write!(f, ", {name}"))
    }
}

//! The one name of a peer, in the loop's tables as in a service's.
//!
//! Owns what an identity is made of. A slot is used again as soon as its peer has departed; a [`PeerId`] never is, so
//! a deadline, an order or a list that outlives a peer cannot meet the newcomer in its slot.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use crate::reactor::time::moment::Moment;

/// Names one peer of one loop, on whichever of its ports. It is never used again, and it costs a peer no memory: it is
/// made of the peer's slot and of when it arrived, and no two peers of a loop arrive at the same moment.
///
/// Ids compare in the order of arrival. Printed, an id is its stamp and its slot, in hexadecimal: `5f5e100ff-7`. The text can
/// be read back ([`FromStr`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, packed(4))] // 12 bytes in a table, and not 16
pub struct PeerId {
    stamp: Stamp,
    slot: u32,
}

/// When a peer arrived, and on which port: what tells two owners of a slot apart.
///
/// The upper 56 bits count the time since the loop was made, in units of 64 ns (which lasts for 146 years); the lower 8
/// bits are the number of the port among the sources of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// Before any peer has arrived.
    pub(crate) const NONE: Self = Self(0);
    const PORT_BITS: u32 = 8;
    const UNIT_BITS: u32 = 6;

    /// The stamp of a peer that arrives now, after the one that got the stamp `last`.
    pub(crate) fn after(last: Self, now: Moment, port: usize) -> Self {
        let units = now.units(Self::UNIT_BITS).max((last.0 >> Self::PORT_BITS) + 1);
        Self(units << Self::PORT_BITS | port as u64)
    }

    /// As a number, and back.
    #[cfg(feature = "upgrade")]
    pub(crate) const fn raw(self) -> u64 {
        self.0
    }

    #[cfg(feature = "upgrade")]
    pub(crate) const fn of_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// When the peer arrived.
    pub(crate) fn moment(self) -> Moment {
        Moment::of_units(self.0 >> Self::PORT_BITS, Self::UNIT_BITS)
    }
}

impl PeerId {
    pub(in crate::reactor) const fn new(stamp: Stamp, slot: u32) -> Self {
        Self { stamp, slot }
    }

    /// No peer has this id.
    pub(in crate::reactor) const NOBODY: Self = Self::new(Stamp::NONE, 0);

    pub(in crate::reactor) fn stamp(self) -> Stamp {
        self.stamp
    }

    pub(in crate::reactor) fn slot(self) -> u32 {
        self.slot
    }

    /// The number of its port among the sources of the loop.
    pub(in crate::reactor) fn source(self) -> usize {
        (self.stamp().0 & 0xff) as usize
    }

    /// The port that it came through.
    pub fn port(self) -> PortId {
        PortId(self.source() as u8)
    }
}

/// Names one port of a loop: a listener, or what [`Reactor::connect`](crate::reactor::Reactor::connect) has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(u8);

impl PortId {
    /// The port that is this source of the loop; there are 256 at most.
    pub(in crate::reactor) fn of(source: usize) -> Self {
        Self(source as u8)
    }

    pub(in crate::reactor) fn source(self) -> usize {
        self.0.into()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.stamp().0, self.slot())
    }
}

/// A text that is no id of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPeerId;

impl fmt::Display for NoPeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id of a peer is two hexadecimal numbers, such as 5f5e100ff-7")
    }
}

impl Error for NoPeerId {}

impl FromStr for PeerId {
    type Err = NoPeerId;

    /// Reads what [`Display`](fmt::Display) prints, and nothing else: one id has one text.
    fn from_str(text: &str) -> Result<Self, NoPeerId> {
        let (stamp, slot) = text.split_once('-').ok_or(NoPeerId)?;
        let stamp = u64::from_str_radix(stamp, 16).map_err(|_| NoPeerId)?;
        let slot = u32::from_str_radix(slot, 16).map_err(|_| NoPeerId)?;
        let id = Self::new(Stamp(stamp), slot);
        if id.to_string() == text { Ok(id) } else { Err(NoPeerId) }
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_two_peers_are_alike_and_the_port_is_in_the_id() {
        let at = |nanoseconds| Moment::after(Duration::from_nanos(nanoseconds));
        let mut last = Stamp::NONE;
        let mut ids = Vec::new();
        // Thousands arrive at one moment, on two ports, all in one slot after the other.
        for n in 0..10_000 {
            last = Stamp::after(last, at(1_000_000), n % 2 * 255);
            ids.push(PeerId::new(last, 7));
            assert_eq!((ids[n].source(), ids[n].slot(), ids[n].stamp()), (n % 2 * 255, 7, last));
        }
        assert!(ids.is_sorted_by(|one, next| one < next));
        assert_eq!((size_of::<PeerId>(), ids[0].to_string().as_str()), (12, "3d0900-7"));
        for id in [ids[0], ids[1], PeerId::new(Stamp(u64::MAX), u32::MAX), PeerId::new(Stamp::NONE, 0)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in
            ["", "-", "7", "1-", "-1", "+1-1", "1-+1", "01-1", "A-1", "1-1 ", "10000000000000000-1", "1-100000000"]
        {
            assert_eq!(text.parse::<PeerId>(), Err(NoPeerId), "{text:?}");
        }
        // The clock has caught up, and then stood still for a year.
        assert_eq!(Stamp::after(last, at(64 << 24), 3).moment(), at(64 << 24));
        let year = Moment::after(Duration::from_secs(365 * 24 * 3600));
        assert!(year.since(Stamp::after(last, year, 3).moment()) < Duration::from_nanos(64));
    }
}

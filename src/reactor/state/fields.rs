//! Numbers and bytes, one after the other: what a loop that is written down is made of.
//!
//! Owns the form: little endian, lengths in 32 bits. A reader trusts nothing: whatever it is given, it ends in an error and not in a
//! panic, and it allocates no more than it was given.

use std::net::SocketAddr;

use crate::reactor::address::PeerAddress;
use crate::reactor::time::moment::Moment;

/// Bytes that grow. What may be much is reserved first, in a way that may fail.
#[derive(Debug, Default)]
pub(in crate::reactor) struct Writer(Vec<u8>);

impl Writer {
    /// Makes room for this many bytes. False: there is no memory for them.
    pub(in crate::reactor) fn reserve(&mut self, bytes: usize) -> bool {
        self.0.try_reserve(bytes).is_ok()
    }

    pub(in crate::reactor) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(in crate::reactor) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(in crate::reactor) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(in crate::reactor) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(in crate::reactor) fn numbers(&mut self, values: &[u64]) {
        self.u32(values.len() as u32);
        values.iter().for_each(|value| self.u64(*value));
    }

    pub(in crate::reactor) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }

    pub(in crate::reactor) fn moment(&mut self, moment: Moment) {
        self.u64(moment.nanoseconds_since(Moment::default()));
    }

    pub(in crate::reactor) fn address(&mut self, address: SocketAddr) {
        self.0.extend_from_slice(&PeerAddress::from(address).to_bytes());
    }

    /// A part that a reader may skip, because its length stands before it.
    pub(in crate::reactor) fn part<R>(&mut self, write: impl FnOnce(&mut Self) -> R) -> R {
        let at = self.begin();
        let result = write(self);
        self.end(at);
        result
    }

    #[inline(never)] // a dozen callers: 1 kB
    fn begin(&mut self) -> usize {
        self.u32(0);
        self.0.len()
    }

    #[inline(never)]
    fn end(&mut self, at: usize) {
        let length = (self.0.len() - at) as u32;
        self.0[at - 4..at].copy_from_slice(&length.to_le_bytes());
    }

    /// A part of a kind. A reader that does not know the kind skips it.
    pub(in crate::reactor) fn record<R>(&mut self, tag: u16, write: impl FnOnce(&mut Self) -> R) -> R {
        self.u16(tag);
        self.part(write)
    }

    pub(in crate::reactor) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// What was written ends too early, or makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::reactor) struct Torn;

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub(in crate::reactor) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(in crate::reactor) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(in crate::reactor) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Torn> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Torn)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(in crate::reactor) fn array<const N: usize>(&mut self) -> Result<[u8; N], Torn> {
        self.take(N)?.try_into().map_err(|_| Torn)
    }

    pub(in crate::reactor) fn u8(&mut self) -> Result<u8, Torn> {
        Ok(self.array::<1>()?[0])
    }

    pub(in crate::reactor) fn u16(&mut self) -> Result<u16, Torn> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(in crate::reactor) fn u32(&mut self) -> Result<u32, Torn> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(in crate::reactor) fn u64(&mut self) -> Result<u64, Torn> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Numbers, as many as there are places for: a release before may have had fewer, and one after this more.
    pub(in crate::reactor) fn numbers(&mut self, places: &mut [u64]) -> Result<(), Torn> {
        for nth in 0..self.u32()? as usize {
            let value = self.u64()?;
            if let Some(place) = places.get_mut(nth) {
                *place = value;
            }
        }
        Ok(())
    }

    pub(in crate::reactor) fn bytes(&mut self) -> Result<&'a [u8], Torn> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    pub(in crate::reactor) fn text(&mut self) -> Result<&'a str, Torn> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Torn)
    }

    pub(in crate::reactor) fn moment(&mut self) -> Result<Moment, Torn> {
        Ok(Moment::of_units(self.u64()?, 0))
    }

    pub(in crate::reactor) fn address(&mut self) -> Result<SocketAddr, Torn> {
        Ok(PeerAddress::of_bytes(self.array()?).into())
    }

    /// What [`Writer::part`] has written.
    pub(in crate::reactor) fn part(&mut self) -> Result<Self, Torn> {
        Ok(Self(self.bytes()?))
    }

    /// What [`Writer::record`] has written.
    pub(in crate::reactor) fn record(&mut self) -> Result<(u16, Self), Torn> {
        Ok((self.u16()?, self.part()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_unknown_is_skipped() {
        let address: SocketAddr = "[fe80::1%3]:7007".parse().unwrap();
        let mut writer = Writer::default();
        writer.record(7, |to| to.u64(1));
        writer.record(8, |to| {
            to.u8(1);
            to.u16(2);
            to.u32(3);
            to.u64(u64::MAX);
            to.numbers(&[4, 5, 6]);
            to.bytes(b"seven");
            to.moment(Moment::NEVER);
            to.address(address);
            to.u64(99); // a later release has added this
        });
        let bytes = writer.into_bytes();
        let mut reader = Reader::of(&bytes);
        let (tag, _) = reader.record().unwrap();
        assert_eq!(tag, 7);
        let (tag, mut record) = reader.record().unwrap();
        assert_eq!((tag, reader.is_empty()), (8, true));
        assert_eq!((record.u8(), record.u16(), record.u32(), record.u64()), (Ok(1), Ok(2), Ok(3), Ok(u64::MAX)));
        let mut places = [0; 2];
        record.numbers(&mut places).unwrap();
        assert_eq!((places, record.text()), ([4, 5], Ok("seven")));
        assert_eq!((record.moment(), record.address()), (Ok(Moment::NEVER), Ok(address)));
    }

    proptest! {
        /// Whatever is read: it ends.
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::of(&bytes);
            while let Ok((_, mut record)) = reader.record() {
                let _ = record.clone().numbers(&mut [0; 3]);
                let _ = record.clone().text();
                let _ = record.clone().address();
                let _ = record.part().and_then(|mut part| part.moment());
            }
        }
    }
}

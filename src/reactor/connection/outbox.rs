//! Output that waits because the peer takes it too slowly.

use crate::malloc;

/// Memory is allocated in these steps, so that output that comes in small pieces is not moved for each of them.
const STEP: usize = 64;
const PAGE: usize = 4096;
/// What the C library keeps with each allocation, at most.
const HEAD: usize = 16;

/// Bytes that wait. It exists only while some do, and takes eight bytes of the peer's slot: a boxed array of
/// one, because that can be allocated in a way that may fail.
#[derive(Debug)]
pub(crate) struct Outbox(Box<[WaitingBytes; 1]>);

#[derive(Debug)]
struct WaitingBytes {
    bytes: Vec<u8>,
    written: usize,
}

impl Outbox {
    /// # Errors
    /// There is no memory.
    pub(crate) fn holding(bytes: &[u8]) -> Result<Self, NoMemory> {
        let mut one = Vec::new();
        one.try_reserve_exact(1).map_err(|_| NoMemory)?;
        one.push(WaitingBytes { bytes: Vec::new(), written: 0 });
        let mut outbox = Self(one.try_into().map_err(|_| NoMemory)?);
        outbox.push(bytes)?;
        Ok(outbox)
    }

    /// # Errors
    /// There is no memory; nothing was added.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), NoMemory> {
        let [waiting] = &mut *self.0;
        if waiting.bytes.capacity() - waiting.bytes.len() < bytes.len() {
            // Written bytes are dropped before more memory is asked for.
            waiting.bytes.drain(..waiting.written);
            waiting.written = 0;
            // Before and after: see `leaves_room`.
            if !malloc::leaves_room() {
                return Err(NoMemory);
            }
            let more = capacity_for(waiting.bytes.len() + bytes.len()) - waiting.bytes.len();
            waiting.bytes.try_reserve_exact(more).map_err(|_| NoMemory)?;
            if !malloc::leaves_room() {
                return Err(NoMemory);
            }
        }
        waiting.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn waiting(&self) -> &[u8] {
        &self.0[0].bytes[self.0[0].written..]
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.0[0].written += count;
    }

    /// How much memory it takes, in bytes.
    pub(crate) fn footprint(&self) -> usize {
        footprint_of(self.0[0].bytes.capacity())
    }

    /// How many bytes of output fit in this much memory at least.
    pub(crate) fn fits_in(memory: usize) -> usize {
        memory.saturating_sub(footprint_of(PAGE))
    }

    /// How much memory `outbox` would take at most after this many bytes more.
    pub(crate) fn footprint_with(outbox: Option<&Self>, more: usize) -> usize {
        let had = outbox.map_or(0, |outbox| outbox.0[0].bytes.capacity());
        let waiting = outbox.map_or(0, |outbox| outbox.waiting().len());
        footprint_of(had.max(capacity_for(waiting + more)))
    }
}

/// There is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMemory;

fn capacity_for(bytes: usize) -> usize {
    let step = if bytes < PAGE { STEP } else { PAGE };
    (bytes + HEAD).next_multiple_of(step) - HEAD
}

fn footprint_of(capacity: usize) -> usize {
    capacity + HEAD + size_of::<WaitingBytes>() + HEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_written_bytes_are_given_up() {
        let mut outbox = Outbox::holding(&[1; 1000]).unwrap();
        for round in 0..1000 {
            outbox.advance(10);
            outbox.push(&[2; 10]).unwrap();
            assert_eq!(outbox.waiting().len(), 1000, "round {round}");
        }
        assert_eq!(outbox.waiting(), [2; 1000]);
        assert!(outbox.footprint() <= 4096, "{} bytes for 1000", outbox.footprint());
    }

    #[test]
    fn what_it_will_take_is_known_before() {
        let mut outbox = None;
        for more in [1, 40, 100, 4000, 60_000, 1, 20_000] {
            let foreseen = Outbox::footprint_with(outbox.as_ref(), more);
            let outbox = outbox.get_or_insert_with(|| Outbox::holding(&[]).unwrap());
            outbox.push(&vec![0; more]).unwrap();
            assert!(outbox.footprint() <= foreseen, "{} instead of {foreseen} bytes", outbox.footprint());
        }
        let pieces = Outbox::holding(&[]).unwrap();
        assert!(pieces.footprint() < 128 && size_of::<Option<Outbox>>() == 8);
    }
}

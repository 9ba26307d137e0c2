//! The one buffer for all reads: an idle peer owns none.
//!
//! Owns its size, and where in a page it begins. Knows nothing of the reads.
//!
//! Where it begins decides what a long read costs. The kernel copies with `rep movs`, which on some processors becomes
//! several times slower if the destination's offset in its page is a little more than the source's: 1 to 31 bytes more
//! here, 0 to 15 bytes on others. Data that are sent in whole pages begin at offset 0; what the C library maps begins
//! at offset 16, so a read of 16 KiB took twice as long as it had to. At an offset of one cache line the buffer is
//! clear of both ranges, also when it is copied to an outbox that is mapped.

/// How many bytes are read at once at most. (No more than half of what an outbox may hold is, so that an echo always fits:
/// see [`Limits::with_max_output`](crate::reactor::Limits::with_max_output).)
pub(crate) const SCRATCH: usize = 64 * 1024;
const PAGE: usize = 4096;
/// How far into a page it begins: one cache line.
const INTO_PAGE: usize = 64;

/// The buffer for all reads.
pub(super) struct Scratch {
    bytes: Box<[u8]>,
    begin: usize,
}

impl Scratch {
    pub(super) fn new() -> Self {
        // It is mapped, and pages that are never touched take no memory.
        let bytes: Box<[u8]> = vec![0; SCRATCH + PAGE].into();
        let begin = INTO_PAGE.wrapping_sub(bytes.as_ptr().addr()) % PAGE;
        Self { bytes, begin }
    }

    #[inline(always)]
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // The range always exists. `get_mut` takes half of the instructions of an index, in every turn.
        self.bytes.get_mut(self.begin..self.begin + SCRATCH).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_at_the_same_place_in_a_page_wherever_memory_lies() {
        let mut held = Vec::new();
        for nth in 0..32 {
            let mut scratch = Scratch::new();
            let bytes = scratch.bytes();
            assert_eq!((bytes.as_ptr().addr() % PAGE, bytes.len()), (INTO_PAGE, SCRATCH), "the {nth}th");
            held.push((scratch, vec![0_u8; nth * 48]));
        }
    }
}

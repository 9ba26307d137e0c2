//! The one buffer for all reads: an idle peer owns none.
//!
//! Owns its size, and where in a page it begins. Knows nobody who reads into it.
//!
//! Where it begins decides what a long read costs. The kernel copies with `rep movs`, and that becomes several times
//! slower on some processors if the destination lies a little further into its page than the source into its own: 1 to
//! 31 bytes here, and less than 16 on others, none included. What is sent by the page begins with a page; what the C
//! library maps begins 16 bytes into one, so a read of 16 KiB took twice as long as it had to. A line of the cache
//! further on it is out of the way of both, and out of the way of an outbox that is mapped, when it is copied to there.

use crate::reactor::outbox::OUTBOX_LIMIT;

/// How many bytes are read at once at most. No more than an outbox holds, so that an echo always fits.
pub(crate) const SCRATCH: usize = 64 * 1024;
const _: () = assert!(SCRATCH <= OUTBOX_LIMIT);
const PAGE: usize = 4096;
/// How far into a page it begins: a line of the cache.
const INTO_PAGE: usize = 64;

/// See the head of this file.
pub struct Scratch {
    bytes: Box<[u8]>,
    begin: usize,
}

impl Scratch {
    pub fn new() -> Self {
        // It is mapped, and what is never touched of it takes no memory.
        let bytes: Box<[u8]> = vec![0; SCRATCH + PAGE].into();
        let begin = INTO_PAGE.wrapping_sub(bytes.as_ptr().addr()) % PAGE;
        Self { bytes, begin }
    }

    #[inline(always)]
    pub fn bytes(&mut self) -> &mut [u8] {
        // The range is always there; asked for in this way it takes half of the instructions, once a turn.
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

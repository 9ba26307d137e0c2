//! Output that waits because the peer takes it too slowly.

use std::collections::TryReserveError;

/// How many bytes may wait for one peer. More than the loop's scratch buffer, so that a service
/// that answers no more than it was sent can never fill it.
pub const OUTBOX_LIMIT: usize = 256 * 1024;

/// Bytes that wait. It exists only while some do.
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    written: usize,
}

impl Outbox {
    /// # Errors
    /// There is no memory.
    pub fn holding(bytes: &[u8]) -> Result<Self, TryReserveError> {
        let mut outbox = Self { bytes: Vec::new(), written: 0 };
        outbox.push(bytes)?;
        Ok(outbox)
    }

    /// # Errors
    /// There is no memory; nothing was added.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        if self.bytes.capacity() - self.bytes.len() < bytes.len() {
            // Written bytes are dropped before more memory is asked for.
            self.bytes.drain(..self.written);
            self.written = 0;
            self.bytes.try_reserve_exact(bytes.len())?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub fn advance(&mut self, count: usize) {
        self.written += count;
    }
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
        assert!(outbox.bytes.capacity() <= 4096, "{} bytes for 1000", outbox.bytes.capacity());
    }
}

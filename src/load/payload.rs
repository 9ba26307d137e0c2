//! The bytes that are sent. They differ between connections and between exchanges, so that a server which mixes up its peers,
//! or repeats an earlier answer, is detected.
//!
//! Owns one ring of noise; a payload is a slice of it.

/// A prime, so that the places where payloads begin do not repeat early.
const PLACES: u64 = 65_521;

/// Pseudo-random characters, of which each payload is a slice.
#[derive(Debug)]
pub(super) struct Noise {
    bytes: Vec<u8>,
    size: usize,
}

impl Noise {
    /// For payloads of `size` bytes.
    pub(super) fn new(size: usize) -> Self {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        // Printable, because errors quote them.
        let letter = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[(state % 64) as usize]
        };
        Self { bytes: (0..PLACES as usize + size).map(letter).collect(), size }
    }

    /// The payload of connection `number` in its `nth` exchange.
    pub(super) fn of(&self, number: usize, nth: u64) -> &[u8] {
        let place = (number as u64).wrapping_mul(7919).wrapping_add(nth.wrapping_mul(104_729)) % PLACES;
        &self.bytes[place as usize..][..self.size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_and_successors_differ() {
        let noise = Noise::new(8);
        assert_eq!(noise.of(3, 5), noise.of(3, 5));
        assert!(noise.of(3, 5) != noise.of(4, 5) && noise.of(3, 5) != noise.of(3, 6) && noise.of(3, 5).len() == 8);
        assert!(Noise::new(0).of(1, 1).is_empty());
    }
}

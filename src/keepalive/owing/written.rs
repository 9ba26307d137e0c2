//! What is remembered of a peer that owes an ACK, as numbers, so that another program can go on with it.

use crate::keepalive::owing::{Owing, Paced};

impl Owing {
    /// How many numbers it is.
    pub(crate) const NUMBERS: usize = 8;

    /// As numbers.
    pub(crate) fn to_numbers(self) -> [u32; Self::NUMBERS] {
        let paced = match self.paced {
            Paced::No => 0,
            Paced::RtoMax => 1,
            Paced::UserTimeout => 2,
        };
        let flags = u32::from(self.is_tried) | u32::from(self.is_dated) << 1 | paced << 2;
        let Self { heard, looked, tried, acknowledged, pure_acks, retransmitted, shut, .. } = self;
        [heard, looked, tried, acknowledged, pure_acks, retransmitted, shut, flags]
    }

    /// What [`Owing::to_numbers`] has made.
    pub(crate) fn of_numbers(numbers: [u32; Self::NUMBERS]) -> Self {
        let [heard, looked, tried, acknowledged, pure_acks, retransmitted, shut, flags] = numbers;
        let paced = match flags >> 2 & 3 {
            1 => Paced::RtoMax,
            2 => Paced::UserTimeout,
            _ => Paced::No,
        };
        let (is_tried, is_dated) = (flags & 1 != 0, flags & 2 != 0);
        Self { heard, looked, tried, acknowledged, pure_acks, retransmitted, is_tried, paced, is_dated, shut }
    }

    /// The options of its socket were set anew: what a check had set there is gone.
    pub(crate) fn with_new_options(self) -> Self {
        Self { paced: Paced::No, ..self }
    }
}

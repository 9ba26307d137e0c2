//! Numbers that look random, from numbers that are close together.

/// Every bit of the result depends on every bit of `x` (the last step of SplitMix64).
pub(crate) fn scatter(x: u64) -> u64 {
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

//! A number of things, as a person writes it: `1 peer`, `2 peers`.
#![forbid(unsafe_code)]

use std::fmt;

/// A number, and the singular of what it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SoMany(u64, &'static str);

/// This many of `one`, which is the singular.
pub(crate) fn so_many(number: impl TryInto<u64>, one: &'static str) -> SoMany {
    SoMany(number.try_into().unwrap_or(u64::MAX), one)
}

impl fmt::Display for SoMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, one) = self;
        write!(f, "{number} {one}{}", if *number == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one() {
        let told = [0usize, 1, 2].map(|number| so_many(number, "peer").to_string());
        assert_eq!(told, ["0 peers", "1 peer", "2 peers"]);
    }
}

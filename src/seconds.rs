//! A duration as a person reads it in a log: `35.8`, in seconds.
//!
//! By whole numbers: the formatting of floating-point numbers takes 12 kB of a small binary.

use std::fmt;
use std::time::Duration;

/// Seconds with one decimal, rounded.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0.as_millis() + 50) / 100;
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_are_rounded() {
        for (milliseconds, text) in [(0, "0.0"), (49, "0.0"), (50, "0.1"), (35_849, "35.8"), (59_950, "60.0")] {
            assert_eq!(Seconds(Duration::from_millis(milliseconds)).to_string(), text);
        }
    }
}

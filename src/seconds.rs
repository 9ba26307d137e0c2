//! A duration as a person reads it in a log: `35.8`, in seconds.
//!
//! In integers only: formatting floating-point numbers takes 12 kB of a small binary.

use std::fmt;
use std::time::Duration;

/// Seconds with one decimal, rounded.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not by `as_millis`, which has 128 bits: printing those takes 1 kB more.
        let tenths = self.0.subsec_millis() + 50;
        let (seconds, tenths) = (self.0.as_secs().saturating_add((tenths / 1000).into()), tenths % 1000 / 100);
        write!(f, "{seconds}.{tenths}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_are_rounded() {
        for (milliseconds, text) in
            [(0, "0.0"), (49, "0.0"), (50, "0.1"), (35_849, "35.8"), (59_949, "59.9"), (59_950, "60.0")]
        {
            assert_eq!(Seconds(Duration::from_millis(milliseconds)).to_string(), text);
        }
    }
}

//! Durations as a person reads them: `35.8`, in seconds, or `1m 30s`.
//!
//! In integers only: formatting floating-point numbers takes 12 kB of a small binary. The library must not depend on a
//! crate for this.

use std::fmt;
use std::time::Duration;

/// Seconds with one decimal, rounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not by `as_millis`, which has 128 bits: printing those takes 1 kB more.
        let tenths = self.0.subsec_millis() + 50;
        let (seconds, tenths) = (self.0.as_secs().saturating_add((tenths / 1000).into()), tenths % 1000 / 100);
        write!(f, "{seconds}.{tenths}")
    }
}

/// A duration in words, as `humantime` reads and writes it: `1h 30m`, `250ms`. It is what a person may give as an option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InWords(pub Duration);

/// Whole seconds of each larger unit, and whether it has a plural. A month is a twelfth of a year of 365.25 days; it is what
/// `humantime` has.
const UNITS: [(&str, u64, bool); 6] = [
    ("year", 31_557_600, true),
    ("month", 2_630_016, true),
    ("day", 86_400, true),
    ("h", 3600, false),
    ("m", 60, false),
    ("s", 1, false),
];
/// Nanoseconds of each smaller unit.
const SMALL_UNITS: [(&str, u32); 3] = [("ms", 1_000_000), ("us", 1000), ("ns", 1)];

impl fmt::Display for InWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut seconds, mut nanoseconds) = (self.0.as_secs(), self.0.subsec_nanos());
        let mut gap = "";
        for (unit, size, has_plural) in UNITS {
            let count = seconds / size;
            seconds %= size;
            if count > 0 {
                let plural = if has_plural && count > 1 { "s" } else { "" };
                write!(f, "{gap}{count}{unit}{plural}")?;
                gap = " ";
            }
        }
        for (unit, size) in SMALL_UNITS {
            let count = nanoseconds / size;
            nanoseconds %= size;
            if count > 0 {
                write!(f, "{gap}{count}{unit}")?;
                gap = " ";
            }
        }
        if gap.is_empty() { f.write_str("0s") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_those_of_humantime(seconds in 0u64..1 << 34, nanoseconds in 0u32..1_000_000_000, zeros in 0u32..10) {
            let rounded = nanoseconds / 10u32.pow(zeros.min(9)) * 10u32.pow(zeros.min(9));
            for seconds in [seconds, seconds >> 20, 0] {
                let duration = Duration::new(seconds, rounded);
                prop_assert_eq!(InWords(duration).to_string(), humantime::format_duration(duration).to_string());
            }
        }
    }

    #[test]
    fn tenths_are_rounded() {
        for (milliseconds, text) in
            [(0, "0.0"), (49, "0.0"), (50, "0.1"), (35_849, "35.8"), (59_949, "59.9"), (59_950, "60.0")]
        {
            assert_eq!(Seconds(Duration::from_millis(milliseconds)).to_string(), text);
        }
    }
}

//! `1/year`: how many living peers may be dropped, all together.
//!
//! Owns how it is written.

use std::fmt;
use std::str::FromStr;

use crate::plan::{DAY, YEAR};

const PERIODS: [(&str, f64); 7] = [
    ("second", 1.0),
    ("minute", 60.0),
    ("hour", 3600.0),
    ("day", DAY),
    ("week", 7.0 * DAY),
    ("month", YEAR / 12.0),
    ("year", YEAR),
];

/// A number of drops in a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    count: f64,
    period: (&'static str, f64),
}

impl Budget {
    /// How many a second.
    pub fn rate(&self) -> f64 {
        self.count / self.period.1
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = if self.period.0 == "hour" { "an" } else { "a" };
        // Without a row of zeros.
        match self.count {
            count if (1e-3..1e6).contains(&count) => write!(f, "{count} {article} {}", self.period.0),
            count => write!(f, "{count:e} {article} {}", self.period.0),
        }
    }
}

impl FromStr for Budget {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (count, period) = text.split_once('/').ok_or(())?;
        let count = count.trim().parse().map_err(|_| ())?;
        let period = PERIODS.into_iter().find(|(name, _)| *name == period.trim()).ok_or(())?;
        if f64::is_finite(count) && count > 0.0 { Ok(Self { count, period }) } else { Err(()) }
    }
}

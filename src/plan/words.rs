//! How a number of the plan is written for a person.
//!
//! Owns the forms of durations, shares and rates. Knows no plan.

use std::time::Duration;

use crate::plan::{DAY, YEAR};
use crate::seconds::InWords;

pub(super) fn peers(count: u64) -> String {
    if count == 1 { "one peer".to_string() } else { format!("{count} peers") }
}

/// `5m 50s`; below a second `200ms`; parts of a millisecond are left out.
pub(super) fn duration(duration: Duration) -> String {
    let millis = duration.as_millis() as u64;
    // Milliseconds are left out from some seconds on.
    let millis = if millis > 10_000 { (millis + 50) / 100 * 100 } else { millis };
    InWords(Duration::from_millis(millis)).to_string()
}

pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Three significant digits.
pub(super) fn amount(number: f64) -> String {
    let (scaled, unit) = match number {
        n if n >= 1e9 => (n / 1e9, " G"),
        n if n >= 1e6 => (n / 1e6, " M"),
        n if n >= 1e4 => (n / 1e3, " k"),
        n => (n, ""),
    };
    match scaled {
        s if s >= 100.0 => format!("{s:.0}{unit}"),
        s if s >= 10.0 => format!("{s:.1}{unit}"),
        s if s >= 0.01 || s == 0.0 => format!("{s:.2}{unit}"),
        s => format!("{s:.1e}"),
    }
}

/// A chance: `12.3 %`, or `1 in 4.56 M`.
pub(super) fn share(chance: f64) -> String {
    match chance {
        c if c <= 0.0 => "never".to_string(),
        c if c >= 0.999_95 => "certain".to_string(),
        c if c >= 0.001 => format!("{:.*} %", if c < 0.1 { 2 } else { 1 }, c * 100.0),
        c if c < 1e-12 => format!("1 in {:.0e}", 1.0 / c),
        c => format!("1 in {}", amount(1.0 / c)),
    }
}

/// A rate per second in words: `3.20 a day`, `one in 12.0 years`.
pub(super) fn per(rate: f64) -> String {
    let periods = [("a second", 1.0), ("a minute", 60.0), ("an hour", 3600.0), ("a day", DAY), ("a year", YEAR)];
    if rate <= 0.0 {
        return "none".to_string();
    }
    match periods.into_iter().find(|(_, seconds)| rate * seconds >= 1.0) {
        Some((name, seconds)) => format!("{} {name}", amount(rate * seconds)),
        None if rate * YEAR < 1e-12 => format!("one in {:.0e} years", 1.0 / (rate * YEAR)),
        None => format!("one in {} years", amount(1.0 / (rate * YEAR))),
    }
}

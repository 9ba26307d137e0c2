//! `--fail-if`: the conditions under which a run fails, for scripts.
//!
//! ```text
//! conditions = condition {"," condition}            p99>5ms,errors>1%
//! condition  = figure comparison value
//! comparison = ">" | ">=" | "<" | "<=" | "=" | "!="
//! value      = a duration (5ms, 1s) | a number | a share of the connections (1%), as the figure requires
//! ```
//!
//! Owns the figures that can be asked for, their names and units. Knows nothing of how a run is made or reported.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::report::{Report, latency};

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    /// As it was given, without blanks.
    text: String,
    figure: Figure,
    comparison: Comparison,
    value: f64,
    /// The value is a share of the connections, in percent.
    share: bool,
}

/// The result of a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct CriterionResult {
    pub criterion: String,
    /// In seconds, or a count; `None`: this run has no such figure.
    pub value: Option<f64>,
    pub failed: bool,
    /// For a person.
    pub sentence: String,
}

/// The figures that a condition can test.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    /// Of one of the three kinds of latency.
    Latency(CriterionKind, CriterionPoint),
    Count(&'static str),
    /// Seconds of the server's CPU for an exchange.
    Cpu,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum CriterionKind {
    Exchange,
    Connect,
    Lateness,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum CriterionPoint {
    Percentile(f64),
    Mean,
    Max,
}

#[derive(Clone, Copy, Debug)]
struct Comparison {
    sign: &'static str,
    holds: fn(Ordering) -> bool,
}

/// The sign identifies a comparison.
impl PartialEq for Comparison {
    fn eq(&self, other: &Self) -> bool {
        self.sign == other.sign
    }
}

/// Longer signs first: `>=` begins with `>`.
const COMPARISONS: [Comparison; 6] = [
    Comparison { sign: ">=", holds: |order| order.is_ge() },
    Comparison { sign: "<=", holds: |order| order.is_le() },
    Comparison { sign: "!=", holds: |order| order.is_ne() },
    Comparison { sign: ">", holds: |order| order.is_gt() },
    Comparison { sign: "<", holds: |order| order.is_lt() },
    Comparison { sign: "=", holds: |order| order.is_eq() },
];

/// A name, and how the figure is taken from a report.
type Count = (&'static str, fn(&Report) -> Option<f64>);

/// Figures that are numbers. Those of [`OF_CONNECTIONS`] come first: only they can be a share.
const COUNTS: [Count; 9] = [
    ("errors", |report| Some(report.troubles.total() as f64)),
    ("connected", |report| Some(report.connected as f64)),
    ("held", |report| report.held.map(|held| held.least as f64)),
    ("lost", |report| Some(report.lost as f64)),
    ("unanswered", |report| (report.askers > 0).then_some(report.unanswered as f64)),
    ("exchanges", |report| (report.askers > 0).then_some(report.exchanges as f64)),
    ("rate", |report| report.exchanges_a_second().filter(|_| report.askers > 0)),
    ("connect-rate", Report::connects_a_second),
    ("bytes-a-peer", |report| report.bytes_a_peer()),
];
const OF_CONNECTIONS: usize = 4;

/// All names, for an error message.
pub const NAMES: &str = "p50, p90, p99, p99.9 (any pN), mean, max; connect-pN, connect-mean, connect-max; lateness-pN, \
                         lateness-mean, lateness-max; errors, connected, held, lost, unanswered, exchanges, rate, \
                         connect-rate, bytes-a-peer, cpu";

impl Criterion {
    /// Reads a list of conditions.
    ///
    /// # Errors
    /// A sentence: which condition is wrong, and what would be right.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        text.split(',').map(str::parse).collect()
    }

    /// Whether it limits how many connections may have failed, so that the default (none) does not apply.
    pub fn allows_errors(&self) -> bool {
        self.figure == Figure::Count("errors")
    }

    /// Tests this run. An unknown figure counts as failed.
    pub fn judge(&self, report: &Report) -> CriterionResult {
        let criterion = self.text.clone();
        let Some(value) = self.figure.of(report) else {
            let sentence = format!("{} is not known in this run, so --fail-if {criterion} fails", self.figure);
            return CriterionResult { criterion, value: None, failed: true, sentence };
        };
        let connections = report.settings.connections as f64;
        let compared = if self.share { value * 100.0 / connections } else { value };
        let failed = compared.partial_cmp(&self.value).is_some_and(self.comparison.holds);
        let told = match (self.figure, self.share) {
            (Figure::Latency(..) | Figure::Cpu, _) => latency((value * 1e9).round() as u64),
            (_, true) => format!("{value} of {connections}, {compared:.3} %"),
            (_, false) if value.fract() == 0.0 => format!("{value}"),
            (_, false) => format!("{value:.1}"),
        };
        let end = if failed { "" } else { " does not hold" };
        let sentence = format!("{} is {told}; --fail-if {criterion}{end}", self.figure);
        CriterionResult { criterion, value: Some(value), failed, sentence }
    }
}

impl FromStr for Criterion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let split = |comparison: Comparison| Some((comparison, text.split_once(comparison.sign)?));
        let Some((comparison, (name, value))) = COMPARISONS.into_iter().find_map(split) else {
            return Err(format!("{text:?} has no comparison; write p99>5ms or errors>0, or several with commas"));
        };
        let figure = Figure::named(name).ok_or_else(|| format!("there is no figure {name:?}; there are {NAMES}"))?;
        // Programmers type `==`.
        let value = value.strip_prefix('=').filter(|_| comparison.sign == "=").unwrap_or(value);
        let counts_connections = COUNTS[..OF_CONNECTIONS].iter().any(|(name, _)| figure == Figure::Count(name));
        let percent = value.strip_suffix('%').filter(|_| counts_connections);
        let (number, wanted) = match figure {
            Figure::Latency(..) | Figure::Cpu => (
                humantime::parse_duration(value).ok().map(|time: Duration| time.as_secs_f64()),
                "a duration such as 5ms",
            ),
            Figure::Count(_) => {
                let number = percent.unwrap_or(value).parse().ok().filter(|number: &f64| number.is_finite());
                (number, if counts_connections { "a number, or a share such as 1%" } else { "a number" })
            }
        };
        let value = number.ok_or_else(|| format!("{name} is compared with {wanted}, and {value:?} is none"))?;
        let share = percent.is_some();
        Ok(Self { text, figure, comparison, value, share })
    }
}

impl Figure {
    fn named(name: &str) -> Option<Self> {
        if name == "cpu" {
            return Some(Self::Cpu);
        }
        if let Some((count, _)) = COUNTS.iter().find(|(count, _)| *count == name) {
            return Some(Self::Count(count));
        }
        let (kind, point) = match name.split_once('-') {
            Some(("connect", point)) => (CriterionKind::Connect, point),
            Some(("lateness", point)) => (CriterionKind::Lateness, point),
            Some(_) => return None,
            None => (CriterionKind::Exchange, name),
        };
        let point = match point {
            "mean" => CriterionPoint::Mean,
            "max" => CriterionPoint::Max,
            _ => {
                let percentile: f64 = point.strip_prefix('p')?.parse().ok()?;
                CriterionPoint::Percentile((0.0..=100.0).contains(&percentile).then_some(percentile)?)
            }
        };
        Some(Self::Latency(kind, point))
    }

    /// In seconds, or a count.
    fn of(self, report: &Report) -> Option<f64> {
        match self {
            Self::Cpu => report.cpu_an_exchange(),
            Self::Count(name) => COUNTS.iter().find(|(count, _)| *count == name).and_then(|(_, of)| of(report)),
            Self::Latency(kind, point) => {
                let all = match kind {
                    CriterionKind::Exchange => &report.exchange,
                    CriterionKind::Connect => &report.connect,
                    CriterionKind::Lateness => &report.lateness,
                };
                point.of(all).map(|nanoseconds| nanoseconds / 1e9)
            }
        }
    }
}

impl CriterionPoint {
    fn of(self, all: &Histogram<u64>) -> Option<f64> {
        (!all.is_empty()).then(|| match self {
            Self::Percentile(percentile) => all.value_at_percentile(percentile) as f64,
            Self::Mean => all.mean(),
            Self::Max => all.max() as f64,
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, point) = match self {
            Self::Cpu => return f.write_str("cpu (an exchange)"),
            Self::Count(name) => return f.write_str(name),
            Self::Latency(CriterionKind::Exchange, point) => ("", point),
            Self::Latency(CriterionKind::Connect, point) => ("connect-", point),
            Self::Latency(CriterionKind::Lateness, point) => ("lateness-", point),
        };
        match point {
            CriterionPoint::Percentile(percentile) => write!(f, "{kind}p{percentile}"),
            CriterionPoint::Mean => write!(f, "{kind}mean"),
            CriterionPoint::Max => write!(f, "{kind}max"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::tests::report;

    #[test]
    fn conditions_are_judged_and_told() {
        let report = report();
        let judge =
            |text: &str| text.parse::<Criterion>().unwrap_or_else(|error| panic!("{text}: {error}")).judge(&report);
        for (text, failed) in [
            ("p99>5ms", false),
            ("p99 > 900us", true),
            ("p50>=501us", false),
            ("max<2s", true),
            ("mean!=1s", true),
            ("errors>0", true),
            ("errors>1%", false),
            ("held<99%", true),
            ("held==97", true),
            ("held!=97", false),
            ("rate<401", true),
            ("lateness-max>30us", true),
            ("cpu>4us", true),
            ("bytes-a-peer>48", false),
            ("unanswered>7", false),
            ("connect-p99>1h", true), // not known
        ] {
            assert_eq!(judge(text).failed, failed, "{text}: {}", judge(text).sentence);
        }
        assert_eq!(judge("p99>900us").sentence, "p99 is 990 µs; --fail-if p99>900us");
        assert_eq!(
            judge("connect-p99>1h").sentence,
            "connect-p99 is not known in this run, so --fail-if connect-p99>1h fails"
        );
        assert!(judge("errors>1%").sentence.starts_with("errors is 1 of 100, 1.000 %;"));
    }

    #[test]
    fn what_is_no_condition_is_told_with_what_would_be() {
        for (text, part) in [
            ("p99", "has no comparison"),
            ("", "has no comparison"),
            ("q99>5ms", "no figure \"q99\"; there are p50, p90,"),
            ("p101>5ms", "no figure \"p101\""),
            ("p99>5", "a duration such as 5ms, and \"5\" is none"),
            ("p99>1%", "a duration"),
            ("rate>1%", "a number, and \"1%\""),
            ("errors>few", "a share such as 1%"),
            ("errors>0,", "has no comparison"),
            ("errors=>0", "no figure \"errors=\""),
        ] {
            let said = Criterion::list(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said:?} does not contain {part:?}");
        }
        assert_eq!(Criterion::list("p99>5ms, errors>0").unwrap().len(), 2);
        for (name, _) in COUNTS {
            assert!(NAMES.contains(name) && Figure::named(name).is_some());
        }
        assert!(NAMES.ends_with("cpu") && Figure::named("p99.99").is_some());
    }
}

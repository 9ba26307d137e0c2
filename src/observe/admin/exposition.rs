//! Metrics as text: Prometheus' format 0.0.4, and OpenMetrics 1.0.0 for those who ask for it.
//!
//! Owns the grammar of both, and which of them a client prefers. Knows no metric. Numbers with decimals are printed and read
//! here without floating point, whose printing and reading take 28 kB of the binary.

use std::fmt::{self, Display, Write};
use std::time::Duration;

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What the header `Accept` prefers. Prometheus' own format is for all who do not ask for the other one.
    pub(super) fn preferred(accept: Option<&str>) -> Self {
        let (mut open, mut text) = (0, 0);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut is_ours) = (1000, true);
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => weight = thousandths(value.trim()).unwrap_or(0),
                    "version" => is_ours = matches!(value.trim().trim_matches('"'), "1.0.0" | "0.0.1" | "0.0.4"),
                    _ => {}
                }
            }
            match kind.as_str() {
                "application/openmetrics-text" if is_ours => open = weight.max(open),
                "text/plain" | "text/*" | "*/*" if is_ours => text = weight.max(text),
                _ => {}
            }
        }
        if open > 0 && open >= text { Self::OpenMetrics } else { Self::Prometheus }
    }
}

/// Reads a weight such as `0.75`, which has three decimals at most (RFC 9110 §12.4.2).
fn thousandths(weight: &str) -> Option<u32> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals = format!("{decimals:0<3}").parse::<u32>().ok()?;
    whole.parse::<u32>().ok().filter(|whole| *whole <= 1).map(|whole| whole * 1000 + decimals)
}

/// A number with up to nine decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Decimal {
    billionths: u64,
}

impl Decimal {
    pub(super) const fn whole(number: u64) -> Self {
        Self { billionths: number.saturating_mul(1_000_000_000) }
    }

    pub(super) fn seconds(time: Duration) -> Self {
        Self::billionths(time.as_nanos().try_into().unwrap_or(u64::MAX))
    }

    pub(super) const fn billionths(billionths: u64) -> Self {
        Self { billionths }
    }
}

impl Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut rest, mut digits) = (self.billionths / 1_000_000_000, self.billionths % 1_000_000_000, 9);
        while digits > 1 && rest % 10 == 0 {
            (rest, digits) = (rest / 10, digits - 1);
        }
        write!(f, "{whole}.{rest:0digits$}")
    }
}

/// A text that grows by one metric after the other.
#[derive(Debug)]
pub(super) struct Exposition {
    text: String,
    format: Format,
}

/// One label; its value is ours and needs no escapes.
pub(super) type Label<'a> = (&'a str, &'a str);

impl Exposition {
    /// About as long as all metrics are.
    const LENGTH: usize = 16 * 1024;

    pub(super) fn new(format: Format) -> Self {
        Self { text: String::with_capacity(Self::LENGTH), format }
    }

    pub(super) fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text += "# EOF\n";
        }
        self.text
    }

    /// One number that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, "", &[], value);
    }

    /// A 1, with labels that say something about the program. `name` is without the suffix `_info`.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &[Label<'_>]) {
        match self.format {
            Format::OpenMetrics => self.family(name, "info", help),
            Format::Prometheus => self.family_of(name, "_info", "gauge", help),
        }
        self.sample(name, "_info", labels, 1);
    }

    /// One number that only goes up. `name` is without the suffix `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.counters(name, help);
        self.sample(name, "_total", &[], value);
    }

    /// The same, for several values of a label: each is added with [`Exposition::count`].
    pub(super) fn counters(&mut self, name: &str, help: &str) {
        match self.format {
            Format::OpenMetrics => self.family(name, "counter", help),
            Format::Prometheus => self.family_of(name, "_total", "counter", help),
        }
    }

    pub(super) fn count(&mut self, name: &str, label: Label<'_>, value: u64) {
        self.sample(name, "_total", &[label], value);
    }

    /// A histogram: an upper bound and a count for each bucket, of which the last has no bound. The counts are not cumulative.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: impl Iterator<Item = (Option<Decimal>, u64)>,
        sum: impl Display,
    ) {
        self.family(name, "histogram", help);
        let mut count = 0;
        for (bound, more) in buckets {
            count += more;
            let _ = match bound {
                Some(bound) => writeln!(self.text, "{name}_bucket{{le=\"{bound}\"}} {count}"),
                None => writeln!(self.text, "{name}_bucket{{le=\"+Inf\"}} {count}"),
            };
        }
        self.sample(name, "_sum", &[], sum);
        self.sample(name, "_count", &[], count);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.family_of(name, "", kind, help);
    }

    fn family_of(&mut self, name: &str, suffix: &str, kind: &str, help: &str) {
        let _ = write!(self.text, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
        // OpenMetrics wants to be told the unit that the name ends with.
        if self.format == Format::OpenMetrics {
            for unit in ["seconds", "bytes"] {
                if name.ends_with(unit) {
                    let _ = writeln!(self.text, "# UNIT {name} {unit}");
                }
            }
        }
    }

    /// Writing to a string cannot fail.
    fn sample(&mut self, name: &str, suffix: &str, labels: &[Label<'_>], value: impl Display) {
        self.text += name;
        self.text += suffix;
        for (nth, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{label}=\"{text}\"", if nth == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_those_who_prefer_it() {
        use Format::{OpenMetrics, Prometheus};
        for (accept, format) in [
            (None, Prometheus),
            (Some(""), Prometheus),
            (Some("*/*"), Prometheus),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Prometheus),
            (Some("application/openmetrics-text"), OpenMetrics),
            (Some("Application/OpenMetrics-Text; version=\"1.0.0\"; charset=utf-8"), OpenMetrics),
            // Prometheus 2.42, and 3.
            (
                Some(
                    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ),
                OpenMetrics,
            ),
            (
                Some(
                    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;q=0.6,*/*;q=0.1",
                ),
                Prometheus,
            ),
            (Some("application/openmetrics-text;version=2.0.0;q=0.9,text/plain;q=0.5"), Prometheus),
            (Some("text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.8"), Prometheus),
            (Some("application/openmetrics-text;q=0"), Prometheus),
            (Some("application/openmetrics-text;q=x, text/plain"), Prometheus),
        ] {
            assert_eq!(Format::preferred(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn a_decimal_has_the_decimals_that_it_needs() {
        for (billionths, told) in [
            (0, "0.0"),
            (1, "0.000000001"),
            (1_024_000, "0.001024"),
            (1_000_000_000, "1.0"),
            (35_100_000_000, "35.1"),
            (u64::MAX, "18446744073.709551615"),
        ] {
            assert_eq!(Decimal::billionths(billionths).to_string(), told);
        }
        assert_eq!(Decimal::seconds(Duration::from_millis(2500)).to_string(), "2.5");
        for (weight, read) in
            [("1", Some(1000)), ("0.75", Some(750)), ("0.5", Some(500)), ("1.000", Some(1000)), ("0.", Some(0))]
        {
            assert_eq!(thousandths(weight), read);
        }
        for weight in ["", "x", "2", "-1", "0.1234", "0.+1", ".5x"] {
            assert_eq!(thousandths(weight), None, "{weight}");
        }
    }

    fn told(format: Format) -> String {
        let mut text = Exposition::new(format);
        text.info("x_build", "What.", &[("version", "1"), ("os", "linux")]);
        text.gauge("x_peers", "Peers.", 3);
        text.counter("process_cpu_seconds", "CPU.", 1.5);
        text.counters("x_departures", "Departures.");
        text.count("x_departures", ("reason", "closed"), 2);
        text.histogram(
            "x_work_seconds",
            "Work.",
            [(Some(Decimal::billionths(1_000_000)), 1), (Some(Decimal::whole(1)), 0), (None, 2)].into_iter(),
            "0.25",
        );
        text.end()
    }

    #[test]
    fn both_formats_have_their_own_names() {
        assert_eq!(
            told(Format::Prometheus),
            "# HELP x_build_info What.\n# TYPE x_build_info gauge\nx_build_info{version=\"1\",os=\"linux\"} 1\n\
             # HELP x_peers Peers.\n# TYPE x_peers gauge\nx_peers 3\n\
             # HELP process_cpu_seconds_total CPU.\n# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5\n\
             # HELP x_departures_total Departures.\n# TYPE x_departures_total counter\n\
             x_departures_total{reason=\"closed\"} 2\n\
             # HELP x_work_seconds Work.\n# TYPE x_work_seconds histogram\nx_work_seconds_bucket{le=\"0.001\"} 1\n\
             x_work_seconds_bucket{le=\"1.0\"} 1\nx_work_seconds_bucket{le=\"+Inf\"} 3\nx_work_seconds_sum 0.25\n\
             x_work_seconds_count 3\n"
        );
        assert_eq!(
            told(Format::OpenMetrics),
            "# HELP x_build What.\n# TYPE x_build info\nx_build_info{version=\"1\",os=\"linux\"} 1\n\
             # HELP x_peers Peers.\n# TYPE x_peers gauge\nx_peers 3\n\
             # HELP process_cpu_seconds CPU.\n# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\n\
             process_cpu_seconds_total 1.5\n\
             # HELP x_departures Departures.\n# TYPE x_departures counter\nx_departures_total{reason=\"closed\"} 2\n\
             # HELP x_work_seconds Work.\n# TYPE x_work_seconds histogram\n# UNIT x_work_seconds seconds\n\
             x_work_seconds_bucket{le=\"0.001\"} 1\nx_work_seconds_bucket{le=\"1.0\"} 1\n\
             x_work_seconds_bucket{le=\"+Inf\"} 3\nx_work_seconds_sum 0.25\nx_work_seconds_count 3\n# EOF\n"
        );
    }
}

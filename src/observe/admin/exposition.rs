//! Metrics as text: Prometheus' format 0.0.4, and OpenMetrics 1.0.0 for those who ask for it.
//!
//! Owns the grammar of both, and which of them a client prefers. Knows no metric.

use std::fmt::{Display, Write};

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
        let (mut open, mut text) = (0.0, 0.0);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut is_ours) = (1.0, true);
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => weight = value.trim().parse::<f32>().unwrap_or(0.0),
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
        if open > 0.0 && open >= text { Self::OpenMetrics } else { Self::Prometheus }
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
        buckets: impl Iterator<Item = (f64, u64)>,
        sum: impl Display,
    ) {
        self.family(name, "histogram", help);
        let mut count = 0;
        for (bound, more) in buckets {
            count += more;
            let _ = if bound.is_finite() {
                writeln!(self.text, "{name}_bucket{{le=\"{bound:?}\"}} {count}")
            } else {
                writeln!(self.text, "{name}_bucket{{le=\"+Inf\"}} {count}")
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

    fn told(format: Format) -> String {
        let mut text = Exposition::new(format);
        text.info("x_build", "What.", &[("version", "1"), ("os", "linux")]);
        text.gauge("x_peers", "Peers.", 3);
        text.counter("process_cpu_seconds", "CPU.", 1.5);
        text.counters("x_departures", "Departures.");
        text.count("x_departures", ("reason", "closed"), 2);
        text.histogram("x_work_seconds", "Work.", [(0.001, 1), (1.0, 0), (f64::INFINITY, 2)].into_iter(), 0.25);
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

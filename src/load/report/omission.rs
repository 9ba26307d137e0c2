//! What a closed loop omits: a peer that waits for a late answer sends no request, so a stall is counted once per peer, and not
//! for all the requests that would have come meanwhile ("coordinated omission").
//!
//! Owns the estimate of what that hides. It is shown beside the measured percentile and never in its place: only a
//! fixed rate (`schedule.rs`) measures it.

use hdrhistogram::Histogram;

use crate::load::report::Report;

/// The estimate is printed if it is at least this many times the measured percentile.
const TELLING: u64 = 2;
/// Answers that are needed for a 99th percentile.
const ENOUGH: u64 = 100;

/// The 99th percentile in nanoseconds, if each peer had sent requests at its usual pace while it waited. `None`: at a
/// fixed rate, which measures it; with too few answers; or where it makes little difference.
pub(super) fn p99_asked_on(report: &Report) -> Option<u64> {
    let all = &report.exchange;
    if report.settings.rate.is_some() || all.len() < ENOUGH || report.answered() == 0 {
        return None;
    }
    // Each peer sends the next request when it has been answered, so its requests are the usual latency apart.
    let estimate = asked_on(all, all.value_at_percentile(50.0), 0.99)?;
    (estimate >= TELLING * all.value_at_percentile(99.0)).then_some(estimate)
}

/// A latency of L hides those of L - pace, L - 2 pace and so on, down to one pace. Returns what the `share` of all,
/// measured and hidden, do not exceed.
fn asked_on(all: &Histogram<u64>, pace: u64, share: f64) -> Option<u64> {
    if pace == 0 || all.is_empty() {
        return None;
    }
    let counts: Vec<(u64, u64)> =
        all.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect();
    // How many of the latencies that `value` stands for are above `least`.
    let of = |value: u64, least: u64| {
        let hidden = value.saturating_sub(least.max(pace - 1)).saturating_sub(1) / pace;
        u64::from(value > least) + hidden
    };
    let above = |least: u64| counts.iter().map(|(value, count)| count * of(*value, least)).sum::<u64>() as f64;
    let most = above(0) * (1.0 - share);
    let (mut low, mut high) = (0, all.max());
    while low < high {
        let middle = low + (high - low) / 2;
        if above(middle) <= most { high = middle } else { low = middle + 1 }
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_histogram_s_own_correction() {
        let mut all = Histogram::<u64>::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        for n in 0..10_000u64 {
            all.record(50_000 + n % 700 * 10).unwrap();
        }
        for stall in [500_000_000, 30_000_000, 2_345_678] {
            all.record(stall).unwrap();
            let pace = all.value_at_percentile(50.0);
            let theirs = all.clone_correct(pace).value_at_percentile(99.0) as f64;
            let ours = asked_on(&all, pace, 0.99).unwrap() as f64;
            assert!((ours / theirs - 1.0).abs() < 0.005, "{ours} and {theirs}");
        }
        // 10 000 answers in half a second, and a stall of half a second: it hides as many, which waited 0 to 500 ms.
        assert!(asked_on(&all, 50_000, 0.99).unwrap() > 450_000_000);
        assert!(all.value_at_percentile(99.0) < 60_000);
    }

    #[test]
    fn without_stalls_there_is_nothing_to_tell() {
        let mut all = Histogram::<u64>::new(3).unwrap();
        assert_eq!(asked_on(&all, 5, 0.99), None);
        (0..1000u64).for_each(|n| all.record(900 + n % 100).unwrap());
        let (ours, measured) = (asked_on(&all, 950, 0.99).unwrap(), all.value_at_percentile(99.0));
        assert!(ours.abs_diff(measured) <= 1, "{ours} and {measured}");
    }
}

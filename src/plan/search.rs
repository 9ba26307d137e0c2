//! From what is wanted to settings: a split for few wake-ups, and the shortest deadline for a budget
//! of false drops.
//!
//! Owns the search. Knows the odds only through the judgement that it is given.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::keepalive::{Keepalive, Unfit};

/// More probes than this in a row tell nothing new: the path is dead, or the peer.
const MOST_PROBES: u64 = 24;
/// The longest deadline that is looked at.
pub const LONGEST: u64 = 4 * 60 * 60;

/// A deadline whose probes come late and close together: the idle time is as long as it can be, so
/// that a radio wakes up seldom. They are kept two round trips and two bursts apart if there is room.
///
/// # Errors
/// What [`Keepalive::with_deadline`] refuses.
pub fn few_wake_ups(deadline: Duration, round_trip: Duration, burst: Duration) -> Result<Keepalive, Unfit> {
    let usual = Keepalive::with_deadline(deadline)?;
    let apart = round_trip.max(burst) * 2;
    let whole = Duration::from_secs(apart.as_secs() + u64::from(apart.subsec_nanos() > 0));
    let interval = whole.clamp(Duration::from_secs(1), usual.interval());
    let count = usual.count().min(3); // each takes from the idle time
    let idle = deadline - interval * count;
    // A long deadline may leave more to idle than the kernel takes: then the usual split does.
    Ok(Keepalive::new(idle, interval, count).unwrap_or(usual))
}

/// The shortest deadline, and the best way to split it, which is `good`. A longer deadline is never worse, so it is looked for by halves; of the splits of one
/// deadline the one with the longest idle time is taken, because it costs least. With `few_wake_ups`
/// idle is at least half of the deadline.
pub fn shortest(few_wake_ups: bool, good: impl Fn(&Keepalive) -> bool) -> Option<Keepalive> {
    let split = |deadline: u64| best_split(deadline, few_wake_ups, &good);
    // Double first: most answers are small, and a small deadline is quick to look at.
    let mut top = 4;
    let mut found = loop {
        match split(top) {
            Some(keepalive) => break keepalive,
            None if top >= LONGEST => return None,
            None => top = (top * 2).min(LONGEST),
        }
    };
    let mut bottom = if top == 4 { 3 } else { top / 2 + 1 };
    while bottom < top {
        let middle = bottom + (top - bottom) / 2;
        match split(middle) {
            Some(keepalive) => (found, top) = (keepalive, middle),
            None => bottom = middle + 1,
        }
    }
    Some(found)
}

fn best_split(deadline: u64, few_wake_ups: bool, good: &impl Fn(&Keepalive) -> bool) -> Option<Keepalive> {
    let least_idle = if few_wake_ups { deadline.div_ceil(2) } else { 1 };
    let best = (least_idle..=deadline.saturating_sub(2)).rev().try_for_each(|idle| {
        // With two probes at least: one must not be fatal. The first count that divides and fits is not
        // the best, so all are tried.
        let probing = deadline - idle;
        for count in (2..=MOST_PROBES.min(probing)).filter(|count| probing.is_multiple_of(*count)) {
            let interval = probing / count;
            if interval > idle {
                continue; // would not keep the deadline
            }
            let keepalive = Keepalive::new(Duration::from_secs(idle), Duration::from_secs(interval), count as u32);
            if let Some(keepalive) = keepalive.ok().filter(good) {
                return ControlFlow::Break(keepalive);
            }
        }
        ControlFlow::Continue(())
    });
    best.break_value()
}

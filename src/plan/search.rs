//! From what is wanted to settings: a split for few wake-ups, one that is never silent for too long, and
//! the shortest deadline for a budget of false drops.
//!
//! Owns the search. Knows the odds only through the function that it is given.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::keepalive::{Keepalive, TimerWheel, Unfit};

/// More probes than this add nothing: the path or the peer is dead.
const MOST_PROBES: u64 = 24;
/// The longest deadline that is tried.
pub(super) const LONGEST: u64 = 4 * 60 * 60;
/// The shortest: [`Keepalive::with_deadline`] takes no less.
const SHORTEST: u64 = 3;

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

/// Whether an idle connection is never silent as long as `limit`, even if all probes but the last are lost.
pub(super) fn keeps(keepalive: &Keepalive, limit: Duration) -> bool {
    keepalive.silences().last().is_some_and(|silence| *silence < limit)
}

/// These settings; or if they are silent for too long, the split of the same deadline that is nearest to
/// them and is not: fewer probes, further apart, because the last interval is the only one that need not
/// be bridged. Two probes at least: one must not be fatal.
pub(super) fn kept(usual: Keepalive, limit: Duration) -> Option<Keepalive> {
    if keeps(&usual, limit) {
        return Some(usual);
    }
    let deadline = usual.deadline().as_secs();
    let least = usual.interval().as_secs().max(deadline.saturating_sub(limit.as_secs()));
    (2..=usual.count()).rev().find_map(|count| {
        // An interval longer than idle would not keep the deadline.
        let most = deadline / (u64::from(count) + 1);
        (least..=most).find_map(|interval| {
            let idle = Duration::from_secs(deadline - interval * u64::from(count));
            let split = usual.split_into(idle, Duration::from_secs(interval), count).ok()?;
            keeps(&split, limit).then_some(split)
        })
    })
}

/// The longest deadline that keeps below `limit`, from what is usual for a deadline, but less than `below`.
pub(super) fn longest_kept(
    below: Duration,
    limit: Duration,
    usual: impl Fn(Duration) -> Option<Keepalive>,
) -> Option<Keepalive> {
    let most = reach(limit).min(below.as_secs().saturating_sub(1));
    (SHORTEST..=most).rev().find_map(|deadline| kept(usual(Duration::from_secs(deadline))?, limit))
}

/// No deadline keeps below `limit` that is longer than this: of idle and two intervals, which are no
/// longer than it, the last one may be left out.
fn reach(limit: Duration) -> u64 {
    (limit.as_secs() + 1).saturating_mul(3) / 2
}

/// What is searched for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wish {
    /// Idle is at least half of the deadline.
    pub few_wake_ups: bool,
    /// What an idle connection's silence must stay below, see [`keeps`].
    pub limit: Option<Duration>,
    pub wheel: TimerWheel,
}

/// The shortest deadline, and the best way to split it, which is `good`. Of the splits of one deadline the
/// one with the longest idle time is taken, because it costs least.
pub(super) fn shortest(wish: Wish, good: impl Fn(&Keepalive) -> bool) -> Option<Keepalive> {
    let free = Wish { limit: None, ..wish };
    let split = |deadline: u64| best_split(deadline, free, &good);
    // A longer deadline is never worse, so this is a binary search. It doubles first: most answers are small, and a small
    // deadline is quick to test.
    let mut top = 4;
    let mut found = loop {
        match split(top) {
            Some(keepalive) => break keepalive,
            None if top >= LONGEST => return None,
            None => top = (top * 2).min(LONGEST),
        }
    };
    let mut bottom = if top == 4 { SHORTEST } else { top / 2 + 1 };
    while bottom < top {
        let middle = bottom + (top - bottom) / 2;
        match split(middle) {
            Some(keepalive) => (found, top) = (keepalive, middle),
            None => bottom = middle + 1,
        }
    }
    match wish.limit {
        // A longer one may be worse here, so each is tested.
        Some(limit) if !keeps(&found, limit) => {
            (top..=reach(limit).min(LONGEST)).find_map(|deadline| best_split(deadline, wish, &good))
        }
        _ => Some(found),
    }
}

fn best_split(deadline: u64, wish: Wish, good: &impl Fn(&Keepalive) -> bool) -> Option<Keepalive> {
    let least_idle = if wish.few_wake_ups { deadline.div_ceil(2) } else { 1 };
    let best = (least_idle..=deadline.saturating_sub(2)).rev().try_for_each(|idle| {
        // With two probes at least: one must not be fatal. The first count that divides and fits is not
        // the best, so all are tried.
        let probing = deadline - idle;
        for count in (2..=MOST_PROBES.min(probing)).filter(|count| probing % *count == 0) {
            let interval = probing / count;
            if interval > idle {
                continue; // would not keep the deadline
            }
            if wish.limit.is_some_and(|limit| deadline - interval > limit.as_secs()) {
                continue; // forgotten, and there is no need to look more closely
            }
            let keepalive = Keepalive::new(Duration::from_secs(idle), Duration::from_secs(interval), count as u32);
            let keepalive = keepalive.ok().map(|keepalive| keepalive.on_wheel(wish.wheel));
            let kept = |keepalive: &Keepalive| wish.limit.is_none_or(|limit| keeps(keepalive, limit));
            if let Some(keepalive) = keepalive.filter(|keepalive| kept(keepalive) && good(keepalive)) {
                return ControlFlow::Break(keepalive);
            }
        }
        ControlFlow::Continue(())
    });
    best.break_value()
}

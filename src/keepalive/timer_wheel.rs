//! How late a kernel timer may be.

use std::time::Duration;

use rustix::time::{ClockId, clock_getres};

/// The kernel's timer wheel (`kernel/time/timer.c`): the further away a timer, the coarser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerWheel {
    pub(super) tick: Duration,
}

impl TimerWheel {
    /// A wheel that turns once a `tick`: 4 ms where the kernel was built with `HZ=250`.
    pub const fn with_tick(tick: Duration) -> Self {
        Self { tick }
    }

    /// The wheel of the running kernel. A coarse clock's resolution is its tick, 1/HZ (clock_getres(2)).
    pub fn of_this_kernel() -> Self {
        let tick = clock_getres(ClockId::MonotonicCoarse);
        match Duration::try_from(tick) {
            Ok(tick) if (1..=20).contains(&tick.as_millis()) => Self::with_tick(tick),
            _ => Self::default(),
        }
    }

    /// How late a timer may fire that was set `ahead`. The wheel has levels of 64 buckets, each
    /// level eight times as coarse as the one before.
    pub fn grain(self, ahead: Duration) -> Duration {
        let ticks = ahead.as_nanos().div_ceil(self.tick.as_nanos().max(1));
        let mut level = 0;
        while level < 8 && ticks >= 63 << (3 * level) {
            level += 1;
        }
        self.tick * (1 << (3 * level))
    }

    /// How late a timer `ahead` is if it was set just when a bucket of its level, or of a coarser one,
    /// came due: it fires with the first bucket after its time.
    pub fn rest(self, ahead: Duration) -> Duration {
        let grain = self.grain(ahead);
        let over = ahead.as_nanos() % grain.as_nanos().max(1);
        grain - Duration::from_nanos(over as u64)
    }
}

impl Default for TimerWheel {
    /// `HZ=250`, as most distributions build their kernels.
    fn default() -> Self {
        Self::with_tick(Duration::from_millis(4))
    }
}

//! How late a kernel timer may be.

use std::time::Duration;

use rustix::time::{ClockId, clock_getres};

/// The kernel's timer wheel (`kernel/time/timer.c`): the further ahead a timer is set, the coarser it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerWheel {
    pub(super) tick: Duration,
}

impl TimerWheel {
    /// The wheel of a kernel with this tick, which is 1/HZ: 4 ms if it was built with `HZ=250`.
    pub const fn with_tick(tick: Duration) -> Self {
        Self { tick }
    }

    /// The wheel of the running kernel. Its tick is the resolution of a coarse clock (clock_getres(2)); 4 ms are assumed
    /// if that is not between 1 and 20 ms.
    pub fn of_this_kernel() -> Self {
        let tick = clock_getres(ClockId::MonotonicCoarse);
        match Duration::try_from(tick) {
            Ok(tick) if (1..=20).contains(&tick.as_millis()) => Self::with_tick(tick),
            _ => Self::default(),
        }
    }

    /// How late a timer may fire that was set this far `ahead`. The wheel has levels of 64 buckets, and each
    /// level is eight times as coarse as the one before.
    pub fn grain(self, ahead: Duration) -> Duration {
        let ticks = ahead.as_nanos().div_ceil(self.tick.as_nanos().max(1));
        let mut level = 0;
        while level < 8 && ticks >= 63 << (3 * level) {
            level += 1;
        }
        self.tick * (1 << (3 * level))
    }

    /// How late a timer set this far `ahead` fires if it was set at the moment when a bucket of its level, or of a
    /// coarser one, came due: it fires with the first bucket after its time.
    pub fn rest(self, ahead: Duration) -> Duration {
        let grain = self.grain(ahead);
        let over = ahead.as_nanos() % grain.as_nanos().max(1);
        grain - Duration::from_nanos(over as u64)
    }
}

impl Default for TimerWheel {
    /// A tick of 4 ms (`HZ=250`), with which most distributions build their kernels.
    fn default() -> Self {
        Self::with_tick(Duration::from_millis(4))
    }
}

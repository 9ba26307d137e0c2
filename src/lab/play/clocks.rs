//! Whether the wall clock can be relied on for a scene.
//!
//! The kernel stamps packets by the wall clock (SO_TIMESTAMPNS, socket(7)), and so does the log. If somebody sets that clock meanwhile, as
//! a virtual machine does that was paused and goes on, all distances on the timeline are wrong, and a verdict about a server with them.

use std::time::{Duration, Instant, SystemTime};

/// How far the two clocks may part, whatever the time that has passed.
const MAY_PART: Duration = Duration::from_millis(100);
/// One part in this many may be slewed besides: 500 parts per million are the most that the kernel corrects a frequency by (adjtimex(2)).
const SLEWED: u32 = 2000;

/// Both clocks, at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    wall: SystemTime,
    monotonic: Instant,
}

impl Clocks {
    pub(super) fn now() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }

    /// A sentence if the wall clock was set between that moment and this one.
    pub(super) fn have_parted(self, since: Self) -> Option<String> {
        let passed = self.monotonic - since.monotonic;
        let expected = since.wall + passed;
        let (by, word) = match self.wall.duration_since(expected) {
            Ok(ahead) => (ahead, "ahead"),
            Err(behind) => (behind.duration(), "back"),
        };
        (by > MAY_PART + passed / SLEWED).then(|| {
            let by = by.as_secs_f64();
            format!("somebody set this machine's clock {word} by {by:.1} s during the scene, and packets are stamped by it: play it again")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_noticed() {
        let since = Clocks::now();
        let later = |wall: f64, seconds| Clocks {
            wall: since.wall + Duration::from_secs_f64(wall),
            monotonic: since.monotonic + Duration::from_secs(seconds),
        };
        let after = |wall| later(wall, 65);
        assert_eq!(after(65.05).have_parted(since), None, "a slew");
        assert_eq!(after(64.95).have_parted(since), None);
        assert_eq!(later(600.3, 600).have_parted(since), None, "a slew for ten minutes");
        assert!(after(68.0).have_parted(since).unwrap().contains(" ahead by 3.0 s "));
        assert!(after(5.0).have_parted(since).unwrap().contains(" back by 60.0 s "));
    }
}

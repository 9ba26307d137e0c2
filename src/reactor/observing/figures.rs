//! The figures of a loop: what is counted of its peers, and of its turns.

use std::time::Duration;

use crate::reactor::departing::tally::Tally;
#[cfg(feature = "observe")]
use crate::reactor::limits::capacity::Capacity;
use crate::reactor::observing::IS_THERE;
use crate::reactor::observing::histogram::Histogram;
#[cfg(feature = "upgrade")]
use crate::reactor::state::fields::{Reader, Torn, Writer};
use crate::reactor::time::moment::Moment;

/// The figures of a loop at one moment, since its start.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Figures {
    /// When they were taken.
    pub at: Moment,
    /// What is counted of the peers, over all ports; those apart do not count.
    pub tally: Tally,
    /// How many peers there may be.
    pub limit: usize,
    /// How many bytes the outboxes of all peers take, and may take.
    pub outbox_bytes: usize,
    /// How many bytes the outboxes of all peers may take.
    pub outbox_limit: usize,
    /// What is counted of the turns.
    pub turns: Turns,
    /// How long the peers had been silent that were found dead.
    pub detection: Detection,
    /// How often accepting was paused, for want of descriptors or memory.
    pub accept_pauses: u64,
    /// The loop was asked to stop.
    pub is_stopping: bool,
    /// How often it was handed over to another program.
    pub upgrade: Upgrades,
}

/// How often the loop was handed over to another program (feature `upgrade`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upgrades {
    /// How often, in the chain of programs that have gone on with it.
    pub generation: u64,
    /// How often that was refused.
    pub refused: u64,
    /// A new program is being tried.
    pub is_under_way: bool,
}

/// What is counted of the turns.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Turns {
    /// How many there were.
    pub count: u64,
    /// How many events came in each.
    pub events: Histogram,
    /// How long each worked, from its waking until it waited again: the buckets are in units of 1024 ns
    /// ([`Turns::UNIT`]), the sum is in nanoseconds. A turn after which nothing was due is not among them: the clock was
    /// not read then.
    pub work: Histogram,
    /// How late the loop woke for the soonest deadline, in the same units.
    pub lateness: Histogram,
}

impl Turns {
    /// The unit of the buckets of [`Turns::work`] and [`Turns::lateness`].
    pub const UNIT: Duration = Duration::from_nanos(1 << Self::UNIT_BITS);
    const UNIT_BITS: u32 = 10;

    /// A turn has ended.
    pub(in crate::reactor) fn count(&mut self, events: usize) {
        if !IS_THERE {
            return;
        }
        self.count += 1;
        self.events.record(events as u64, events as u64);
    }

    /// A turn woke and has come to its end.
    pub(in crate::reactor) fn record_work(&mut self, woke: Moment, ended: Moment) {
        record(&mut self.work, woke, ended);
    }

    /// The loop woke for what was due.
    pub(in crate::reactor) fn record_lateness(&mut self, due: Moment, woke: Moment) {
        record(&mut self.lateness, due, woke);
    }
}

fn record(histogram: &mut Histogram, from: Moment, to: Moment) {
    if !IS_THERE {
        return;
    }
    let nanoseconds = to.nanoseconds_since(from);
    histogram.record(nanoseconds >> Turns::UNIT_BITS, nanoseconds);
}

/// How long peers had been silent when they were found dead: the detection latency.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detection {
    counts: [u64; Self::BOUNDS.len() + 1],
    milliseconds: u64,
    late: u64,
}

impl Detection {
    /// The upper bounds of the buckets, in seconds. A last bucket has none.
    pub const BOUNDS: [u16; 24] =
        [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 90, 120, 180, 300, 600, 1200, 3600, 10_000];

    /// A peer was found dead after it had been silent for this long; by `latest`, it should have been.
    pub(in crate::reactor) fn record(&mut self, silent: Duration, latest: Duration) {
        if !IS_THERE {
            return;
        }
        let bound = Self::BOUNDS.iter().position(|bound| silent <= Duration::from_secs((*bound).into()));
        self.counts[bound.unwrap_or(Self::BOUNDS.len())] += 1;
        self.milliseconds += silent.as_millis() as u64;
        self.late += u64::from(silent > latest);
    }

    /// How many there were in each bucket.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many there were in all.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of their silences.
    pub fn sum(&self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }

    /// How many were found later than the prediction of their port's keepalive allows.
    pub fn late(&self) -> u64 {
        self.late
    }
}

/// What the loop itself counts, beside what its ports count.
#[derive(Debug, Default)]
pub(in crate::reactor) struct Counted {
    pub turns: Turns,
    pub detection: Detection,
    pub accept_pauses: u64,
    pub is_stopping: bool,
    pub upgrade: Upgrades,
}

#[cfg(feature = "upgrade")]
impl Counted {
    pub(in crate::reactor) fn write_down(&self, to: &mut Writer) {
        let turns = &self.turns;
        to.numbers(&[
            self.accept_pauses,
            turns.count,
            self.detection.milliseconds,
            self.detection.late,
            self.upgrade.refused,
        ]);
        for histogram in [&turns.events, &turns.work, &turns.lateness] {
            to.u64(histogram.sum());
            to.numbers(histogram.counts());
        }
        to.numbers(&self.detection.counts);
    }

    pub(in crate::reactor) fn read(from: &mut Reader<'_>) -> Result<Self, Torn> {
        let mut counted = Self::default();
        let mut numbers = [0; 5];
        from.numbers(&mut numbers)?;
        [
            counted.accept_pauses,
            counted.turns.count,
            counted.detection.milliseconds,
            counted.detection.late,
            counted.upgrade.refused,
        ] = numbers;
        let turns = &mut counted.turns;
        for histogram in [&mut turns.events, &mut turns.work, &mut turns.lateness] {
            let (sum, mut counts) = (from.u64()?, [0; Histogram::BUCKETS]);
            from.numbers(&mut counts)?;
            *histogram = Histogram::of(counts, sum);
        }
        from.numbers(&mut counted.detection.counts)?;
        Ok(counted)
    }
}

#[cfg(feature = "observe")]
impl Counted {
    pub(in crate::reactor) fn figures(&self, at: Moment, tally: Tally, capacity: &Capacity) -> Figures {
        Figures {
            at,
            tally,
            limit: capacity.limit(),
            outbox_bytes: capacity.memory.held(),
            outbox_limit: capacity.memory.limit(),
            turns: self.turns,
            detection: self.detection,
            accept_pauses: self.accept_pauses,
            is_stopping: self.is_stopping,
            upgrade: self.upgrade,
        }
    }
}

#[cfg(all(test, feature = "observe"))]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_counted_up_to_its_bound_and_a_late_one_apart() {
        let mut detection = Detection::default();
        let seconds = Duration::from_secs_f64;
        for silent in [0.5, 1.0, 10.0, 10.1, 20_000.0] {
            detection.record(seconds(silent), seconds(10.0));
        }
        let filled: Vec<_> = (0..detection.counts().len()).filter(|at| detection.counts()[*at] > 0).collect();
        assert_eq!((filled, detection.counts()[0]), (vec![0, 7, 8, 24], 2));
        assert_eq!((detection.count(), detection.late(), detection.sum()), (5, 2, Duration::from_millis(20_021_600)));
    }

    #[test]
    fn a_time_is_counted_in_its_unit_and_summed_in_nanoseconds() {
        let mut turns = Turns::default();
        let start = Moment::after(Duration::from_secs(1));
        turns.record_work(start, start + Turns::UNIT * 5);
        turns.record_work(start, start + Duration::from_nanos(1023));
        assert_eq!((turns.work.counts()[3], turns.work.counts()[0], turns.work.sum()), (1, 1, 6143));
    }
}

//! A histogram whose bounds are powers of two: to record a value takes a handful of instructions.

/// How often a value was less than each power of two. Values are whole numbers of a unit that the owner states.
#[derive(Clone, Copy, Debug, Default)]
pub struct Histogram {
    counts: [u64; Self::BUCKETS],
    sum: u64,
}

impl Histogram {
    /// How many buckets there are. The last one has no upper bound.
    pub const BUCKETS: usize = 24;

    /// One that another program has kept.
    #[cfg(feature = "upgrade")]
    pub(in crate::reactor) fn of(counts: [u64; Self::BUCKETS], sum: u64) -> Self {
        Self { counts, sum }
    }

    /// Counts a value; `sum` is what it adds to the sum, which may be in a finer unit.
    pub(in crate::reactor) fn record(&mut self, value: u64, sum: u64) {
        let bucket = (u64::BITS - value.leading_zeros()) as usize;
        self.counts[bucket.min(Self::BUCKETS - 1)] += 1;
        self.sum += sum;
    }

    /// How many values there were in each bucket: in the first one those of 0, in the second one those of 1, in the third
    /// one those below 4, in the fourth one those below 8, and so on.
    pub fn counts(&self) -> &[u64; Self::BUCKETS] {
        &self.counts
    }

    /// How many values there were in all.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_below_the_next_power_of_two() {
        let mut histogram = Histogram::default();
        for value in [0, 1, 2, 3, 4, 7, 8, 1023, 1024, u64::MAX >> 1] {
            histogram.record(value, 1);
        }
        let mut expected = [0; Histogram::BUCKETS];
        for (bucket, count) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 1), (10, 1), (11, 1), (23, 1)] {
            expected[bucket] = count;
        }
        assert_eq!((histogram.counts(), histogram.count(), histogram.sum()), (&expected, 10, 10));
    }
}

//! Which connection sends its next request when, at a fixed rate.
//!
//! Owns the arithmetic. The moments are fixed before the first question and do not move when an
//! answer is late: a latency counts from the intended moment, so that a server which stalls is charged
//! for every request that had to wait (no "coordinated omission").

use std::time::Duration;

use crate::reactor::Moment;

/// `rate` requests per second in all, from `from` on, sent by `askers` in turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    from: Moment,
    rate: f64,
    askers: u64,
    /// The next question.
    next: u64,
}

impl Schedule {
    pub(super) fn new(from: Moment, rate: f64, askers: usize) -> Self {
        Self { from, rate, askers: askers.max(1) as u64, next: 0 }
    }

    fn moment(&self, question: u64) -> Moment {
        self.from + Duration::from_secs_f64(question as f64 / self.rate)
    }

    /// When the next request is due.
    pub(super) fn due(&self) -> Moment {
        self.moment(self.next)
    }

    /// The connection whose request is due, if one is.
    pub(super) fn take(&mut self, now: Moment) -> Option<usize> {
        if self.due() > now {
            return None;
        }
        self.next += 1;
        Some(((self.next - 1) % self.askers) as usize)
    }

    /// When the `nth` request of `asker` was due, counted from 0.
    pub(super) fn meant(&self, asker: usize, nth: u64) -> Moment {
        self.moment(nth * self.askers + asker as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_moves_no_question() {
        let at = |milliseconds| Moment::after(Duration::from_millis(milliseconds));
        let mut schedule = Schedule::new(at(1000), 100.0, 3);
        assert_eq!((schedule.take(at(999)), schedule.due()), (None, at(1000)));
        // After a sleep of 45 ms all overdue questions come at once, each with its own moment.
        let mut asked = Vec::new();
        while let Some(asker) = schedule.take(at(1045)) {
            asked.push(asker);
        }
        assert_eq!((asked, schedule.due()), (vec![0, 1, 2, 0, 1], at(1050)));
        assert_eq!((schedule.meant(0, 0), schedule.meant(2, 0), schedule.meant(1, 1)), (at(1000), at(1020), at(1040)));
    }
}

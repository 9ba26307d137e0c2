//! The phases of a run, one after the other.

use crate::reactor::Moment;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunPhase {
    Opening,
    Settling { until: Moment },
    Exchanging { until: Moment },
    Finishing { until: Moment },
    Over,
}

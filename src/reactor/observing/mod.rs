//! What can be seen of the loop: news of its peers, figures, and where a turn spends its time.
//!
//! Owns these values, and who gets them. They cost nothing while nobody looks: news are noted and turns are timed only for
//! those who ask ([`Orders::observe`], [`Orders::time_turns`]), and figures are counted where counting takes a few
//! instructions. What the kernel knows is asked when somebody wants to know it. Knows no format.
//!
//! [`Orders::observe`]: crate::reactor::Orders::observe
//! [`Orders::time_turns`]: crate::reactor::Orders::time_turns

/// Without the feature `observe` nobody can ask, so nothing is collected, and the compiler leaves out what would.
pub(in crate::reactor) const IS_THERE: bool = cfg!(feature = "observe");

pub(in crate::reactor) mod audience;
pub(in crate::reactor) mod figures;
pub(in crate::reactor) mod histogram;
pub(in crate::reactor) mod news;
pub(in crate::reactor) mod turn_times;

//! Time: what the loop knows of it, and the deadlines that it keeps.

pub(in crate::reactor) mod agenda;
pub(in crate::reactor) mod alarms;
pub(in crate::reactor) mod hearing;
pub(in crate::reactor) mod moment;
pub(in crate::reactor) mod timers;
pub(in crate::reactor) mod watch;

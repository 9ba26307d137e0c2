//! Departures: why a connection is over, what is reported about it, and what is counted.

pub(in crate::reactor) mod departure;
pub(in crate::reactor) mod tally;

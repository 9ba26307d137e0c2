//! This process becomes the next program.
//!
//! Owns what is handed on, and that a failure changes nothing. Signals that the loop obeys are blocked all the time
//! ([`Signals`](crate::reactor::Signals)), so one that comes now waits until the next program reads it.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsRawFd;

use crate::inherited::hand_on;
use crate::reactor::State;
use crate::upgrade::in_memory;
use crate::upgrade::program::Program;

/// Becomes this program, which goes on with this state. Returns only if that fails; then everything is as before.
pub(super) fn replace(program: &Program, state: &State) -> io::Result<Infallible> {
    let file = in_memory(state)?;
    let execution = program.execution(file.as_raw_fd(), false)?;
    let mut handed_on = 0;
    let sockets = || state.sockets().iter().copied().chain([file.as_raw_fd()]);
    let result = sockets().try_for_each(|number| {
        handed_on += 1;
        hand_on(number, true)
    });
    let error = result.err().unwrap_or_else(|| execution.execute());
    for number in sockets().take(handed_on) {
        // It was open a moment ago.
        let _ = hand_on(number, false);
    }
    Err(error)
}

//! This process becomes the next program.
//!
//! Owns what is handed on, and that a failure changes nothing. Signals that the loop obeys are blocked all the time
//! ([`Signals`](crate::reactor::Signals)), so one that comes now waits until the next program reads it.

use std::convert::Infallible;
use std::env;
use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;

use nix::unistd::execve;

use crate::inherited::hand_on;
use crate::reactor::State;
use crate::upgrade::program::Program;
use crate::upgrade::{REHEARSAL, STATE, in_memory};

/// Becomes this program, which goes on with this state. Returns only if that fails; then everything is as before.
pub(super) fn replace(program: &Program, state: &State) -> io::Result<Infallible> {
    let file = in_memory(state)?;
    let (path, arguments) = program.to_exec()?;
    let environment = environment(file.as_raw_fd())?;
    let mut handed_on = 0;
    let sockets = || state.sockets().iter().copied().chain([file.as_raw_fd()]);
    let mut result = sockets().try_for_each(|number| {
        handed_on += 1;
        hand_on(number, true)
    });
    if result.is_ok() {
        result = match execve(&path, &arguments, &environment) {
            Ok(never) => match never {},
            Err(error) => Err(error.into()),
        };
    }
    for number in sockets().take(handed_on) {
        // It was open a moment ago.
        let _ = hand_on(number, false);
    }
    result.and(Err(io::ErrorKind::Other.into()))
}

/// Our own, with the number of the descriptor that has the state.
fn environment(state: i32) -> io::Result<Vec<CString>> {
    let mut environment = vec![CString::new(format!("{STATE}={state}"))?];
    for (name, value) in env::vars_os().filter(|(name, _)| name != STATE && name != REHEARSAL) {
        let mut variable = name.into_vec();
        variable.push(b'=');
        variable.extend(value.into_vec());
        environment.push(CString::new(variable)?);
    }
    Ok(environment)
}

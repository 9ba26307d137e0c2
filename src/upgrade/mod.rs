//! An upgrade in place: this process becomes another program, and no peer notices.
//!
//! Owns processes: which program comes next, its rehearsal, and execve(2). What is handed over is a [`State`], which the reactor writes
//! and reads.
//!
//! ```text
//!   this program                                            the next one
//!   ───────────────────────────────────────────────────────────────────────────────────────────────
//!   asked (SIGUSR2) ── writes the state into a memfd ──▶ as a child: reads it, restores all peers on paper
//!   serves on                                        ◀── "yes 1.2.0", or why not
//!   a turn ends ── writes the state anew
//!               ── hands on the sockets
//!               ── execve ─────────────────────────────▶ in the same process: opens its ports, finds listeners and
//!                                                        peers again, registers them with epoll, serves
//! ```
//!
//! - Anything but a yes leaves everything as it is, and so does an execve that fails.
//! - A program that goes on says so to itself by [`State`] alone: what it finds in the environment ([`STATE`], [`REHEARSAL`]).
//! - Moments stay valid: CLOCK_MONOTONIC goes on. What the kernel knows of a connection stays in the kernel. A new epoll instance announces
//!   what is true when a socket is added, so no edge is lost.
//! - Signals that come meanwhile wait: the loop reads them from a descriptor, so they are blocked all the time.

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};

pub use self::program::Program;
pub use self::rehearsal::{Rehearsals, Verdict};
pub use self::upgrading::{Refusal, Upgrading};
use crate::inherited;
use crate::reactor::State;

mod child;
mod program;
mod rehearsal;
mod replace;
mod upgrading;

/// In the environment of the next program: the number of the descriptor with the state.
pub const STATE: &str = "STILLTHERE_STATE";
/// In the environment of the next program when it is only to say whether it could go on, in one line on its standard output.
pub const REHEARSAL: &str = "STILLTHERE_REHEARSAL";

/// The state that this process was started with: `None` if it is a fresh start. To be called once, at the very beginning, before
/// anything else opens descriptors.
///
/// # Errors
/// A sentence that says why this program cannot go on with it.
pub fn handed_over() -> Result<Option<State>, String> {
    let Some(number) = env::var_os(STATE) else { return Ok(None) };
    let number = number.to_str().and_then(|number| number.parse::<RawFd>().ok());
    let number = number.ok_or(format!("{STATE} is no number of a descriptor"))?;
    let cannot = |error: io::Error| format!("the state on descriptor {number} cannot be read: {error}");
    let file = File::from(inherited::take(number).map_err(cannot)?);
    let bytes = read(&file).map_err(cannot)?;
    let state = State::inherited(bytes).map_err(|because| because.to_string())?;
    Ok(Some(if is_rehearsal() { state.on_paper() } else { state }))
}

/// This process goes on with another program, or is to say whether it could.
pub fn is_handed_over() -> bool {
    env::var_os(STATE).is_some()
}

/// This process is to say whether it could go on, and to serve nobody.
pub fn is_rehearsal() -> bool {
    env::var_os(REHEARSAL).is_some()
}

/// What this process, which is a rehearsal, answers on its standard output.
pub fn answer(result: Result<(), &str>) -> String {
    match result {
        Ok(()) => format!("yes {}\n", env!("CARGO_PKG_VERSION")),
        Err(because) => format!("no {}\n", because.lines().collect::<Vec<_>>().join("; ")),
    }
}

/// All of a file in memory. The position in it is shared with the program that has written it.
pub(crate) fn read(file: &File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len() as usize;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.resize(length, 0);
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// A file in memory with the state.
pub(crate) fn in_memory(state: &State) -> io::Result<OwnedFd> {
    // Kernels before 6.3 do not know the second flag, and later ones warn without it.
    let file = match memfd_create("stillthere-state", MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL) {
        Err(rustix::io::Errno::INVAL) => memfd_create("stillthere-state", MemfdFlags::CLOEXEC),
        other => other,
    }?;
    File::from(file.as_fd().try_clone_to_owned()?).write_all_at(state.bytes(), 0)?;
    Ok(file)
}

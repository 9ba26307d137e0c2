//! A child that executes a program, and ends with its parent, however that ends.
//!
//! Owns the unsafe step fork(2). The standard library's `Command` takes 30 kB more.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, kill_process, kill_process_group, set_parent_process_death_signal,
    setpgid, waitpid,
};

use crate::inherited::hand_on;

/// What is executed, prepared so that nothing need be allocated between fork(2) and execve(2).
#[derive(Debug)]
pub(super) struct Execution {
    pub path: CString,
    pub arguments: Vec<CString>,
    pub environment: Vec<CString>,
}

/// A child of ours that was not waited for yet. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Child(Option<Pid>);

/// What a child says before it has become the program: this byte, and the errno in two more.
const FAILED: u8 = 0;

impl Child {
    /// Starts a child that gets this descriptor under the number that it has here, and whose output goes to `output`.
    ///
    /// # Errors
    /// Those of fork(2).
    pub(super) fn start(
        execution: &Execution,
        handed_on: RawFd,
        nothing: BorrowedFd<'_>,
        output: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let [arguments, environment] = [&execution.arguments, &execution.environment].map(|list| pointers(list));
        let parent = getpid();
        // SAFETY: the child makes system calls only, until it executes another program or ends: it neither allocates nor takes a
        // lock that another thread may have held.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let error = become_program(&execution.path, &arguments, &environment, || {
                    set_parent_process_death_signal(Some(Signal::KILL))?;
                    setpgid(None, None)?; // so that what it starts is ended with it
                    if getppid() != Some(parent) {
                        return Err(io::ErrorKind::NotFound.into()); // the parent has ended meanwhile
                    }
                    for (stream, from) in [(0, nothing), (1, output), (2, output)] {
                        // SAFETY: both are numbers of open descriptors, or of none.
                        if unsafe { libc::dup2(from.as_raw_fd(), stream) } < 0 {
                            return Err(io::Error::last_os_error());
                        }
                    }
                    hand_on(handed_on, true)
                });
                let [one, two] = (error.raw_os_error().unwrap_or(libc::EINVAL) as u16).to_le_bytes();
                let _ = rustix::io::write(output, &[FAILED, one, two]);
                // SAFETY: it ends this process at once, without what is to be done at an exit.
                unsafe { libc::_exit(127) }
            }
            pid => Ok(Self(Pid::from_raw(pid))),
        }
    }

    /// Ends it, unless it is ending already, and returns how it has ended.
    ///
    /// # Errors
    /// Somebody else has waited for it.
    pub(super) fn end(mut self) -> io::Result<ExitStatus> {
        self.0.take().map_or(Err(io::ErrorKind::NotFound.into()), end)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(pid) = self.0.take() {
            let _ = end(pid);
        }
    }
}

fn end(pid: Pid) -> io::Result<ExitStatus> {
    // Both: it may not have come to have a group of its own yet.
    let _ = (kill_process(pid, Signal::KILL), kill_process_group(pid, Signal::KILL));
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The error of a child that could not become the program, if it has said so.
pub(super) fn failure(said: &[u8]) -> Option<io::Error> {
    let &[FAILED, one, two] = said else { return None };
    Some(io::Error::from_raw_os_error(u16::from_le_bytes([one, two]).into()))
}

fn become_program(
    path: &CStr,
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
    prepare: impl FnOnce() -> io::Result<()>,
) -> io::Error {
    if let Err(error) = prepare() {
        return error;
    }
    // SAFETY: all are strings that end in NUL, and both lists end in a null pointer.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

impl Execution {
    /// Has this process execute it.
    pub(super) fn execute(&self) -> io::Error {
        become_program(&self.path, &pointers(&self.arguments), &pointers(&self.environment), || Ok(()))
    }
}

/// As execve(2) takes them. They point into `strings`.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

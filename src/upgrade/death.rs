//! A child that ends with its parent, however that ends.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

use crate::inherited;

/// Has the child killed when this thread's process ends, and hands it this descriptor.
pub(super) fn dies_with_us(command: &mut Command, handed_on: RawFd) {
    let parent = getpid();
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() != Some(parent) {
            return Err(io::ErrorKind::NotFound.into()); // the parent has ended meanwhile
        }
        inherited::hand_on(handed_on, true)
    };
    // SAFETY: between fork(2) and execve(2) it makes three system calls, and neither allocates nor takes locks.
    unsafe { command.pre_exec(prepare) };
}

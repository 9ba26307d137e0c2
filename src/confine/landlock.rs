//! Landlock's three system calls (landlock(7)): no crate that is there wraps them, and the one that does brings ten others.
//!
//! Owns the layout of what the kernel reads. Knows nothing of what is allowed.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_long, c_void};

// The numbers are the same on every architecture that Rust has a standard library for (include/uapi/asm-generic/unistd.h).
const CREATE_RULESET: c_long = 444;
const ADD_RULE: c_long = 445;
const RESTRICT_SELF: c_long = 446;

const ASK_VERSION: usize = 1;
const PATH_BENEATH: usize = 1;
const NET_PORT: usize = 2;

/// What is forbidden from now on, but for rules that allow it. Kernels that know fewer fields take zeros in the others.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Handled {
    pub files: u64,
    pub tcp: u64,
    pub scopes: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: RawFd,
}

#[repr(C)]
struct NetPort {
    allowed: u64,
    port: u64,
}

/// The version of Landlock that this kernel has.
///
/// # Errors
/// `Unsupported`: it has none (ENOSYS), or it was switched off at the boot (EOPNOTSUPP).
pub(super) fn version() -> io::Result<u32> {
    // SAFETY: with this flag the kernel reads no memory, and answers a number.
    let version = unsafe { libc::syscall(CREATE_RULESET, std::ptr::null::<c_void>(), 0usize, ASK_VERSION) };
    match version {
        1.. => Ok(version as u32),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Rules, before they are in force.
#[derive(Debug)]
pub(super) struct Rules(OwnedFd);

impl Rules {
    pub(super) fn new(handled: &Handled) -> io::Result<Self> {
        let (pointer, size) = (std::ptr::from_ref(handled), size_of::<Handled>());
        // SAFETY: the kernel reads `size` bytes, which live as long as the call.
        let number = unsafe { libc::syscall(CREATE_RULESET, pointer, size, 0usize) };
        match RawFd::try_from(number) {
            // SAFETY: the kernel has made this descriptor for us alone (it is close-on-exec).
            Ok(number) if number >= 0 => Ok(Self(unsafe { OwnedFd::from_raw_fd(number) })),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Allows this at a file, or beneath a directory.
    pub(super) fn allow_beneath(&self, parent: BorrowedFd<'_>, allowed: u64) -> io::Result<()> {
        let rule = PathBeneath { allowed, parent: parent.as_raw_fd() };
        self.add(PATH_BENEATH, std::ptr::from_ref(&rule).cast())
    }

    /// Allows this with a TCP port.
    pub(super) fn allow_port(&self, port: u16, allowed: u64) -> io::Result<()> {
        let rule = NetPort { allowed, port: port.into() };
        self.add(NET_PORT, std::ptr::from_ref(&rule).cast())
    }

    fn add(&self, kind: usize, rule: *const c_void) -> io::Result<()> {
        // SAFETY: both callers pass a rule of this kind, which lives as long as the call; the kernel only reads it.
        done(unsafe { libc::syscall(ADD_RULE, self.0.as_raw_fd(), kind, rule, 0usize) })
    }

    /// Puts them in force for this thread, for those that it starts, and for every program that follows by execve(2). For good.
    pub(super) fn restrict(self) -> io::Result<()> {
        // SAFETY: the kernel reads no memory of ours.
        done(unsafe { libc::syscall(RESTRICT_SELF, self.0.as_raw_fd(), 0usize) })
    }
}

fn done(result: c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

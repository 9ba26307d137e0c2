//! Descriptors that the program was started with: listeners of a supervisor, or all that a server hands to its successor.
//!
//! Owns the one unsafe step, from a number to an owned descriptor. Knows nothing of what they are for.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_setfd};

/// Takes over an open descriptor by its number, and marks it close-on-exec. Each number must be taken only once, and only if whoever
/// started the program has said that it is ours: nothing else in the program may have opened or may use it.
///
/// # Errors
/// `EBADF`: it is not open. `InvalidInput`: it is one of the three standard streams, or no number of a descriptor.
pub(crate) fn take(number: RawFd) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the number is not -1, and the descriptor is borrowed for this one call, which fails if it is not open.
    fcntl_setfd(unsafe { BorrowedFd::borrow_raw(number) }, FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and by the promise of the caller nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Has the programs that this one becomes, or starts, get this descriptor, or not any more. It must be open.
///
/// # Errors
/// `EBADF`: it is not open.
pub(crate) fn hand_on(number: RawFd, is_handed_on: bool) -> io::Result<()> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = if is_handed_on { FdFlags::empty() } else { FdFlags::CLOEXEC };
    // SAFETY: the number is not -1, and the descriptor is borrowed for this one call, which fails if it is not open.
    Ok(fcntl_setfd(unsafe { BorrowedFd::borrow_raw(number) }, flags)?)
}

/// Lends descriptors by their numbers for one call, to be sent to another process. They must be open, and stay so.
#[cfg(all(feature = "notify", feature = "upgrade"))]
pub(crate) fn lend<T>(numbers: &[RawFd], to: impl FnOnce(&[BorrowedFd<'_>]) -> io::Result<T>) -> io::Result<T> {
    if numbers.iter().any(|number| *number < 0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: no number is -1, and each is borrowed for this one call, during which its owner does not run. One that is not open makes
    // the call fail.
    let lent: Vec<_> = numbers.iter().map(|number| unsafe { BorrowedFd::borrow_raw(*number) }).collect();
    to(&lent)
}

/// A duplicate of a descriptor that somebody else owns and keeps, as another process would get it.
#[cfg(all(test, feature = "upgrade"))]
pub(crate) fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    assert!(number >= 0);
    // SAFETY: the number is not -1, and the descriptor is borrowed for this one call, which fails if it is not open.
    unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use rustix::io::fcntl_getfd;

    use super::*;

    #[test]
    fn only_an_open_descriptor_is_taken_over_and_no_program_started_later_gets_it() {
        for number in [-1, 0, 1, 2] {
            assert_eq!(take(number).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{number}");
        }
        assert_eq!(take(1_000_000).unwrap_err().raw_os_error(), Some(libc::EBADF));
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        fcntl_setfd(&socket, FdFlags::empty()).unwrap();
        let taken = take(socket.into_raw_fd()).unwrap();
        assert_eq!(fcntl_getfd(&taken).unwrap(), FdFlags::CLOEXEC);
    }
}

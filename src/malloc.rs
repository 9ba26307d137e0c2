//! How the C library keeps large tables.
//!
//! glibc takes large memory from the system with mmap(2) and gives it back when it is freed; but each
//! time it does, it raises the size from which on it does so (mallopt(3), M_MMAP_THRESHOLD). A table
//! that grows by doubling would so end up in the heap, and stay there after its peers have gone. Set
//! once, the threshold stays; and a table that grows is moved by the kernel and not copied.
//!
//! The threshold is the size of the loop's scratch buffer: what is mapped is zero already, while in the
//! heap calloc(3) clears it, and so makes sixteen pages dirty of which most servers use one. The heap
//! is asked first if it has room, so what is free at its top is given back; the buffer comes next.

//!
//! What is smaller stays in the heap when it is freed, for whoever asks next, and what is freed below something
//! that is still in use stays for ever. So when a crowd has gone the loop asks for it to be given back, all of it:
//! [`give_back`].

#![allow(unsafe_code)]

use std::collections::TryReserveError;

/// What is as large as this is mapped.
#[cfg(target_env = "gnu")]
const LARGE: usize = crate::reactor::SCRATCH;

/// Small things are needed on the way: a line of the log, the words of an error. They cannot be refused, and end the
/// program where there is no memory for them. So whoever takes memory for longer leaves this much.
const SPARE: usize = 4096;

/// Whether there is still room for them. Asked while what was taken is held.
pub fn leaves_room() -> bool {
    let mut spare = Vec::<u8>::new();
    let granted = spare.try_reserve_exact(SPARE).is_ok();
    // The compiler may leave out memory that nobody looks at.
    std::hint::black_box(&spare);
    granted
}

/// Asks for room for so many more in a list, and leaves room beside it.
///
/// # Errors
/// There is no memory.
pub fn reserve<T>(list: &mut Vec<T>, more: usize) -> Result<(), TryReserveError> {
    if list.capacity() - list.len() >= more {
        return Ok(());
    }
    list.try_reserve(more)?;
    if leaves_room() {
        return Ok(());
    }
    list.shrink_to_fit();
    // The words are those of a list that could not grow.
    Vec::<u8>::new().try_reserve(usize::MAX)
}

/// Gives back what is free in the heap. musl does so by itself.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim touches only what is free, and takes the heap's own lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Large tables go back to the system when they are freed. Call it before there are any.
pub fn give_back_large_tables() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt sets one number, malloc_trim touches only what is free, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE as libc::c_int);
        libc::malloc_trim(0);
    }
}

//! How the C library allocates large tables, and how freed memory goes back to the system.
//!
//! glibc maps a large allocation with mmap(2) and unmaps it when it is freed; but each time it does, it
//! raises the size from which it maps (mallopt(3), M_MMAP_THRESHOLD). So a table that grows by doubling
//! would end up in the heap, and stay there after its peers have gone. Once it is set explicitly, the
//! threshold stays; and a mapped table that grows is moved by the kernel instead of copied.
//!
//! The program sets the threshold to the size of the loop's scratch buffer: mapped memory is zero already, while in the heap
//! calloc(3) would clear it, which dirties sixteen pages of which most servers use one. glibc uses free room in the heap
//! before it maps, so the free top of the heap is given back first; the buffer is allocated right after.
//!
//! Smaller allocations stay in the heap when they are freed, for the next ones, and those below something
//! that is still in use stay for ever. So when a crowd has gone, the loop has all free memory given back:
//! [`give_back`].

#![allow(unsafe_code)]

use std::collections::TryReserveError;

/// Small allocations are needed all the time: for a log line, or the text of an error. They cannot fail: without
/// memory for them the program aborts. So code that allocates for longer leaves this much free.
const SPARE: usize = 4096;

/// An empty table keeps room for this many entries; a larger one is given back to the system. A crowd that comes and goes again
/// within the moment costs no system call then, and one that has gone leaves nothing behind.
pub(crate) const KEPT_ENTRIES: usize = 1024;

/// Whether there is room for those. To be called before the larger allocation, and while it is held.
///
/// Before it, too, because a small allocation that failed for want of this room does not give back what it took of it: glibc keeps
/// freed blocks of up to 1032 bytes for the next of the same size. Each failure of another size would take another block, until
/// there is no room for a log line.
pub(crate) fn leaves_room() -> bool {
    has_room(SPARE)
}

/// Whether there is room for this many bytes. They are not touched.
pub(crate) fn has_room(bytes: usize) -> bool {
    let mut spare = Vec::<u8>::new();
    let granted = spare.try_reserve_exact(bytes).is_ok();
    // The compiler may optimize away an allocation that is never used.
    std::hint::black_box(&spare);
    granted
}

/// Reserves room for this many more in a list, and leaves room for small allocations.
///
/// # Errors
/// There is no memory.
pub(crate) fn reserve<T>(list: &mut Vec<T>, more: usize) -> Result<(), TryReserveError> {
    if list.capacity() - list.len() >= more {
        return Ok(());
    }
    if leaves_room() {
        list.try_reserve(more)?;
        if leaves_room() {
            return Ok(());
        }
        list.shrink_to_fit();
    }
    no_room()
}

/// Only to get an error of this type: this can never succeed.
#[cold]
#[inline(never)]
fn no_room() -> Result<(), TryReserveError> {
    Vec::<u8>::new().try_reserve(usize::MAX)
}

/// Gives the heap's free memory back to the system. musl does so by itself.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim touches only what is free, and takes the heap's own lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// From now on, tables of this many bytes or more go back to the system when they are freed. Call it before there are any.
#[cfg(feature = "serve")]
pub(crate) fn give_back_large_tables(large: usize) {
    #[cfg(not(target_env = "gnu"))]
    let _ = large;
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt sets one number, malloc_trim touches only what is free, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, libc::c_int::try_from(large).unwrap_or(libc::c_int::MAX));
        libc::malloc_trim(0);
    }
}

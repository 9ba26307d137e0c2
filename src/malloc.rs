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

#![allow(unsafe_code)]

/// What is as large as this is mapped.
#[cfg(target_env = "gnu")]
const LARGE: usize = crate::reactor::SCRATCH;

/// Large tables go back to the system when they are freed. Call it before there are any.
pub fn give_back_large_tables() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt sets one number, malloc_trim touches only what is free, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE as libc::c_int);
        libc::malloc_trim(0);
    }
}

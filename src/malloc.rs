//! How the C library keeps large tables.
//!
//! glibc takes large memory from the system with mmap(2) and gives it back when it is freed; but each
//! time it does, it raises the size from which on it does so (mallopt(3), M_MMAP_THRESHOLD). A table
//! that grows by doubling would so end up in the heap, and stay there after its peers have gone. Set
//! once, the threshold stays; and a table that grows is moved by the kernel and not copied.

#![allow(unsafe_code)]

/// Large tables go back to the system when they are freed. Call it before there are any.
pub fn give_back_large_tables() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt sets one number, is called before any thread could be started, and 128 KiB is
    // its own default.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024);
    }
}

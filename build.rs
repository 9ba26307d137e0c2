//! How the release binary is linked: without what nothing reads, and with its relocations packed.
//!
//! The tables by which a stack is unwound take 60 kB, and a panic aborts: they are left out, unless there is
//! debug information, which is for those who look at stacks. The script is for GNU ld and lld; linkers that are
//! asked for by name and read no such script leave the tables in.
//!
//! The program's own relocations (DT_RELR) are packed where the C library of this machine can read them: they
//! take 1 kB of the file instead of 19. glibc can from 2.36 on, and a program that needs it says so when
//! an older one is to start it. The static binary has none.

use std::env::var;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=dist/no-unwinding.ld");
    let is = |name: &str, value: &str| var(name).is_ok_and(|given| given == value);
    let is_linux = is("CARGO_CFG_TARGET_OS", "linux");
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let reads_no_script = ["gold", "mold", "wild"].iter().any(|linker| flags.contains(linker));
    if is_linux && is("PROFILE", "release") && is("DEBUG", "false") && !reads_no_script {
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{}/dist/no-unwinding.ld", env!("CARGO_MANIFEST_DIR"));
    }
    let is_glibc = is_linux && is("CARGO_CFG_TARGET_ENV", "gnu") && var("TARGET").ok() == var("HOST").ok();
    if is_glibc && version().is_some_and(|version| version >= (2, 36)) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// "glibc 2.36" is what `getconf` says.
fn version() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let (major, minor) = std::str::from_utf8(&said).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

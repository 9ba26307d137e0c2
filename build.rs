//! How the release binary is linked: without what nothing reads, and with its relocations packed.
//!
//! The tables by which a stack is unwound take 60 kB, and a panic aborts: they are left out, unless there is
//! debug information, which is for those who look at stacks. The script is for GNU ld and lld. Linkers that are
//! asked for by name and read no such script leave the tables in, and so does one that refuses it when it is tried.
//!
//! The program's own relocations (DT_RELR) are packed where the C library of this machine can read them: they
//! take 1 kB of the file instead of 19. glibc can from 2.36 on, and a program that needs it says so when
//! an older one is to start it. The static binary has none.

use std::env::var;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=dist/no-unwinding.ld");
    let is = |name: &str, value: &str| var(name).is_ok_and(|given| given == value);
    let is_linux = is("CARGO_CFG_TARGET_OS", "linux");
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let reads_no_script = ["gold", "mold", "wild"].iter().any(|linker| flags.contains(linker));
    let script = concat!("-Wl,-T,", env!("CARGO_MANIFEST_DIR"), "/dist/no-unwinding.ld");
    if is_linux && is("PROFILE", "release") && is("DEBUG", "false") && !reads_no_script && is_taken(script) {
        println!("cargo:rustc-link-arg-bins={script}");
    }
    let is_glibc = is_linux && is("CARGO_CFG_TARGET_ENV", "gnu") && var("TARGET").ok() == var("HOST").ok();
    if is_glibc && version().is_some_and(|version| version >= (2, 36)) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the linker of this machine takes the option: it links a program that does nothing.
fn is_taken(option: &str) -> bool {
    let Ok(directory) = var("OUT_DIR") else { return false };
    let source = format!("{directory}/nothing.c");
    if std::fs::write(&source, "int main(void) { return 0; }\n").is_err() {
        return false;
    }
    let mut cc = Command::new("cc");
    cc.args([&source, "-o", &format!("{directory}/nothing"), option]).stdout(Stdio::null()).stderr(Stdio::null());
    cc.status().is_ok_and(|status| status.success())
}

/// "glibc 2.36" is what `getconf` says.
fn version() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let (major, minor) = std::str::from_utf8(&said).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

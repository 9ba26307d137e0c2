//! Refuses every system but Linux, and decides how the release binary is linked: without unwind tables, and with packed
//! relocations.
//!
//! The refusal is here, where it is the only error. As a `compile_error!` in the library it would be followed by dozens of
//! errors about what the other system lacks, or come after those of a dependency.
//!
//! The unwind tables take 60 kB, and a panic aborts, so nothing reads them: they are left out, except from a build with
//! debug information, which is for debuggers. The linker script is for GNU ld and lld. It is not used with a linker that
//! reads no such script (gold, mold and wild, if RUSTFLAGS name one), nor if the linker refuses it when it is tried here.
//!
//! Functions that are equal in machine code are in the file once, where the linker can do that (lld, which rustc uses by default on x86_64):
//! that takes 2 to 4 kB less. Nothing here compares addresses of functions. Only rustc knows which linker it will use, so it is asked to
//! link an empty program in this way.
//!
//! The relocations of the program are packed (DT_RELR) where the C library of this machine can read them: they
//! take 1 kB of the file instead of 19. glibc can since 2.36; an older one refuses to start such a program, and prints the
//! version that it needs. The static binary has no relocations.
//!
//! On 32-bit ARM, MIPS and PowerPC with musl, rustix 1.1 takes it that time_t has 64 bits, as in musl 1.2, but libc 0.2 names the
//! functions of musl 1.1, whose time_t has 32: the clock is read wrong, and nobody is ever let go. libc names the new ones if a
//! cfg says so; without it, the build is refused.
//!
//! The page of the admin port (feature `admin`) is made one compressed document here: OUT_DIR/page.html.gz, and page.csp.

use std::env::var;
use std::process::{Command, Stdio};

#[cfg(feature = "admin")]
#[path = "src/observe/admin/page/assemble.rs"]
mod page;

/// For a linker that is called by a C compiler.
const EQUAL_ONCE: &str = "-Wl,--icf=all";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=dist/no-unwinding.ld");
    let is = |name: &str, value: &str| var(name).is_ok_and(|given| given == value);
    if !is("CARGO_CFG_TARGET_OS", "linux") {
        println!(
            "cargo::error=stillthere is for Linux: it relies on epoll(7), on TCP_INFO, and on how Linux keeps the deadline \
             (TCP_USER_TIMEOUT, TCP_RTO_MAX_MS). On another system, run it in a virtual machine or a container with a \
             Linux kernel."
        );
        return;
    }
    let short_time = ["arm", "mips", "powerpc"].iter().any(|arch| is("CARGO_CFG_TARGET_ARCH", arch));
    if short_time && is("CARGO_CFG_TARGET_ENV", "musl") && var("CARGO_CFG_LIBC_UNSTABLE_MUSL_V1_2").is_err() {
        println!(
            "cargo:error=With musl on 32-bit {}, the crates rustix and libc disagree about how long a moment is, and no \
             deadline would be kept. RUSTFLAGS='--cfg=libc_unstable_musl_v1_2' makes them agree.",
            var("CARGO_CFG_TARGET_ARCH").unwrap_or_default()
        );
        return;
    }
    if var("CARGO_FEATURE_SERVE").is_err() {
        return; // the library alone: there is no program to link
    }
    #[cfg(feature = "admin")]
    assemble_page();
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let reads_no_script = ["gold", "mold", "wild"].iter().any(|linker| flags.contains(linker));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/no-unwinding.ld");
    if is("PROFILE", "release") && is("DEBUG", "false") && !reads_no_script {
        let for_cc = format!("-Wl,-T,{script}");
        // dist/static-all.sh calls lld itself, without a C compiler in between.
        if flags.contains("linker-flavor=ld.lld") {
            println!("cargo:rustc-link-arg-bins=--script={script}");
        } else if linker_accepts(&for_cc) {
            println!("cargo:rustc-link-arg-bins={for_cc}");
        }
        if rustc_links_with(EQUAL_ONCE, &flags) {
            println!("cargo:rustc-link-arg-bins={EQUAL_ONCE}");
        }
    }
    let is_glibc = is("CARGO_CFG_TARGET_ENV", "gnu") && var("TARGET").ok() == var("HOST").ok();
    if is_glibc && glibc_version().is_some_and(|version| version >= (2, 36)) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

#[cfg(feature = "admin")]
fn assemble_page() {
    use std::path::Path;
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src/observe/admin/page");
    println!("cargo:rerun-if-changed={sources}");
    if let Err(trouble) = page::assemble(Path::new(sources), Path::new(&var("OUT_DIR").unwrap_or_default())) {
        println!("cargo::error=The page of the admin port cannot be made: {trouble}");
    }
}

/// Whether the linker of this machine accepts the option. It is tried on an empty program.
fn linker_accepts(option: &str) -> bool {
    let Ok(directory) = var("OUT_DIR") else { return false };
    let source = format!("{directory}/empty.c");
    if std::fs::write(&source, "int main(void) { return 0; }\n").is_err() {
        return false;
    }
    let mut cc = Command::new("cc");
    cc.args([&source, "-o", &format!("{directory}/empty"), option]).stdout(Stdio::null()).stderr(Stdio::null());
    cc.status().is_ok_and(|status| status.success())
}

/// Whether rustc, with these flags of Cargo's, links with this option.
fn rustc_links_with(option: &str, flags: &str) -> bool {
    let (Ok(directory), Ok(rustc), Ok(target)) = (var("OUT_DIR"), var("RUSTC"), var("TARGET")) else { return false };
    let source = format!("{directory}/empty.rs");
    if std::fs::write(&source, "fn main() {}\n").is_err() {
        return false;
    }
    let mut rustc = Command::new(rustc);
    rustc.args([&source, "-o", &format!("{directory}/empty-of-rustc"), "--target", &target]);
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    rustc.args(["-C", &format!("link-arg={option}")]).stdout(Stdio::null()).stderr(Stdio::null());
    rustc.status().is_ok_and(|status| status.success())
}

/// The version of this machine's glibc. `getconf` prints "glibc 2.36"; with another C library, nothing of this form.
fn glibc_version() -> Option<(u32, u32)> {
    let printed = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let (major, minor) = std::str::from_utf8(&printed).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

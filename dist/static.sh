#!/usr/bin/env bash
# Builds the server alone, without the lab, as one static file: target/static/stillthere.
# dist/static.sh FEATURE builds it with one more feature, as target/static/stillthere-FEATURE.
# STATIC_LIBC=musl or STATIC_LIBC=glibc uses that C library or fails. Without it, musl is
# tried first, because its file is smaller, and glibc only if musl cannot be used.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
want=${STATIC_LIBC:-any} out=target/static libc=musl
file=$out/stillthere${1:+-$1}
build=(cargo build --release --no-default-features --features "serve${1:+,$1}")
musl=$(uname -m)-unknown-linux-musl gnu=$(uname -m)-unknown-linux-gnu

say() { echo "static: $*" >&2; }
die() { say "$*"; exit 1; }
no_musl() {
    [[ $want == any ]] || die "no build with musl, which STATIC_LIBC=musl demands: $*."
    say "$*; linking with glibc instead." && libc=glibc
}
toolchain_has_musl() { compgen -G "$(rustc --print target-libdir --target "$musl")/libstd-*.rlib" >/dev/null; }
# Debian's rustc, the source of std of the same version, and a C compiler for musl.
debian_has_musl() {
    [[ -x /usr/bin/rustc && -f /usr/src/rustc-$(/usr/bin/rustc -V | cut -d' ' -f2)/library/Cargo.lock ]] &&
        command -v musl-gcc >/dev/null
}
# --no-remove: rustc-web conflicts with Debian's packages rustc and rustup, and a build
# must not remove what somebody has installed.
install_debian_musl() {
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
    say "no std for $musl in the toolchain; installing rustc-web, rust-web-src and musl-tools."
    apt-get update -qq >&2 || say "apt-get update failed; the package lists stay as they are."
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends --no-remove \
        rustc-web rust-web-src musl-tools >&2
}
# Debian has the source of std, but no std for musl, so cargo builds it. That option is unstable, hence
# RUSTC_BOOTSTRAP. std links an unwinder, but with panic=abort and no backtrace feature nothing ever calls
# it: two stubs instead of gcc's save 25 kB. If std ever needs more of it, linking fails.
# relocation-model=static, because a static-pie made by musl-gcc asks for a dynamic loader.
build_debian_musl() {
    mkdir -p $out/unwind && musl-gcc -Os -x c -c -o $out/unwind/unwind.o - <<<'
        int _Unwind_Backtrace(void *f, void *a) { return 5; /* end of stack */ }
        unsigned long _Unwind_GetIP(void *c) { return 0; }' &&
        ar crs $out/unwind/libunwind.a $out/unwind/unwind.o || return 1
    local flags="-C target-feature=+crt-static -C relocation-model=static -C link-self-contained=no"
    # One segment for code and constants, and no separate page for the 144 bytes that RELRO would protect: that saves 7 kB of padding.
    flags+=" -C link-arg=-Wl,-z,noseparate-code -C relro-level=off"
    env RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS:-} $flags -L native=$out/unwind" \
        "CARGO_TARGET_$(tr a-z- A-Z_ <<<"$musl")_LINKER=musl-gcc" \
        "${build[@]}" --target "$musl" -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size
}

case $want in any | musl | glibc) ;; *) die "STATIC_LIBC is '$want'; musl and glibc are possible." ;; esac
if [[ $want == glibc ]]; then libc=glibc
elif toolchain_has_musl; then "${build[@]}" --target "$musl"
elif ! debian_has_musl && ! { install_debian_musl && debian_has_musl; }; then
    no_musl "the toolchain has no std for $musl (rustup target add $musl installs it), and Debian's rustc-web, rust-web-src and musl-tools are not installed"
elif ! build_debian_musl; then no_musl "building std and the server for $musl failed"
fi
if [[ $libc == glibc ]]; then # with --target, crt-static does not apply to build scripts and proc-macros
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" "${build[@]}" --target "$gnu"
fi
[[ $libc == musl ]] && triple=$musl || triple=$gnu
mkdir -p $out && install -m 755 "${CARGO_TARGET_DIR:-target}/$triple/release/stillthere" $file
# A binary with a dynamic loader (INTERP) is not static, whatever the flags were.
if readelf -lW $file | grep INTERP >&2; then die "$file is not static."; fi
printf '%s\n%s bytes\n%s\n' $file "$(stat -c %s $file)" $libc

#!/usr/bin/env bash
# Builds the server alone, without the lab, as one static file: target/static/stillthere.
# dist/static.sh FEATURE adds a feature of the crate, and makes target/static/stillthere-FEATURE.
# STATIC_LIBC=musl or STATIC_LIBC=glibc takes that libc or fails. Unset, musl is
# tried first: its file is about a tenth of glibc's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
want=${STATIC_LIBC:-any} out=target/static libc=musl
file=$out/stillthere${1:+-$1}
build=(cargo build --release --no-default-features --features "serve${1:+,$1}")
musl=$(uname -m)-unknown-linux-musl gnu=$(uname -m)-unknown-linux-gnu

say() { echo "static: $*" >&2; }
die() { say "$*"; exit 1; }
no_musl() {
    [[ $want == any ]] || die "STATIC_LIBC=musl cannot be met: $*."
    say "$*; linking with glibc instead." && libc=glibc
}
toolchain_has_musl() { compgen -G "$(rustc --print target-libdir --target "$musl")/libstd-*.rlib" >/dev/null; }
# A compiler, the std's source of that very version, and a C compiler for musl.
debian_has_musl() {
    [[ -x /usr/bin/rustc && -f /usr/src/rustc-$(/usr/bin/rustc -V | cut -d' ' -f2)/library/Cargo.lock ]] &&
        command -v musl-gcc >/dev/null
}
# --no-remove: rustc-web conflicts with Debian's own rustc and rustup, and a build
# must not take away what somebody installed.
install_debian_musl() {
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
    say "no std for $musl in the toolchain; installing rustc-web, rust-web-src and musl-tools."
    apt-get update -qq >&2 || say "apt-get update failed; the package lists stay as they are."
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends --no-remove \
        rustc-web rust-web-src musl-tools >&2
}
# Debian has the std's source, not a std for musl, so cargo builds it: an unstable
# option, hence RUSTC_BOOTSTRAP. std links an unwinder, but with panic=abort and no
# backtrace feature nothing ever calls it: two stand-ins save the 25 kB of gcc's, and
# should std come to need more, the link fails. relocation-model=static, because
# musl-gcc makes a static-pie that asks for a dynamic loader.
build_debian_musl() {
    mkdir -p $out/unwind && musl-gcc -Os -x c -c -o $out/unwind/unwind.o - <<<'
        int _Unwind_Backtrace(void *f, void *a) { return 5; /* end of stack */ }
        unsigned long _Unwind_GetIP(void *c) { return 0; }' &&
        ar crs $out/unwind/libunwind.a $out/unwind/unwind.o || return 1
    local flags="-C target-feature=+crt-static -C relocation-model=static -C link-self-contained=no"
    # One segment for code and constants, and no page for the 144 bytes that RELRO would shield: 7 kB of padding.
    flags+=" -C link-arg=-Wl,-z,noseparate-code -C relro-level=off"
    env RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS:-} $flags -L native=$out/unwind" \
        "CARGO_TARGET_$(tr a-z- A-Z_ <<<"$musl")_LINKER=musl-gcc" \
        "${build[@]}" --target "$musl" -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size
}

case $want in any | musl | glibc) ;; *) die "STATIC_LIBC is '$want'; it can be musl or glibc." ;; esac
if [[ $want == glibc ]]; then libc=glibc
elif toolchain_has_musl; then "${build[@]}" --target "$musl"
elif ! debian_has_musl && ! { install_debian_musl && debian_has_musl; }; then
    no_musl "the toolchain has no std for $musl (rustup target add $musl), nor can Debian's rustc-web, rust-web-src and musl-tools be had"
elif ! build_debian_musl; then no_musl "building std and the server for $musl failed"
fi
if [[ $libc == glibc ]]; then # a named target keeps crt-static off build scripts and proc-macros
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" "${build[@]}" --target "$gnu"
fi
[[ $libc == musl ]] && triple=$musl || triple=$gnu
mkdir -p $out && install -m 755 "${CARGO_TARGET_DIR:-target}/$triple/release/stillthere" $file
# A binary that asks for a loader is not static, whatever the flags said.
if readelf -lW $file | grep INTERP >&2; then die "$file is not static."; fi
printf '%s\n%s bytes\n%s\n' $file "$(stat -c %s $file)" $libc

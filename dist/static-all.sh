#!/usr/bin/env bash
# Builds the server as static files for small machines, with musl: target/static/stillthere-ARCH for x86_64, aarch64, armv7 (hard
# float) and riscv64.
#     make static-all [ARCHES="aarch64 riscv64"] [FEATURES="serve upgrade"] [PANICS=mute] [ARGS=sizes]
# PANICS=mute leaves out all that a panic says, which is a tenth of the file: a bug then ends the program by SIGILL (SIGTRAP on
# some architectures), and no line of the log tells which bug. With "sizes" as an argument, it builds the server with each feature
# added instead, prints what each costs, and fails if a bound is exceeded; the bounds are those of PANICS=mute. These files
# are thrown away.
#
# All it needs are Debian's packages, unpacked and not installed, so it needs no root and changes nothing of this machine:
# - rustc-web, and the source of std of the same version, rust-web-src: Debian has no std for musl, so cargo builds it;
# - lld of the same LLVM, which links for every architecture; no compiler or assembler for the other architecture is needed;
# - musl-dev of the other architecture. It comes from Debian 13, whatever this machine runs, because 12 has none for riscv64.
# Packages of this machine that are installed already are used where they are. What is downloaded is kept in target/static-all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD/target/static-all out=target/static release=trixie
deb=$root/deb

say() { echo "static-all: $*" >&2; }
die() { say "$*"; exit 1; }

known=(x86_64 aarch64 armv7 riscv64)
features=${FEATURES:-serve admin config notify sandbox upgrade} panics=${PANICS:-told} sizes=
arches=()
for word in ${ARCHES:-} "$@"; do
    case $word in
        sizes) sizes=yes ;;
        x86_64 | aarch64 | armv7 | riscv64) arches+=("$word") ;;
        *) die "'$word' is no architecture that this script knows: ${known[*]}." ;;
    esac
done
case $panics in told | mute) ;; *) die "PANICS is '$panics'; told and mute are possible." ;; esac
[[ ${#arches[@]} != 0 ]] || { [[ -n $sizes ]] && arches=(x86_64) || arches=("${known[@]}"); }

triple() { case $1 in armv7) echo armv7-unknown-linux-musleabihf ;; riscv64) echo riscv64gc-unknown-linux-musl ;; *) echo "$1-unknown-linux-musl" ;; esac; }
debian() { case $1 in x86_64) echo amd64 ;; aarch64) echo arm64 ;; armv7) echo armhf ;; *) echo "$1" ;; esac; }
libraries() { case $1 in armv7) echo usr/lib/arm-linux-musleabihf ;; *) echo "usr/lib/$1-linux-musl" ;; esac; }

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    die "it is made of Debian's packages, but this machine has no apt-get. On another one, rustup target add $(triple "${arches[0]}") may do."
[[ $(uname -m) == x86_64 ]] || die "it was never tried on $(uname -m), only on x86_64."
mkdir -p "$root" "$deb" $out

# The packages of this machine's own release that it has not installed, with all that they depend on.
host_packages() {
    local llvm package
    llvm=$(apt-cache depends rust-web-llvm 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^llvm-[0-9]+$/ { sub(/^llvm-/, "", $2); print $2 }')
    [[ -n $llvm ]] || die "this machine's package lists have no rust-web-llvm. 'apt-get update', as root, renews them."
    lld=lld-$llvm
    [[ -e $root/host-packages && $(<"$root/host-packages") == "$lld $(rust_version)" ]] && return
    say "rustc-web, rust-web-src and $lld are downloaded, where they are not installed"
    mkdir -p "$root/archives/partial"
    apt-get install -qq -y --download-only --no-install-recommends -o Debug::NoLocking=1 -o APT::Sandbox::User= \
        -o Dir::Cache::archives="$root/archives" rustc-web rust-web-src "$lld" >&2 ||
        die "the packages cannot be downloaded. Is the network up? 'apt-get update', as root, renews the package lists."
    for package in "$root"/archives/*.deb; do
        [[ ! -e $package ]] || dpkg-deb -x "$package" "$deb"
    done
    rm -rf "$root/archives"
    echo "$lld $(rust_version)" >"$root/host-packages"
}
rust_version() { apt-cache policy rustc-web | sed -n 's/^ *Candidate: //p'; }

# musl-dev of the other architecture: a package list of its own, which is signed with Debian's key as the machine's is.
foreign_package() { # architecture of ours
    local to=$root/musl-$1 arch mirror state=$root/apt
    [[ ! -e $to/$(libraries "$1")/libc.a ]] || return 0
    arch=$(debian "$1")
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 2>/dev/null | sed -n 's/^Debian //p' | head -1)
    rm -rf "$state" && mkdir -p "$state"/{lists/partial,archives/partial,preferences.d}
    : >"$state/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} $release main" >"$state/sources"
    local options=(-qq -o APT::Architecture="$arch" -o APT::Architectures::="$arch" -o APT::Sandbox::User= -o Debug::NoLocking=1
        -o Dir::Etc::SourceList="$state/sources" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::PreferencesParts="$state/preferences.d"
        -o Dir::State::status="$state/status" -o Dir::State::Lists="$state/lists" -o Dir::Cache="$state" -o Dir::Cache::archives="$state/archives"
        -o Acquire::Languages=none)
    say "musl-dev for $arch is downloaded"
    apt-get "${options[@]}" update >&2 && (cd "$state" && apt-get "${options[@]}" download "musl-dev:$arch" >&2) ||
        die "musl-dev for $arch cannot be downloaded from Debian $release. Is the network up?"
    mkdir -p "$to" && dpkg-deb -x "$state"/musl-dev_*.deb "$to" && rm -rf "$state"
    [[ -e $to/$(libraries "$1")/libc.a ]] || die "musl-dev for $arch has no $(libraries "$1")/libc.a."
}

# A rustc that finds its libraries where the packages were unpacked. The one of an installed package needs nothing.
find_tools() {
    local file=$deb/usr/bin
    if [[ -x $file/rustc ]]; then
        printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q --sysroot %q "$@"\n' \
            "$deb/usr/lib/x86_64-linux-gnu" "$file/rustc" "$deb/usr" >"$root/rustc"
    else
        printf '#!/bin/sh\nexec /usr/bin/rustc "$@"\n' >"$root/rustc"
        if [[ -d $deb/usr/src ]]; then die "rustc-web is installed, but rust-web-src is not: install both, or neither."; fi
    fi
    file=$deb/usr/bin/$lld
    [[ -x $file ]] || file=/usr/bin/$lld
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$deb/usr/lib/x86_64-linux-gnu" "$file" >"$root/ld.lld"
    chmod 755 "$root/rustc" "$root/ld.lld"
}

# std links an unwinder, of which it uses two functions, for the backtrace of a panic. There are no tables that it could read, so
# they are another name for abort(3), which follows anyway. If std ever needs more of it, linking fails.
unwinder='_Unwind_Backtrace _Unwind_GetIP'
unwinder_of_arm='_Unwind_VRS_Get __aeabi_unwind_cpp_pr0 __aeabi_unwind_cpp_pr1'

build() { # architecture, features
    local target flags name library names=$unwinder features_of_target=+crt-static
    target=$(triple "$1") library=$root/musl-$1/$(libraries "$1")
    mkdir -p "$root/unwind" && printf '!<arch>\n' >"$root/unwind/libunwind.a"
    [[ $1 != armv7 ]] || { names+=" $unwinder_of_arm" features_of_target=+crt-static,+thumb-mode; }
    flags="-C target-feature=$features_of_target -C relocation-model=static -C link-self-contained=no -C relro-level=off"
    flags+=" -C linker=$root/ld.lld -C linker-flavor=ld.lld -L native=$root/unwind -L native=$library"
    # One segment for code and constants; functions that are equal are there once.
    flags+=" -C link-arg=--no-rosegment -C link-arg=--icf=all -C link-arg=-O2 -C link-arg=--build-id=none"
    for name in $names; do flags+=" -C link-arg=--defsym=$name=abort"; done
    for name in crt1.o crti.o crtn.o; do flags+=" -C link-arg=$library/$name"; done
    say "$1 with $2$([[ $panics == told ]] || echo ', mute')"
    [[ $panics == told ]] || flags+=" -Zunstable-options -Cpanic=immediate-abort"
    # Both names of one thing, for the libc of std and that of our dependencies: time_t has 64 bits on armv7, too, as musl 1.2 has
    # it. build.rs says what happens otherwise.
    flags+=" --cfg=libc_unstable_musl_v1_2"
    env RUST_LIBC_UNSTABLE_MUSL_V1_2_3=1 RUSTC="$root/rustc" RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS:-} $flags" CARGO_TARGET_DIR="$root/build" \
        cargo build --quiet --release --locked --no-default-features --features "$2" --target "$target" \
        -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size >&2
    built=$root/build/$target/release/stillthere
    # A file with a dynamic loader (INTERP) is not static, whatever the flags were.
    if readelf -lW "$built" | grep INTERP >&2; then die "the file for $1 is not static."; fi
}

host_packages
find_tools
for arch in "${arches[@]}"; do foreign_package "$arch"; done
if [[ -n $sizes ]]; then
    for arch in "${arches[@]}"; do
        printf '%s\n' "$arch"
        bound=ok
        while read -r panics most these; do
            build "$arch" "$these"
            bytes=$(stat -c %s "$built")
            printf '%8d  %s%s\n' "$bytes" "$these" "$([[ $panics == told ]] || echo ' (mute)')"
            [[ $most == - ]] || ((bytes <= most)) || { bound=exceeded; say "$these: $bytes bytes, but at most $most are allowed."; }
        done <<'LIST'
mute 262144 serve
mute 368640 serve upgrade sandbox notify
told - serve
told - serve upgrade
told - serve sandbox
told - serve notify
told - serve config
told - serve admin
told - serve upgrade sandbox notify
LIST
        [[ $bound == ok ]] || exit 1
    done
    exit
fi
for arch in "${arches[@]}"; do
    build "$arch" "$features"
    install -m 755 "$built" "$out/stillthere-$arch"
    printf '%s: %s bytes\n' "$out/stillthere-$arch" "$(stat -c %s "$out/stillthere-$arch")"
done

#!/bin/sh
# Installs missing programs: `dist/needs.sh cargo cc ip`. It uses the machine's package manager where this user is permitted
# to; otherwise it prints the command. Exit code 1 only if a program before "--" is missing; those after it are optional.
#
# A cargo that is too old counts as missing. The certificates that it needs for downloads are installed with it.
set -u

# The oldest sufficient version of Rust, from Cargo.toml: "1.85".
wanted=$(sed -n 's/^rust-version = "\([0-9.]*\)"$/\1/p' "$(dirname "$0")/../Cargo.toml")

manager=
for one in apt-get dnf pacman apk; do
    command -v $one >/dev/null && manager=$one && break
done
case $manager in
    apt-get) install='apt-get install -y --no-install-recommends' ;;
    dnf) install='dnf install -y' ;;
    pacman) install='pacman -S --noconfirm' ;;
    apk) install='apk add' ;;
    *) install='' ;;
esac

# "1.85" is at most "1.96.0+dfsg1-1". What is no version is none.
will_do() {
    major=${1%%.*} minor=${1#*.}
    minor=${minor%%[!0-9]*}
    case $major:$minor in *[!0-9:]* | :* | *:) return 1 ;; esac
    [ "$major" -gt "${wanted%%.*}" ] || { [ "$major" -eq "${wanted%%.*}" ] && [ "$minor" -ge "${wanted#*.}" ]; }
}

# The file of a program. A shell has a `kill` of its own, which is of no use to other programs.
file() {
    rest=$PATH:/usr/sbin:/sbin:
    while [ -n "$rest" ]; do
        [ -x "${rest%%:*}/$1" ] && [ ! -d "${rest%%:*}/$1" ] && echo "${rest%%:*}/$1" && return 0
        rest=${rest#*:}
    done
    return 1
}

# `rustc 1.65.0 (…)`: the version alone; nothing if it cannot say.
version() { "$1" --version 2>/dev/null | sed -n 's/^[a-z]* \([0-9][0-9.]*\).*/\1/p'; }

missing() {
    case $1 in
        certificates)
            for one in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
                [ -s "${SSL_CERT_FILE:-$one}" ] && return 1
            done
            return 0 ;;
        cargo)
            file cargo >/dev/null && file rustc >/dev/null || return 0
            will_do "$(version cargo)" && will_do "$(version rustc)" && return 1
            return 0 ;;
        *) file "$1" >/dev/null && return 1; return 0 ;;
    esac
}

# Which of Debian's packages has a cargo that is new enough: `cargo-web`, which follows what browsers need,
# where `cargo` is as old as the release.
cargo_of_apt() {
    for one in cargo-web cargo; do
        candidate=$(LC_ALL=C apt-cache policy $one 2>/dev/null | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p')
        will_do "$candidate" && echo $one && return
    done
}

package() { # program, package manager
    case $1:$2 in
        cc:pacman | cc:apk | cc:dnf) echo gcc ;;
        cc:*) echo gcc libc6-dev ;;
        cargo:apt-get) cargo_of_apt ;;
        cargo:pacman) echo rust ;;
        certificates:*) echo ca-certificates ;;
        kill:apt-get) echo procps ;;
        kill:*) echo util-linux ;;
        ip:dnf | ss:dnf | tc:dnf) echo iproute ;;
        ip:* | ss:* | tc:*) echo iproute2 ;;
        nginx:apt-get) echo nginx libnginx-mod-stream ;;
        nft:*) echo nftables ;;
        qemu-system-x86_64:dnf) echo qemu-system-x86-core ;;
        qemu-system-x86_64:apt-get | qemu-system-x86_64:pacman) echo qemu-system-x86 ;;
        redis-server:dnf | redis-server:pacman | redis-server:apk) echo redis ;;
        xz:apt-get) echo xz-utils ;;
        unshare:* | setpriv:*) echo util-linux ;;
        *) echo "$1" ;;
    esac
}

# Sets what is absent, and the packages that have it.
look() {
    absent= packages=
    for program in $programs; do
        [ "$program" = -- ] && continue
        if missing "$program"; then
            absent="$absent $program"
            for one in $(package "$program" "$manager"); do
                case " $packages " in *" $one "*) ;; *) packages="$packages $one" ;; esac
            done
        fi
    done
}

programs=
for program in "$@"; do
    programs="$programs $program"
    [ "$program" = cargo ] && programs="$programs certificates"
done
look
[ -z "$absent" ] && exit 0

# What is there and will not do is said before anything is installed beside it.
old=
case " $absent " in *" cargo "*) old=$(file cargo) ;; esac
if [ -n "$old" ]; then
    echo "Rust $wanted or later is wanted, and cargo $(version cargo) with rustc $(version rustc) is there ($old)." >&2
fi

if [ -n "$manager" ] && [ "$(id -u)" = 0 ]; then
    if [ $manager = apt-get ]; then
        apt-get update -qq >&2
        look # a list that was just fetched may know more
    fi
    if [ -n "$packages" ]; then
        echo "installing$packages, for:$absent" >&2
        DEBIAN_FRONTEND=noninteractive $install $packages >&2 || echo "$install$packages failed" >&2
    fi
    look
fi
[ -z "$absent" ] && exit 0

needed=yes code=0
for program in $programs; do
    [ "$program" = -- ] && needed=no && continue
    missing "$program" || continue
    found=
    [ "$program" = cargo ] && found=$(file cargo)
    if [ -n "$found" ]; then
        code=1 # it was said above
    elif [ "$program" = certificates ]; then
        echo "no certificates of the web's authorities are there: cargo cannot fetch what it does not have." >&2
    elif [ $needed = yes ]; then
        code=1
        echo "$program is needed and is not there." >&2
    else
        echo "$program is not there: what wants it will say so." >&2
    fi
done
if [ -n "$packages" ]; then
    update=
    [ "$manager" = apt-get ] && update='apt-get update && '
    if [ "$(id -u)" = 0 ]; then
        echo "    type: $update$install$packages" >&2
    else
        echo "    as root, type: $update$install$packages" >&2
        sudo='sudo '
        [ -n "$update" ] && update='sudo apt-get update && '
        echo "    or, where sudo is allowed: $update$sudo$install$packages" >&2
    fi
elif [ -z "$manager" ]; then
    echo "    install the packages that have them" >&2
fi
case " $absent " in
    *" cargo "*)
        if file rustup >/dev/null; then
            echo "    Rust without root, into your home: rustup update stable" >&2
        else
            echo "    Rust without root, into your home: see https://rustup.rs (it wants curl)" >&2
        fi ;;
esac
exit $code

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

# Whether a version such as "1.96.0+dfsg1-1" is recent enough. Text that is no version is not.
is_recent() {
    major=${1%%.*} minor=${1#*.}
    minor=${minor%%[!0-9]*}
    case $major:$minor in *[!0-9:]* | :* | *:) return 1 ;; esac
    [ "$major" -gt "${wanted%%.*}" ] || { [ "$major" -eq "${wanted%%.*}" ] && [ "$minor" -ge "${wanted#*.}" ]; }
}

# The file of a program. `command -v` would not do: it finds the shell's built-in `kill`, which other programs cannot start.
file() {
    rest=$PATH:/usr/sbin:/sbin:
    while [ -n "$rest" ]; do
        [ -x "${rest%%:*}/$1" ] && [ ! -d "${rest%%:*}/$1" ] && echo "${rest%%:*}/$1" && return 0
        rest=${rest#*:}
    done
    return 1
}

# The version alone, from a line such as `rustc 1.65.0 (…)`; nothing if the program prints none.
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
            is_recent "$(version cargo)" && is_recent "$(version rustc)" && return 1
            return 0 ;;
        *) file "$1" >/dev/null && return 1; return 0 ;;
    esac
}

# The Debian package whose cargo is recent enough: `cargo` is as old as the release, but `cargo-web` is updated for browsers.
cargo_of_apt() {
    for one in cargo-web cargo; do
        candidate=$(LC_ALL=C apt-cache policy $one 2>/dev/null | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p')
        is_recent "$candidate" && echo $one && return
    done
}

package() { # program, package manager
    case $1:$2 in
        cc:pacman | cc:apk | cc:dnf) echo gcc ;;
        cc:*) echo gcc libc6-dev ;;
        c++:apk | c++:apt-get) echo g++ ;;
        c++:dnf) echo gcc-c++ ;;
        c++:pacman) echo gcc ;;
        cargo:apt-get) cargo_of_apt ;;
        cargo:pacman) echo rust ;;
        certificates:*) echo ca-certificates ;;
        dh:apt-get) echo debhelper ;;
        dpkg-buildpackage:apt-get) echo dpkg-dev ;;
        lintian:apt-get) echo lintian ;;
        # Other systems lack some of them, and no Debian package is made there.
        dh:* | dpkg-buildpackage:* | lintian:*) ;;
        qemu-aarch64:apt-get | qemu-arm:apt-get | qemu-riscv64:apt-get) echo qemu-user ;;
        kill:apt-get) echo procps ;;
        kill:*) echo util-linux ;;
        ip:dnf | ss:dnf | tc:dnf) echo iproute ;;
        ip:* | ss:* | tc:*) echo iproute2 ;;
        node:*) echo nodejs ;;
        nginx:apt-get) echo nginx libnginx-mod-stream ;;
        nft:*) echo nftables ;;
        promtool:dnf) echo golang-github-prometheus ;;
        promtool:*) echo prometheus ;;
        qemu-system-x86_64:dnf) echo qemu-system-x86-core ;;
        qemu-system-x86_64:apt-get | qemu-system-x86_64:pacman) echo qemu-system-x86 ;;
        redis-server:dnf | redis-server:pacman | redis-server:apk) echo redis ;;
        xz:apt-get) echo xz-utils ;;
        systemd-analyze:*) echo systemd ;;
        unshare:* | setpriv:* | nsenter:*) echo util-linux ;;
        *) echo "$1" ;;
    esac
}

# Of Debian's `prometheus` only promtool is wanted; the package starts the server, too, which would listen on port 9090 of
# every address. A service of that name that was there before stays as it is.
has_service() { file systemctl >/dev/null && systemctl cat prometheus >/dev/null 2>&1; }
stop_service() {
    echo "prometheus was installed for promtool alone: its service is stopped and disabled" >&2
    systemctl --quiet disable prometheus >&2
    systemctl stop prometheus >/dev/null 2>&1 # it fails where systemd does not run, as in a container
}

# Sets `absent` to the missing programs, and `packages` to the packages that contain them.
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

# A cargo that is too old is reported before another one is installed beside it.
old=
case " $absent " in *" cargo "*) old=$(file cargo) ;; esac
if [ -n "$old" ]; then
    echo "Rust $wanted or later is needed; cargo $(version cargo) with rustc $(version rustc) is installed ($old)." >&2
fi

if [ -n "$manager" ] && [ "$(id -u)" = 0 ]; then
    if [ $manager = apt-get ]; then
        apt-get update -qq >&2
        look # the new package lists may offer more
    fi
    service=none
    case "$manager $packages " in "apt-get"*" prometheus "*) has_service || service=new ;; esac
    if [ -n "$packages" ]; then
        echo "installing$packages, for:$absent" >&2
        DEBIAN_FRONTEND=noninteractive $install $packages >&2 || echo "$install$packages failed" >&2
    fi
    [ $service = new ] && has_service && stop_service
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
        code=1 # reported above
    elif [ "$program" = certificates ]; then
        echo "certificates of the web's authorities are missing: cargo cannot download crates without them." >&2
    elif [ $needed = yes ]; then
        code=1
        echo "$program is needed, but not installed." >&2
    else
        echo "$program is not installed; whatever needs it reports that." >&2
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
    echo "    install the packages that contain them" >&2
fi
case " $absent " in
    *" cargo "*)
        if file rustup >/dev/null; then
            echo "    Rust without root, into your home: rustup update stable" >&2
        else
            echo "    Rust without root, into your home: see https://rustup.rs (it needs curl)" >&2
        fi ;;
esac
exit $code

#!/bin/sh
# Sees to it that programs are there: `dist/needs.sh cargo cc ip`. What is missing is installed
# with the machine's package manager where this user may do that, and is otherwise named with the
# command to type. Exit code 1 only if a program before "--" is missing; those after it are wanted,
# but not needed.
set -u

package() { # program, package manager
    case $1:$2 in
        cc:pacman | cc:apk | cc:dnf) echo gcc ;;
        cc:*) echo gcc libc6-dev ;;
        cargo:apt-get) echo cargo ;;
        cargo:pacman) echo rust ;;
        ip:dnf | ss:dnf) echo iproute ;;
        ip:* | ss:*) echo iproute2 ;;
        nginx:apt-get) echo nginx libnginx-mod-stream ;;
        nft:*) echo nftables ;;
        qemu-system-x86_64:dnf) echo qemu-system-x86-core ;;
        qemu-system-x86_64:apt-get | qemu-system-x86_64:pacman) echo qemu-system-x86 ;;
        redis-server:dnf | redis-server:pacman | redis-server:apk) echo redis ;;
        unshare:* | setpriv:*) echo util-linux ;;
        *) echo "$1" ;;
    esac
}

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

missing() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] && return 1; return 0; }

absent= packages= needed=yes code=0
for program in "$@"; do
    [ "$program" = -- ] && continue
    if missing "$program"; then
        absent="$absent $program"
        packages="$packages $(package "$program" "$manager")"
    fi
done
[ -z "$absent" ] && exit 0

if [ -n "$manager" ] && [ "$(id -u)" = 0 ]; then
    echo "installing$packages, for:$absent" >&2
    [ $manager = apt-get ] && apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive $install $packages >&2 || echo "$install$packages failed" >&2
fi
for program in "$@"; do
    [ "$program" = -- ] && needed=no && continue
    missing "$program" || continue
    if [ $needed = yes ]; then
        code=1
        echo "$program is needed and is not there." >&2
    else
        echo "$program is not there: what wants it will say so." >&2
    fi
    if [ "$program" = cargo ]; then
        echo "    install Rust: see https://rustup.rs" >&2
    elif [ -n "$manager" ]; then
        echo "    sudo $install $(package "$program" "$manager")" >&2
    else
        echo "    install the package that has $program" >&2
    fi
done
exit $code

#!/bin/sh
# Tests the first commands of the README on a fresh system: `dist/fresh.sh [RELEASE ...]`, by default Debian 12 and 13. For each
# release, debootstrap makes a minimal root with make and nothing else, and `make run`, `make install` and `make test` run in it as
# root. COMMANDS="run" runs only some of them; STALE=cargo installs packages before, such as a cargo that is too old.
#
# The fresh system uses the network settings of this machine: the mirrors of its package sources, its proxies, its certificates,
# and the source of its cargo's crates. All mounts are made in a namespace that ends with the run; target/fresh is removed, unless
# KEEP is set.
set -eu
cd "$(dirname "$0")/.."

releases=${*:-bookworm trixie}
commands=${COMMANDS:-run install test}
# A build takes minutes on a small machine, the tests a quarter of an hour.
limit=${LIMIT:-45m}

if [ "$(id -u)" != 0 ]; then
    echo "debootstrap and chroot need root: sudo make fresh" >&2
    exit 1
fi
dist/needs.sh debootstrap unshare chroot timeout tar

# The mirrors of this machine, found by their labels. Without any, as on another distribution, debootstrap uses its default.
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 2>/dev/null | sed -n 's/^Debian //p' | head -1)
security=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 2>/dev/null | sed -n 's/^Debian-Security //p' | head -1)

# Runs a command in the new root: with the network of this machine, and nothing else of it. The root is a mount point,
# as on a real machine, because `ip netns` and the lab change its propagation.
inside() {
    timeout -k 10 "$limit" unshare --mount --pid --fork --kill-child sh -c '
        root=$1; shift
        mount --make-rprivate / && mount --bind "$root" "$root" && mount -t proc proc "$root/proc" && mount --rbind /sys "$root/sys" &&
            mount --rbind /dev "$root/dev" && mount -t tmpfs tmpfs "$root/run" && mount -t tmpfs tmpfs "$root/tmp" &&
            exec chroot "$root" "$@"' sh "$root" \
        env -i HOME=/root TERM=dumb LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        $(env | grep -iE '^((https?|ftp|all|no)_proxy|CARGO_(REGISTR|HTTP|NET|SOURCE)[A-Z_0-9]*)=[^ ]*$') \
        sh -c "cd /stillthere && $1"
}

install_like_here() {
    if [ -n "$mirror" ]; then
        echo "deb $mirror $release main" >"$root/etc/apt/sources.list"
        echo "deb $mirror $release-updates main" >>"$root/etc/apt/sources.list"
    fi
    [ -z "$security" ] || echo "deb $security $release-security main" >>"$root/etc/apt/sources.list"
    apt-config dump | grep -iE '^Acquire::.*proxy' >"$root/etc/apt/apt.conf.d/99here" || true
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    # The package ca-certificates adds these when it is installed.
    mkdir -p "$root/usr/local/share/ca-certificates" "$root/root/.cargo"
    cp -RL /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
    for one in config config.toml; do
        cp "${CARGO_HOME:-$HOME/.cargo}/$one" "$root/root/.cargo/" 2>/dev/null || true
    done
    mkdir "$root/stillthere"
    tar -xf "$source" -C "$root/stillthere"
}

# Starts the server as the README says, waits until it listens, and stops it with SIGTERM.
run='
    make run ARGS=127.0.0.1:0 >/tmp/log 2>&1 &
    until grep -q "listens on" /tmp/log; do kill -0 $! 2>/dev/null || break; sleep 1; done
    kill -TERM $(sed -n "s/.*listens on .*(pid \([0-9]*\)).*/\1/p" /tmp/log)
    wait $!; code=$?
    cat /tmp/log
    [ $code = 0 ] && grep -q "stopped: 0 connected" /tmp/log'
install='make install && stillthere --version && make uninstall && [ ! -e /usr/local/bin/stillthere ]'

# Removes only what was unpacked: never through a mount, and nothing if a mount is left.
remove() {
    [ -n "$root" ] && [ -z "${KEEP:-}" ] || return 0
    if grep -q " $root/" /proc/mounts; then
        echo "$root is not removed, because something is still mounted in it" >&2
        return 1
    fi
    rm -rf --one-file-system "$root" "$root.log"
}

root=
source=
trap 'rm -f "$source"; remove' EXIT
trap 'exit 130' INT TERM
mkdir -p target/fresh
# A copy of the source: what is edited during the run does not matter.
source=$(mktemp "$PWD/target/fresh/source.XXXXXX")
tar -cf "$source" --exclude=./target --exclude=./.git .
failed=
for release in $releases; do
    root=$(mktemp -d "$PWD/target/fresh/$release.XXXXXX")
    chmod 755 "$root"
    echo "== $release: debootstrap"
    # In a mount namespace, because debootstrap mounts file systems in the root, and may be stopped before it unmounts them.
    timeout -k 10 15m unshare --mount --fork --kill-child debootstrap --variant=minbase --include=make "$release" "$root" $mirror >"$root.log" 2>&1 || {
        tail -5 "$root.log"
        exit 1
    }
    rm -f "$root.log"
    install_like_here
    [ -z "${STALE:-}" ] || inside "apt-get update -qq && apt-get install -y -qq --no-install-recommends $STALE >/dev/null"
    for command in $commands; do
        case $command in
            run) script=$run ;;
            install) script=$install ;;
            *) script="make $command" ;;
        esac
        echo "== $release: make $command"
        if inside "$script"; then
            echo "== $release: make $command succeeded"
        else
            echo "== $release: make $command FAILED"
            failed="$failed $release/$command"
        fi
    done
    remove
    root=
done
rm -f "$source"
rmdir target/fresh 2>/dev/null || true
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }

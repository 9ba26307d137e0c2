#!/bin/sh
# Tries the Debian package: `dist/deb-try.sh [RELEASE]`, by default bookworm. debootstrap makes a root; a systemd of its own runs in
# it as PID 1 of its own namespaces, and there the package is installed, upgraded under load, removed and purged. All mounts, all
# processes and the network are those of the namespaces, and end with them. target/deb/root.RELEASE is removed, unless KEEP is set.
#
# BINARY=FILE packs that program instead of building one. The load is `stillthere load`, which verifies each byte of each peer, and
# says how many peers were lost.
set -eu
cd "$(dirname "$0")/.."

release=${1:-bookworm}
if [ "$(id -u)" != 0 ]; then
    echo "debootstrap and chroot need root: sudo make deb-try" >&2
    exit 1
fi
dist/needs.sh debootstrap unshare nsenter pivot_root timeout lintian

root=$PWD/target/deb/root.$release
pid=
group=
finish() {
    code=$?
    [ $code = 0 ] || [ -z "$pid" ] || inside journalctl --no-pager -n 40 >&2 || true
    # The namespaces end with their first process, and with them all that was mounted and all that runs in them.
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    [ -z "$pid" ] || wait 2>/dev/null || true
    [ -z "$group" ] || for _ in 1 2 3 4 5 6 7 8 9 10; do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
        sleep 0.3
    done
    if [ -z "${KEEP:-}" ] && [ -d "$root" ]; then
        if grep -q " $root" /proc/mounts; then
            echo "$root is not removed, because something is mounted in it" >&2
        else
            rm -rf --one-file-system "$root"
        fi
    fi
    exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { echo "== $*"; }
fail() {
    echo "deb-try: $*" >&2
    exit 1
}

dist/deb.sh
REVISION=2 BINARY=${BINARY:-target/deb/build/release/stillthere} dist/deb.sh
REVISION=3 BINARY=/bin/true dist/deb.sh # a release that went wrong
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
architecture=$(dpkg --print-architecture)

say "lintian"
told=$(lintian --allow-root --tag-display-limit 0 target/deb/stillthere_"$version"_"$architecture".changes)
[ -z "$told" ] || fail "lintian says: $told"

if [ ! -e "$root/etc/debian_version" ]; then
    say "debootstrap $release"
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 2>/dev/null | sed -n 's/^Debian //p' | head -1)
    rm -rf --one-file-system "$root"
    mkdir -p "$root"
    timeout -k 10 15m unshare --mount --fork --kill-child debootstrap --variant=minbase --include=systemd,systemd-sysv,iproute2,procps \
        "$release" "$root" $mirror >"$root.log" 2>&1 || {
        tail -5 "$root.log"
        exit 1
    }
    rm -f "$root.log"
fi
chmod 755 "$root"
rm -rf "$root/var/log/journal" # of a run with KEEP
cp target/deb/stillthere_"$version"*_"$architecture".deb "$root/root/"

say "install, upgrade and purge where no systemd runs"
bare() { LC_ALL=C DEBIAN_FRONTEND=noninteractive unshare --mount --fork --kill-child chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
bare dpkg -P stillthere >/dev/null 2>&1 || true # from a run with KEEP
for one in "-i /root/stillthere_${version}_$architecture.deb" "-i /root/stillthere_$version+2_$architecture.deb" "-r stillthere" "-P stillthere"; do
    # shellcheck disable=SC2086 # an option and its value
    bare dpkg $one >target/deb/dpkg.log 2>&1 || { cat target/deb/dpkg.log >&2; fail "dpkg $one fails"; }
done

# A control group of its own, wherever this machine has the unified hierarchy.
hierarchy=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$hierarchy" ] || fail "this machine has no unified hierarchy of control groups (cgroup2), which systemd needs"
group=$hierarchy/stillthere-deb-try.$$
mkdir "$group"

say "systemd, as PID 1 of its own namespaces"
# Where the root and the devices are mounted, nothing of this machine is left to reach, not even its network.
sh -c '
    echo $$ >"$1/cgroup.procs"
    exec unshare --mount --pid --cgroup --uts --ipc --net --fork --kill-child sh -c '"'"'
        set -e
        root=$1
        mount --make-rprivate /
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount -t sysfs -o ro sysfs "$root/sys"
        mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
        mount -t tmpfs -o mode=755 tmpfs "$root/dev"
        mount -t tmpfs tmpfs "$root/run"
        mount -t tmpfs tmpfs "$root/tmp"
        mkdir "$root/dev/pts" "$root/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
        ln -s pts/ptmx "$root/dev/ptmx"
        ln -s /proc/self/fd "$root/dev/fd"
        for one in null zero full random urandom tty; do : >"$root/dev/$one"; mount --bind "/dev/$one" "$root/dev/$one"; done
        ip link set lo up
        cd "$root"
        mkdir -p old
        pivot_root . old
        umount -l old
        rmdir old
        exec env -i container=deb-try PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --show-status=no'"'"' sh "$2"
' sh "$group" "$root" </dev/null >target/deb/systemd.log 2>&1 &
outer=$!
for _ in $(seq 100); do
    pid=$(cat "/proc/$outer/task/$outer/children" 2>/dev/null | tr -d ' ')
    [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = systemd ] && break
    kill -0 $outer 2>/dev/null || { cat target/deb/systemd.log >&2; fail "systemd did not start"; }
    sleep 0.1
done
inside() {
    timeout -k 5 "${LIMIT:-120}" nsenter --target "$pid" --all --root --wd=/ \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive HOME=/root "$@"
}
for _ in $(seq 100); do
    state=$(inside systemctl is-system-running 2>/dev/null || true)
    case $state in running | degraded) break ;; esac
    sleep 0.2
done
case $state in running | degraded) ;; *) fail "systemd is $state" ;; esac

first=/root/stillthere_${version}_$architecture.deb
second=/root/stillthere_$version+2_$architecture.deb
third=/root/stillthere_$version+3_$architecture.deb
is_active() { inside systemctl --quiet is-active stillthere.service; }
main_pid() { inside systemctl show --property MainPID --value stillthere.service; }
file_of() { inside readlink "/proc/$(main_pid)/exe"; }
listens() { inside ss -Hltn 'sport = :7007' | grep -q 7007; }
installed() { inside dpkg-query -W -f '${Version}' stillthere; }

say "install"
inside dpkg -i "$first" >target/deb/dpkg.log 2>&1 || { cat target/deb/dpkg.log >&2; fail "it cannot be installed"; }
is_active || fail "an installation starts the service"
[ "$(inside systemctl is-enabled stillthere.service)" = enabled ] || fail "an installation enables the service"
# The socket is for who wants it.
[ "$(inside systemctl is-enabled stillthere.socket)" = disabled ] || fail "an installation enables the socket"
for _ in $(seq 50); do listens && break; sleep 0.1; done
listens || fail "nothing listens on port 7007"
inside stillthere --version
inside stillthere load 127.0.0.1:7007 --connections 50 --time 1s --fail-if 'errors>0,lost>0' >/dev/null || fail "it does not serve"

say "upgrade, with 500 peers of which 50 talk all the time"
before=$(main_pid)
inside stillthere load 127.0.0.1:7007 --connections 500 --active 50 --time 30s --fail-if 'errors>0,lost>0,held<500,unanswered>0' \
    >target/deb/load.log 2>&1 &
load=$!
for _ in $(seq 100); do [ "$(inside ss -Htn state established 'sport = :7007' | wc -l)" -ge 500 ] && break; sleep 0.1; done
inside dpkg -i "$second" >target/deb/dpkg.log 2>&1 || { cat target/deb/dpkg.log >&2; fail "it cannot be upgraded"; }
cat target/deb/dpkg.log
[ "$(installed)" = "$version+2" ] || fail "the second version is not installed"
[ "$(main_pid)" = "$before" ] || fail "the process was $before, and is $(main_pid) after the upgrade"
wait $load || { cat target/deb/load.log >&2; fail "peers were lost by the upgrade"; }
grep -E 'held|lost|exchanges' target/deb/load.log || true
[ "$(file_of)" = /usr/bin/stillthere ] || fail "the running program is not the new one: $(file_of)"
inside journalctl --no-pager -o cat -u stillthere.service | grep 'upgraded from' || fail "the log does not say that it was upgraded"

say "upgrade to a package whose program is another one: nobody leaves, and the next package mends it"
inside stillthere load 127.0.0.1:7007 --connections 500 --active 50 --time 40s --fail-if 'errors>0,lost>0,held<500,unanswered>0' \
    >target/deb/load.log 2>&1 &
load=$!
for _ in $(seq 100); do [ "$(inside ss -Htn state established 'sport = :7007' | wc -l)" -ge 500 ] && break; sleep 0.1; done
inside dpkg -i "$third" >target/deb/dpkg.log 2>&1 || { cat target/deb/dpkg.log >&2; fail "it cannot be upgraded"; }
grep 'the running server is still the one from before' target/deb/dpkg.log || fail "the administrator is not told that the upgrade was refused"
inside journalctl --no-pager -o cat -u stillthere.service | grep 'is refused' || fail "the log does not say why"
inside dpkg -i "$second" >target/deb/dpkg.log 2>&1 || { cat target/deb/dpkg.log >&2; fail "it cannot be downgraded"; }
[ "$(main_pid)" = "$before" ] && [ "$(file_of)" = /usr/bin/stillthere ] || fail "the package that is right again does not take over"
wait $load || { cat target/deb/load.log >&2; fail "peers were lost by the upgrade that was refused"; }

say "upgrade and downgrade, while somebody has stopped it: it stays so"
inside systemctl stop stillthere.service
inside dpkg -i "$first" >/dev/null 2>&1 || fail "it cannot be downgraded"
! is_active || fail "an upgrade starts what somebody has stopped"
inside systemctl start stillthere.service

say "a policy that forbids it (policy-rc.d): nothing is reloaded"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
before=$(main_pid)
inside dpkg -i "$second" >target/deb/dpkg.log 2>&1 || { cat target/deb/dpkg.log >&2; fail "it cannot be upgraded"; }
[ "$(main_pid)" = "$before" ] && case $(file_of) in *'(deleted)') ;; *) fail "the policy was not heeded" ;; esac
rm "$root/usr/sbin/policy-rc.d"
inside systemctl reload stillthere.service
for _ in $(seq 50); do [ "$(file_of)" = /usr/bin/stillthere ] && break; sleep 0.2; done
[ "$(file_of)" = /usr/bin/stillthere ] || fail "a reload by hand does not upgrade it"

say "remove, and install again"
echo '# mine' >>"$root/etc/default/stillthere"
inside dpkg -r stillthere >/dev/null 2>&1 || fail "it cannot be removed"
! is_active || fail "a removal stops the service"
[ ! -e "$root/usr/bin/stillthere" ] || fail "the program is still there"
grep -q '# mine' "$root/etc/default/stillthere" || fail "a removal takes away what somebody has written"
inside dpkg -i "$second" >/dev/null 2>&1 || fail "it cannot be installed again"
is_active || fail "to install it again starts the service"
grep -q '# mine' "$root/etc/default/stillthere" || fail "an installation takes away what somebody has written"

say "purge"
inside dpkg -P stillthere >/dev/null 2>&1 || fail "it cannot be purged"
! is_active || fail "a purge stops the service"
left=$(find "$root/etc" "$root/usr" "$root/lib" "$root/var/lib/systemd" -path "$root/var/lib/dpkg" -prune -o -name '*stillthere*' -print)
[ -z "$left" ] || fail "a purge leaves $left"
say "everything held"

#!/usr/bin/env bash
# Holds PEERS (1 000 000 unless said otherwise) idle connections in one process of the server, in a
# virtual machine that is made for it, and reports what they cost: see docs/million.md. It needs a machine of its own
# because the limits that must be raised are those of a whole kernel.
#     make million [PEERS=200000] [ACCEL=kvm]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
peers=${PEERS:-1000000} accel=${ACCEL:-tcg} out=target/million

say() { echo "million: $*" >&2; }
die() { say "$*"; exit 1; }

[[ $peers =~ ^[1-9][0-9]*$ ]] && ((peers <= 2000000)) || die "PEERS is '$peers'; it can be 1 to 2000000."
[[ $(uname -m) == x86_64 ]] || die "the machine is an x86-64, and so is the server in it; this one is $(uname -m)."
# About 4 kB for each of the two ends, 4 kB for what its closing leaves for a while, and a gigabyte for all
# else. The host gives the memory only when the guest touches it; what it does not have kills the
# machine when it is nearly done.
memory=$((1000 + peers * 12 / 1000))
available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
fit=$(((available - 1500) * 1000 / 12))
((fit > 0)) || die "the smallest machine has 1000 MB, and $available MB of memory are available."
((peers <= fit)) || die "$peers peers want a machine of $memory MB, and $available MB are available; PEERS=$fit would fit."

# The kernel and the static busybox of the distribution are unpacked, not installed: nothing of the
# host's own start is touched.
instead="KERNEL=/boot/vmlinuz, or another, and BUSYBOX=a busybox that is static do as well."
unpack() { # package, directory
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
        die "Debian's $1 is wanted, and here is no apt-get; $instead"
    mkdir -p "$2" && (cd "$2" && apt-get download -qq -o APT::Sandbox::User=root "$1" >&2) ||
        die "$1 cannot be had. Is the network up, and is this Debian? As root, 'apt-get update' renews the lists; $instead"
    dpkg-deb -x "$2"/*.deb "$2" && rm "$2"/*.deb
}
dist/needs.sh qemu-system-x86_64 cpio
kernel=${KERNEL:-} busybox=${BUSYBOX:-}
if [[ -z $kernel ]]; then
    compgen -G "$out/kernel/boot/vmlinuz-*" >/dev/null || {
        # The package without a version depends on the one that has the kernel.
        package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '$1 == "Depends:" { print $2 }') || true
        unpack "${package:-linux-image-cloud-amd64}" $out/kernel
    }
    kernel=$(compgen -G "$out/kernel/boot/vmlinuz-*")
fi
if [[ -z $busybox ]]; then
    busybox=$out/busybox/bin/busybox
    [[ -x $busybox ]] || unpack busybox-static $out/busybox
fi

dist/static.sh >&2
dist/static.sh load >&2
trap 'rm -rf $out/root $out/initramfs' EXIT
rm -rf $out/root && mkdir -p $out/root/{bin,proc,sys,dev}
install -m 755 dist/million/init target/static/stillthere{,-load} $out/root
install -m 755 "$busybox" $out/root/bin/busybox
(cd $out/root && find . | cpio -o -H newc --quiet) >$out/initramfs

# The guest's own waits are bounded; this bounds what they cannot, such as a kernel that does not
# start. mitigations=off: emulated, they are only slow. thash_entries: a bucket for every socket, for
# else the kernel makes one for 128 kB of memory. The serial line is /dev/stdout and not stdio, because
# qemu polls without a pause an input that is at its end.
say "a machine of $memory MB; $peers peers ($accel)"
timeout --foreground $((600 + peers / 500)) qemu-system-x86_64 -accel "$accel" -cpu max -smp 2 -m $memory \
    -nodefaults -no-user-config -display none -serial file:/dev/stdout -no-reboot -kernel "$kernel" -initrd $out/initramfs \
    -append "console=ttyS0 quiet panic=-1 mitigations=off thash_entries=$((2 * peers)) peers=$peers" | tee $out/log ||
    die "the machine was stopped: it did not end by itself."
grep -q '^all went well' $out/log

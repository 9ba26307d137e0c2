#!/usr/bin/env bash
# Holds PEERS idle connections (by default 1 000 000) in one process of the server, in a virtual machine
# that it creates, and reports what they cost: see docs/million.md. It needs a separate machine because some limits that must be
# raised are those of a whole kernel.
#     make million [PEERS=200000] [ACCEL=kvm]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
peers=${PEERS:-1000000} accel=${ACCEL:-tcg} out=target/million

say() { echo "million: $*" >&2; }
die() { say "$*"; exit 1; }

[[ $peers =~ ^[1-9][0-9]*$ ]] && ((peers <= 2000000)) || die "PEERS is '$peers'; it must be from 1 to 2000000."
[[ $(uname -m) == x86_64 ]] || die "the virtual machine needs a server built for x86-64; this machine is $(uname -m)."
# About 4 kB for each of the two ends, 4 kB that a closed connection keeps for a while, and a gigabyte for everything
# else. The host allocates memory only when the guest touches it, so too little memory would kill the machine
# only when it is nearly done. Therefore it is checked first.
memory=$((1000 + peers * 12 / 1000))
available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
fit=$(((available - 1500) * 1000 / 12))
((fit > 0)) || die "the smallest machine has 1000 MB; too little memory is available ($available MB)."
((peers <= fit)) || die "$peers peers need a machine of $memory MB, but only $available MB are available; PEERS=$fit would fit."

# The distribution's kernel and static busybox are unpacked, not installed: the way the host boots is not changed.
instead="to use others, set KERNEL (such as /boot/vmlinuz) and BUSYBOX (a static busybox)."
unpack() { # package, directory
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
        die "Debian's $1 is needed, but this machine has no apt-get; $instead"
    mkdir -p "$2" && (cd "$2" && apt-get download -qq -o APT::Sandbox::User=root "$1" >&2) ||
        die "$1 cannot be downloaded. Is the network up, and is this Debian? 'apt-get update', as root, renews the package lists; $instead"
    dpkg-deb -x "$2"/*.deb "$2" && rm "$2"/*.deb
}
dist/needs.sh qemu-system-x86_64 cpio
kernel=${KERNEL:-} busybox=${BUSYBOX:-}
if [[ -z $kernel ]]; then
    compgen -G "$out/kernel/boot/vmlinuz-*" >/dev/null || {
        # The package without a version depends on the one that contains the kernel.
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

# The script in the guest bounds its own waits; this time limit is for the rest, such as a kernel that does not
# boot. mitigations=off: in an emulated machine they only cost time. thash_entries: one bucket for every socket; by
# default the kernel makes one for each 128 kB of memory. The serial line is /dev/stdout and not stdio, because
# qemu would poll a standard input that is at its end without a pause.
say "a machine of $memory MB; $peers peers ($accel)"
timeout --foreground $((600 + peers / 500)) qemu-system-x86_64 -accel "$accel" -cpu max -smp 2 -m $memory \
    -nodefaults -no-user-config -display none -serial file:/dev/stdout -no-reboot -kernel "$kernel" -initrd $out/initramfs \
    -append "console=ttyS0 quiet panic=-1 mitigations=off thash_entries=$((2 * peers)) peers=$peers" | tee $out/log ||
    die "the machine did not shut down in time and was stopped."
grep -q '^all went well' $out/log

#!/usr/bin/env bash
# Runs the lab on Debian's kernels, each in a virtual machine that is made for it: docs/kernels.md.
#     make kernels [KERNELS="6.1 6.12"] [ACCEL=kvm]
# Or any one command on any one of them; its output and its exit code are the script's own:
#     dist/kernels.sh --kernel 6.1 --run 'uname -r; stillthere-lab --version'
#     dist/kernels.sh --kernel 6.12 --file target/try --seconds 40 --out target/seen --run '/task/try > /out/seen'
# --file puts files below /task, --out gets what the command leaves in /out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=target/kernels accel=${ACCEL:-tcg,thread=multi}
# What the lab's networks are made of, and what the harness wants. What these need in turn goes with them.
modules='veth bridge nf_tables nft_numgen nft_reject_inet nft_ct nft_limit nft_counter nf_conntrack sch_netem tun dummy
    tcp_diag inet_diag virtio_pci virtio_blk'
programs='ip nft ss strace dash'

say() { echo "kernels: $*" >&2; }
die() { say "$*"; exit 1; }

# The kernels that the machine's package lists offer, the oldest first: "6.1 linux-image-6.1.0-56-cloud-amd64".
# A package without a version depends on the one that has the kernel.
offered() {
    apt-cache search --names-only '^linux-image(-[0-9.]+)?-cloud-amd64$' | cut -d' ' -f1 |
        xargs -r apt-cache depends 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2 }' |
        sed -E 's/^linux-image-([0-9]+\.[0-9]+)/\1 &/' | sort -u -k1,1V
}
unpack() { # package, directory
    mkdir -p "$2" && (cd "$2" && apt-get download -qq -o APT::Sandbox::User=root "$1" >&2) ||
        die "$1 cannot be had. Is the network up? As root, 'apt-get update' renews the lists."
    dpkg-deb -x "$2"/*.deb "$2" && rm "$2"/*.deb
}
archive() { (cd "$1" && find . | cpio -o -H newc --quiet); } # a directory, as an initramfs
whole() { mv "$1.part" "$1"; }                                  # what was half done is not taken for done

# busybox and the host's own network tools, with their libraries: the same for all kernels.
make_tools() {
    local file=$out/tools.cpio root=$out/tools program path
    [[ -e $file && $file -nt dist/kernels/init && $file -nt dist/kernels.sh ]] && return
    [[ -x $out/busybox/bin/busybox ]] || unpack busybox-static $out/busybox
    rm -rf $root && mkdir -p $root/{bin,sbin,usr/sbin,proc,sys,dev,run,tmp,etc}
    install -m 755 $out/busybox/bin/busybox $root/bin
    install -m 755 dist/kernels/init $root/init
    ln -s /bin/busybox $root/sbin/modprobe
    ln -s /usr/sbin/dash $root/bin/sh # busybox's shell takes its own ip for ours
    for program in $programs; do
        path=$(PATH=$PATH:/usr/sbin:/sbin command -v "$program") || continue
        install -m 755 "$path" $root/usr/sbin
        ldd "$path" | grep -o '/[^ ]*' | while read -r path; do install -D -m 755 "$path" "$root$path"; done
    done
    archive $root >$file.part && whole $file && rm -rf $root
}

# A kernel and its modules: $out/6.1/{release,vmlinuz,modules.cpio}.
make_kernel() { # version, package
    local place=$out/$1 all root release
    [[ -e $place/release && $(<"$place/release") == "${2#linux-image-}" && $place/release -nt dist/kernels.sh ]] && return
    rm -rf "$place" && mkdir -p "$place"
    say "$2 is downloaded"
    unpack "$2" "$place/all"
    all=$place/all root=$place/root release=${2#linux-image-}
    local from=$all/lib/modules/$release to=$root/lib/modules/$release
    [[ -d $from ]] || { mkdir -p "$all/lib" && mv "$all/usr/lib/modules" "$all/lib/"; }
    # Only a list of what needs what comes of it: the package has none before it is installed.
    find "$from" -name '*.ko.xz' -print0 | xargs -0 -r -P2 -n64 xz -d
    $out/busybox/bin/busybox depmod -b "$all" "$release"
    mkdir -p "$to"
    awk -v wanted="$modules" '
        { file = $1; sub(/:$/, "", file); name = file; sub(/.*\//, "", name); sub(/\.ko$/, "", name); gsub(/-/, "_", name)
          path[name] = file; needs[file] = ""; for (i = 2; i <= NF; i++) needs[file] = needs[file] " " $i }
        function take(file,   n, i, more) { if (file in taken) return
            taken[file] = 1; print file; n = split(needs[file], more, " "); for (i = 1; i <= n; i++) take(more[i]) }
        END { n = split(wanted, names, " "); for (i = 1; i <= n; i++) if (names[i] in path) take(path[names[i]]) }
    ' "$from/modules.dep" | (cd "$from" && cpio -pdm --quiet "$OLDPWD/$to")
    cp "$from"/modules.{builtin,order} "$to" 2>/dev/null || true
    $out/busybox/bin/busybox depmod -b "$root" "$release"
    # A module that is built in, or that a kernel has not, is none of these files.
    for module in $modules; do
        [[ -z $(find "$to" -name "$(sed 's/_/[_-]/g' <<<"$module").ko") ]] || echo "$module"
    done >"$root/lib/modules/wanted"
    mv "$all/boot/vmlinuz-$release" "$place/vmlinuz"
    archive "$root" >"$place/modules.cpio"
    rm -rf "$all" "$root"
    echo "$release" >"$place/release"
}

# Boots a kernel, has it do one command, and ends with the command's exit code. The host bounds what the
# guest cannot, such as a kernel that does not start.
machine() { # version, command; seconds, memory, files and gather are the options
    local place=$out/$1 run code=0
    run=$(mktemp -d "$out/run.XXXXXX")
    trap 'kill $guest 2>/dev/null; rm -rf '"$run" EXIT
    mkdir -p "$run/root/task" "$run/root/usr/bin"
    printf '%s\n' "$2" >"$run/root/task/command"
    [[ ${#files[@]} == 0 ]] || cp "${files[@]}" "$run/root/task"
    install -m 755 target/static/stillthere-lab "$run/root/usr/bin/stillthere" 2>/dev/null || true
    cat $out/tools.cpio "$place/modules.cpio" <(archive "$run/root") >"$run/initramfs"
    truncate -s 64M "$run/disk"
    # cat: qemu opens its standard output anew, which can be done with a pipe whatever it is for us.
    # mitigations=off: emulated, they are only slow.
    timeout $((seconds + 60)) qemu-system-x86_64 -accel "$accel" -cpu max -smp 2 -m "$memory" \
        -nodefaults -no-user-config -display none -no-reboot \
        -serial file:"$run/console" -chardev file,id=said,path=/dev/stdout,append=on -serial chardev:said \
        -serial file:"$run/code" -drive file="$run/disk",format=raw,if=virtio \
        -kernel "$place/vmlinuz" -initrd "$run/initramfs" \
        -append "console=ttyS0 quiet panic=-1 mitigations=off seconds=$seconds" > >(cat) 2>"$run/trouble" &
    guest=$!
    wait $guest || code=$?
    guest=
    if [[ ! -s $run/code ]]; then
        cat "$run/trouble" >&2
        tail -n 15 "$run/console" >&2 || true
        die "the machine with Linux $1 told no end of its command (qemu: $code); it was given $seconds s."
    fi
    [[ -z $gather ]] || { mkdir -p "$gather" && { [[ $(head -c 1 "$run/disk" | tr -d '\0') ]] && tar -xf "$run/disk" -C "$gather" || true; }; }
    code=$(<"$run/code")
    rm -rf "$run" && trap - EXIT
    return "$code"
}

kernels=() files=() command= seconds=120 memory=700 gather= guest=
while (($# > 0)); do
    case $1 in
        --list) offered; exit ;;
        --kernel | --run | --file | --seconds | --memory | --out)
            (($# >= 2)) || die "$1 wants a value."
            case $1 in
                --kernel) kernels+=("$2") ;;
                --run) command=$2 ;;
                --file) files+=("$2") ;;
                --seconds) seconds=$2 ;;
                --memory) memory=$2 ;;
                --out) gather=$2 ;;
            esac
            shift 2 ;;
        *) die "'$1' is no option; there are --kernel, --run, --file, --seconds, --memory, --out and --list." ;;
    esac
done
[[ $seconds =~ ^[1-9][0-9]{0,4}$ && $memory =~ ^[1-9][0-9]{2,5}$ ]] || die "--seconds and --memory (MB) want a number."
[[ $(uname -m) == x86_64 ]] || die "the machines are x86-64; this one is $(uname -m)."
command -v apt-cache >/dev/null && command -v dpkg-deb >/dev/null || die "the kernels are Debian's packages, and here is no apt-get."
dist/needs.sh qemu-system-x86_64 cpio xz ip nft -- ss strace
mkdir -p $out
make_tools
[[ -n $command && ${#kernels[@]} == 1 ]] || die "--run wants one --kernel."
[[ -e $out/${kernels[0]}/release ]] || {
    package=$(offered | awk -v version="${kernels[0]}" '$1 == version { print $2 }')
    [[ -n $package ]] || die "no Linux ${kernels[0]} is among this machine's packages; there are $(offered | awk '{ printf "%s ", $1 }')."
    make_kernel "${kernels[0]}" "$package"
}
machine "${kernels[0]}" "$command"

#!/usr/bin/env bash
# Runs the lab on Debian's kernels, each in a virtual machine that this script creates: docs/kernels.md.
#     make kernels [KERNELS="6.1 6.12"] [JOBS="start 5s"] [ACCEL=kvm]
# Or runs one command on one kernel, and passes on its output and exit code:
#     dist/kernels.sh --kernel 6.1 --run 'uname -r; stillthere --version'
#     dist/kernels.sh --kernel 6.12 --file target/try --seconds 40 --out target/seen --run '/task/try > /out/seen'
# --file copies a file to /task, --out fetches the files that the command writes to /out.
# Without --run all jobs below are done on all kernels, as many at a time as there are processors, and also on the kernel that
# runs here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=target/kernels accel=${ACCEL:-tcg,thread=multi}
# The modules for the lab's networks and for the harness, with their dependencies.
modules='veth bridge nf_tables nft_numgen nft_reject_inet nft_ct nft_limit nft_counter nf_conntrack sch_netem tun dummy
    tcp_diag inet_diag virtio_pci virtio_blk'
programs='ip tc nft ss strace dash'

# The jobs for each kernel: a name, a time limit in seconds, and the command. Each job has a separate machine. It writes its
# results to $OUT: matrices as NAME.json, which the page shows in the order of their names, and lines of facts.tsv. A job marked
# with & mostly waits: it runs beside all others, on all kernels at once.
# --at-once 1: on an emulated processor, setting up a scene would delay the measurements of others.
list() {
    awk -v only="${JOBS:-}" '{ name = $1; sub(/&$/, "", name) } only == "" || index(" " only " ", " " name " ")' <<'END'
start     40 sh $TASK/start
3s       300 stillthere lab matrix black-hole none --deadline 3s --jobs 14 --at-once 1 --json $OUT/1-deadline-3s.json
5s      1100 stillthere lab matrix --deadline 5s --jobs 24 --at-once 1 --json $OUT/2-deadline-5s.json
35s      400 stillthere lab matrix black-hole out-dead none --deadline 35s --keep 70s --jobs 30 --at-once 1 --json $OUT/3-deadline-35s.json
crowd    150 sh $TASK/crowd
10m&    1000 stillthere lab matrix idle/black-hole in-flight/black-hole window-shut/black-hole window-shut/none --deadline 10m --keep 12m --cap 12m --jobs 8 --at-once 1 --json $OUT/4-deadline-10m.json
20m&    1400 stillthere lab matrix window-shut/none reading-paused/none reading-slowly/none half-closed/none --deadline 5s --keep 20m --jobs 8 --at-once 1 --json $OUT/5-deadline-5s-for-20-minutes.json
END
}

say() { echo "kernels: $*" >&2; }
die() { say "$*"; exit 1; }

# The kernels that the machine's package lists offer, the oldest first: "6.1 linux-image-6.1.0-56-cloud-amd64".
# A package without a version depends on the one that contains the kernel.
offered() {
    apt-cache search --names-only '^linux-image(-[0-9.]+)?-cloud-amd64$' | cut -d' ' -f1 |
        xargs -r apt-cache depends 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2 }' |
        sed -E 's/^linux-image-([0-9]+\.[0-9]+)/\1 &/' | sort -u -k1,1V
}
package_of() { # version
    offered | awk -v version="$1" '$1 == version { print $2 }' | grep . ||
        die "this machine's package lists offer no Linux $1; they offer $(offered | awk '{ printf "%s ", $1 }')."
}
unpack() { # package, directory
    mkdir -p "$2" && (cd "$2" && apt-get download -qq -o APT::Sandbox::User=root "$1" >&2) ||
        die "$1 cannot be downloaded. Is the network up? 'apt-get update', as root, renews the package lists."
    dpkg-deb -x "$2"/*.deb "$2" && rm "$2"/*.deb
}
archive() { (cd "$1" && find . | cpio -o -H newc --quiet); } # a directory, as an initramfs
whole() { mv "$1.part" "$1"; }                                  # so that no half-written file has the final name

# busybox and the host's own network tools, with their libraries: the same for all kernels.
make_tools() {
    local file=$out/tools.cpio root=$out/tools program path
    [[ -e $file && $file -nt dist/kernels/init && $file -nt dist/kernels.sh ]] && return
    [[ -x $out/busybox/bin/busybox ]] || unpack busybox-static $out/busybox
    rm -rf $root && mkdir -p $root/{bin,sbin,usr/sbin,proc,sys,dev,run,tmp,etc}
    install -m 755 $out/busybox/bin/busybox $root/bin
    install -m 755 dist/kernels/init $root/init
    ln -s /bin/busybox $root/sbin/modprobe
    ln -s /usr/sbin/dash $root/bin/sh # busybox's shell would run its built-in ip
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
    [[ -e $place/release && $(cat "$place/made-of" 2>/dev/null) == "$2 $modules" ]] && return
    rm -rf "$place" && mkdir -p "$place"
    say "$2 is downloaded"
    unpack "$2" "$place/all"
    all=$place/all root=$place/root release=${2#linux-image-}
    local from=$all/lib/modules/$release to=$root/lib/modules/$release
    [[ -d $from ]] || { mkdir -p "$all/lib" && mv "$all/usr/lib/modules" "$all/lib/"; }
    # depmod below needs plain modules. It makes the list of dependencies, which the package lacks until it is installed.
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
    # A module that is built in, or that this kernel lacks, has no file and is not listed.
    for module in $modules; do
        [[ -z $(find "$to" -name "$(sed 's/_/[_-]/g' <<<"$module").ko") ]] || echo "$module"
    done >"$root/lib/modules/wanted"
    mv "$all/boot/vmlinuz-$release" "$place/vmlinuz"
    archive "$root" >"$place/modules.cpio"
    rm -rf "$all" "$root"
    echo "$2 $modules" >"$place/made-of"
    echo "$release" >"$place/release"
}

# Boots a kernel, runs one command on it, and exits with the command's exit code. The time limit here is for what the limit in
# the guest does not cover, such as a kernel that does not boot. Runs in a subshell.
machine() { # version, command; seconds, memory, files and gather are the options
    local place=$out/$1 run=$out/runs.$$/$BASHPID code=0 waited=0 child children
    mkdir -p "$run/root/task" "$run/root/usr/bin"
    trap 'kill $guest 2>/dev/null || true; rm -rf '"$run"'; rmdir '"${run%/*}"' 2>/dev/null || true' EXIT
    printf 'export OUT=/out TASK=/task\n%s\n' "$2" >"$run/root/task/command"
    [[ ${#files[@]} == 0 ]] || cp "${files[@]}" "$run/root/task" || exit 3
    [[ ! -e $run/root/task/stillthere-lab ]] || mv "$run/root/task/stillthere-lab" "$run/root/usr/bin/stillthere"
    cat $out/tools.cpio "$place/modules.cpio" <(archive "$run/root") >"$run/initramfs"
    truncate -s 64M "$run/disk"
    # cat: qemu opens /dev/stdout again, which works with a pipe, but not with everything that our standard output may be.
    # mitigations=off: in an emulated machine they only cost time.
    timeout $((seconds + 60)) qemu-system-x86_64 -accel "$accel" -cpu max -smp 2 -m "$memory" \
        -nodefaults -no-user-config -display none -no-reboot \
        -serial file:"$run/console" -chardev file,id=said,path=/dev/stdout,append=on -serial chardev:said \
        -serial file:"$run/code" -drive file="$run/disk",format=raw,if=virtio \
        -kernel "$place/vmlinuz" -initrd "$run/initramfs" \
        -append "console=ttyS0 quiet panic=-1 mitigations=off seconds=$seconds" > >(cat) 2>"$run/trouble" &
    guest=$!
    echo $guest >"$run/pid"
    # How long its threads were ready to run but waited for a processor, because of other load (proc(5), schedstat).
    while [[ -e /proc/$guest ]]; do
        children=$(cat /proc/$guest/task/$guest/children 2>/dev/null) || true
        waited=$(for child in $children; do cat /proc/$child/task/*/schedstat; done 2>/dev/null | awk -v last="$waited" '
            { sum += $2 } END { sum /= 1e9; printf "%.1f", (sum > last ? sum : last) }') || true
        sleep 0.2
    done
    wait $guest || code=$?
    guest=
    if [[ ! -s $run/code ]]; then
        cat "$run/trouble" >&2
        tail -n 15 "$run/console" >&2 || true
        say "the machine with Linux $1 reported no exit code of its command within $seconds s (qemu exited with $code)."
        exit 3
    fi
    # The disk is still empty if its first byte is zero.
    if [[ -n $gather ]]; then
        mkdir -p "$gather"
        [[ -z $(head -c 1 "$run/disk" | tr -d '\0') ]] || tar -xf "$run/disk" -C "$gather"
    fi
    [[ -z $job ]] || printf 'the machine waited for a processor, job %s\t%s of %s s\n' "$job" "$waited" $SECONDS >>"$gather/facts.tsv"
    exit "$(<"$run/code")"
}

kernels=() files=() command= seconds=120 memory=700 gather= guest= job=
while (($# > 0)); do
    case $1 in
        --list) offered; exit ;;
        --kernel | --run | --file | --seconds | --memory | --out)
            (($# >= 2)) || die "$1 needs a value."
            case $1 in
                --kernel) kernels+=("$2") ;;
                --run) command=$2 ;;
                --file) files+=("$2") ;;
                --seconds) seconds=$2 ;;
                --memory) memory=$2 ;;
                --out) gather=$2 ;;
            esac
            shift 2 ;;
        *) die "'$1' is no option; the options are --kernel, --run, --file, --seconds, --memory, --out and --list." ;;
    esac
done
[[ $seconds =~ ^[1-9][0-9]{0,4}$ && $memory =~ ^[1-9][0-9]{2,5}$ ]] || die "--seconds and --memory (MB) need a number."
[[ $(uname -m) == x86_64 ]] || die "the virtual machines need programs built for x86-64; this machine is $(uname -m)."
command -v apt-cache >/dev/null && command -v dpkg-deb >/dev/null || die "the kernels are packages of Debian, but this machine has no apt-get."
dist/needs.sh qemu-system-x86_64 cpio xz ip nft -- tc ss strace dash
mkdir -p $out
make_tools
if [[ -n $command ]]; then
    [[ ${#kernels[@]} == 1 ]] || die "--run needs exactly one --kernel."
    version=${kernels[0]}
    [[ -e $out/$version/release ]] || { package=$(package_of "$version") && make_kernel "$version" "$package"; }
    [[ ! -e target/static/stillthere-lab ]] || files+=(target/static/stillthere-lab)
    (machine "$version" "$command")
    exit
fi

dist/static.sh lab >&2
[[ ${#kernels[@]} != 0 ]] || read -r -a kernels <<<"${KERNELS:-$(offered | awk '{ printf "%s ", $1 }')}"
[[ ${#kernels[@]} != 0 ]] || die "this machine's package lists offer no kernel. 'apt-get update', as root, renews them."
for version in "${kernels[@]}"; do package=$(package_of "$version") && make_kernel "$version" "$package"; done
files=(target/static/stillthere-lab dist/kernels/start dist/kernels/crowd)
results=$out/results columns=()
rm -rf $results $out/bin && mkdir -p $results $out/bin
install -m 755 target/static/stillthere-lab $out/bin/stillthere
# All machines and jobs end with this script, however it ends.
trap 'kill $(cat $out/runs.$$/*/pid 2>/dev/null) $(jobs -p) 2>/dev/null || true; wait; rm -rf $out/runs.$$' EXIT
trap 'exit 130' INT TERM HUP

# This machine's own kernel, without a virtual machine.
here() { # command
    mkdir -p "$gather"
    OUT=$PWD/$gather TASK=$PWD/dist/kernels PATH=$PWD/$out/bin:$PATH timeout "$seconds" sh -c "$1" 2>&1
}
name_of() { if [[ $1 == here ]]; then uname -r; else cat "$out/$1/release"; fi; } # the release that the kernel reports
run_job() { # kernel, or here; name, seconds, command
    local version=$1 began=$SECONDS code=0 column log
    job=${2%&} seconds=$3 column=$results/$(name_of "$1") log=$results/$1-${2%&}.log gather=$results/$1-${2%&}
    if [[ $version == here ]]; then here "$4"; else (SECONDS=0 && machine "$version" "$4"); fi >"$log" || code=$?
    # Exit code 1: a promise was broken or a scene could not be played. The table shows that.
    ((code <= 1)) || printf 'job %s\tnot done (%s)\n' "$job" "$code" >>"$gather/facts.tsv"
    ((code == 0)) || touch "$results/broken"
    mv "$gather"/*.json "$column" 2>/dev/null || true
    cat "$gather/facts.tsv" >>"$column/facts.tsv" 2>/dev/null || true
    say "Linux $version, $job: $(grep -E 'scenes kept their promise' "$log" || tail -n 1 "$log") ($((SECONDS - began)) s, exit code $code)"
}
[[ $(id -u) == 0 ]] && kernels+=(here) || say "this machine's own kernel is left out: running the lab on it needs root."
for version in "${kernels[@]}"; do columns+=("$results/$(name_of "$version")"); done
mkdir -p "${columns[@]}"
beside=()
for version in "${kernels[@]}"; do
    while read -r name limit command; do
        [[ $name != *'&' ]] || { run_job "$version" "$name" "$limit" "$command" </dev/null & beside+=($!); }
    done < <(list)
done
run_jobs() { # kernel, or here: one job after another
    local name limit command
    while read -r name limit command; do
        [[ $name == *'&' ]] || run_job "$1" "$name" "$limit" "$command" </dev/null
    done < <(list)
}
# One kernel for each processor, because setting up a scene keeps a processor busy. In the background, because bash handles signals
# during `wait`, but not while a command runs in the foreground.
rows=()
for version in "${kernels[@]}"; do
    ((${#rows[@]} < $(nproc))) || { wait "${rows[0]}"; rows=("${rows[@]:1}"); }
    run_jobs "$version" & rows+=($!)
done
for one in "${rows[@]}"; do wait "$one"; done
say 'waiting for the jobs that run beside the others'
for one in "${beside[@]}"; do wait "$one"; done
target/static/stillthere-lab lab compare "${columns[@]}" >$out/tables.md
sed -e "s/DATE/$(date -u '+%-d %B %Y')/; s/QEMU/$(qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version \([0-9.]*\).*/QEMU \1/p')/" \
    -e "s/ACCEL/$accel/; /^TABLES$/r $out/tables.md" -e '/^TABLES$/d' dist/kernels/page.md >$out/kernels.md
mv $out/kernels.md docs/kernels.md
say "docs/kernels.md is written"
[[ ! -e $results/broken ]] || die "a promise was broken or a job was not done; the logs are in $results."

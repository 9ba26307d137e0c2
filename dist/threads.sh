#!/bin/sh
# What 5 000 peers cost that are connected and say nothing, each asked once: with a thread for each (the course's second server), and
# with one thread that is told who is ready (the fifth). `make threads` runs this. It needs a limit of 11 000 descriptors.
#
# The figures are those of /proc: VmRSS, VmSize and Threads of /proc/PID/status; and KernelStack and PageTables of
# /proc/meminfo, before and after. Those two count the whole machine, so they are good for tens of MiB, not for one.
set -u
cd "$(dirname "$0")/.." || exit 1
peers=${PEERS:-5000}
# shellcheck disable=SC3045 # dash and busybox have it, too
ulimit -n 11000 2>/dev/null || { echo "the limit of descriptors, $(ulimit -n), is too low: ulimit -n 11000" >&2; exit 1; }
load=target/release/stillthere
server=
trap '[ -n "$server" ] && kill "$server" 2>/dev/null' EXIT INT TERM

status() { sed -n "s/^$1:[[:space:]]*\([0-9]*\).*/\1/p" "/proc/$server/status"; }
machine() { sed -n "s/^$1:[[:space:]]*\([0-9]*\).*/\1/p" /proc/meminfo; }

printf '%-18s %8s %12s %12s %14s %14s\n' server threads 'VmRSS, MiB' 'VmSize, MiB' 'stacks, MiB' 'tables, MiB'
for example in 02_a_thread_each 05_to_the_end; do
    address=127.0.0.1:${PORT:-7177}
    stacks=$(machine KernelStack) tables=$(machine PageTables)
    target/release/examples/$example "$address" >/dev/null &
    server=$!
    sleep 1
    # It opens the connections, asks each once, and holds them.
    $load load "$address" --connections "$peers" --active "$peers" --rate $((peers / 4)) --size 6 --time 6s --grace 5s >target/threads.log 2>&1 &
    asks=$!
    sleep 7
    printf '%-18s %8s %12s %12s %14s %14s\n' $example "$(status Threads)" $(($(status VmRSS) / 1024)) \
        $(($(status VmSize) / 1024)) $((($(machine KernelStack) - stacks) / 1024)) $((($(machine PageTables) - tables) / 1024))
    wait $asks
    kill "$server"
    wait "$server" 2>/dev/null
    server=
    sleep 2
done

#!/usr/bin/env bash
# Fails if the library alone (`--no-default-features`) depends on more than it promises to.
set -euo pipefail
cd "$(dirname "$0")/.."
allowed='libc log mio rustix slab socket2'
has=$(${CARGO:-cargo} tree --locked --no-default-features --edges normal --depth 1 --prefix none --format '{p}' |
    tail -n +2 | cut -d' ' -f1 | sort | xargs)
[[ $has == "$allowed" ]] && exit
echo "The library alone depends on: $has" >&2
echo "It may depend on:             $allowed" >&2
echo 'Make what is new optional, and have a feature ask for it (Cargo.toml).' >&2
exit 1

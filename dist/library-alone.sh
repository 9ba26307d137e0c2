#!/usr/bin/env bash
# Fails unless the library alone (`--no-default-features`) depends on exactly these crates.
set -euo pipefail
cd "$(dirname "$0")/.."
allowed='libc log mio rustix slab socket2'
has=$(${CARGO:-cargo} tree --locked --no-default-features --edges normal --depth 1 --prefix none --format '{p}' |
    tail -n +2 | cut -d' ' -f1 | sort | xargs)
[[ $has == "$allowed" ]] && exit
echo "The library alone depends on: $has" >&2
echo "It should depend on:          $allowed" >&2
echo 'Make a new dependency optional and let a feature enable it (Cargo.toml); if one is gone, change this list.' >&2
exit 1

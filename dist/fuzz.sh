#!/usr/bin/env bash
# Runs each target of the fuzzer for a while, or those that are named: `dist/fuzz.sh command_line`. FUZZ_SECONDS is how long (60).
#
# It begins with fuzz/corpus/, and keeps what it finds new in target/fuzz-corpus/: the corpus in the repository stays small, and is
# read by `make test`, too. What fails is written to fuzz/artifacts/; mend it, and move that file to fuzz/corpus/.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
export PATH="$PWD/target/tools/bin:$PATH"

if ! command -v cargo-fuzz >/dev/null; then
    echo 'cargo-fuzz is not installed; it is built into target/tools' >&2
    $cargo install cargo-fuzz --locked --root target/tools --target-dir target/tools/build
fi

# Words that the fuzzer would hardly find by itself.
words() {
    case $1 in
        configuration) sed -n 's/.*name: "\([a-z-]*\)".*/"\1 "/p' src/cli/serve_options.rs | sort -u ;;
        command_line) sed -n 's/.*name: "\([a-z-]*\)".*/"--\1"/p' src/cli/*_options.rs | sort -u ;;
    esac
    cat "fuzz/$1.dict"
}

mkdir -p target/fuzz-corpus
for target in ${*:-$($cargo fuzz list)}; do
    mkdir -p "target/fuzz-corpus/$target"
    words "$target" >"target/fuzz-corpus/$target.dict"
    # Without a sanitizer: they look for faults of unsafe code, and need a nightly compiler.
    $cargo fuzz run --sanitizer none --target-dir target/fuzz "$target" "target/fuzz-corpus/$target" "fuzz/corpus/$target" -- \
        -dict="target/fuzz-corpus/$target.dict" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=20 -max_len=40000 \
        -print_final_stats=1 -verbosity=1
done

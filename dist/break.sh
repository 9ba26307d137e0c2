#!/bin/sh
# `make break N=3`: breaks invariant 3 of docs/architecture.md in a copy of the tree, by docs/course/break/3.patch, and runs the test that
# then fails. `make break N=all` does so with every one of them.
#
# Exit code 0: the test failed, as it should. 1: it passed, or could not be run: then the invariant is not guarded any more.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
copy=$root/target/break/tree
numbers=${1:-}
case $numbers in
    '') echo 'Which one? make break N=3, or N=all. They are:' >&2
        sed -n 's/^Invariant: /    &/p' docs/course/break/*.patch | sort -t: -k2 -n >&2
        exit 2 ;;
    all) numbers=$(find docs/course/break -name '*.patch' | sed 's|.*/||; s|\.patch$||' | sort -n) ;;
esac

# The tree as it is now, without what was built. Files that did not change keep their times, so they are not compiled again.
copy_tree() {
    mkdir -p "$copy"
    for what in src tests benches examples Cargo.toml Cargo.lock build.rs README.md docs dist fuzz; do
        [ -e "$what" ] && cp -R -p -- "$what" "$copy/"
    done
}

code=0
for number in $numbers; do
    patch=$root/docs/course/break/$number.patch
    [ -f "$patch" ] || { echo "there is no invariant $number: $patch is missing" >&2; exit 2; }
    copy_tree
    sed -n '1,/^---/{/^---/!p;}' "$patch"
    patch --quiet --force --strip 1 --directory "$copy" --input "$patch" || {
        echo "docs/course/break/$number.patch does not fit any more: the source around it has changed" >&2
        exit 1
    }
    # The files that were patched must look new, and do so again when the next copy has put them back.
    sed -n 's/^+++ b\///p' "$patch" | while read -r file; do touch "$copy/$file"; done
    run=$(sed -n 's/^Test: //p' "$patch")
    echo "\$ $run"
    (cd "$copy" && CARGO_TARGET_DIR=$root/target/break/build RUST_BACKTRACE=0 timeout 900 sh -c "$run") >"$root/target/break/$number.log" 2>&1
    result=$?
    if [ $result != 0 ] && grep -q 'test result: FAILED' "$root/target/break/$number.log"; then
        sed -n '/^failures:$/,/^test result/p' "$root/target/break/$number.log" | head -40
        echo "Invariant $number is broken, and its test has failed, as it should."
    elif [ $result = 0 ]; then
        code=1
        echo "Invariant $number is broken, and its test has NOT failed: target/break/$number.log" >&2
    else
        code=1
        tail -20 "$root/target/break/$number.log" >&2
        echo "The test of invariant $number could not be run: target/break/$number.log" >&2
    fi
    # What was patched is put back, as new.
    sed -n 's/^+++ b\///p' "$patch" | while read -r file; do cp -- "$file" "$copy/$file"; done
done
exit $code

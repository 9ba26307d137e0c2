#!/bin/sh
# Everything that publishing the crate does, but the upload: `dist/publish-try.sh`. The crate is packed and built as the registry's
# users will build it. Any warning is a failure.
set -eu
cd "$(dirname "$0")/.."

log=target/publish-try.log
mkdir -p target
"${CARGO:-cargo}" publish --dry-run --locked "$@" 2>&1 | tee "$log"
# Its last line says that nothing was uploaded. Anything else that begins like this is about the crate.
if grep '^warning' "$log" | grep -v '^warning: aborting upload due to dry run$' || ! grep -q 'due to dry run' "$log"; then
    echo 'publish-try: see above' >&2
    exit 1
fi
if ! grep -q '^repository = ' Cargo.toml; then
    echo 'publish-try: Cargo.toml names no repository. crates.io makes the relative links of the README absolute by it: without it, none'
    echo '    of its pictures is shown there. Set it before the crate is published.'
fi

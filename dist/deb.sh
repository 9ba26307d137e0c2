#!/bin/sh
# Makes the Debian package: `dist/deb.sh`; it is target/deb/stillthere_VERSION_ARCHITECTURE.deb. REVISION=2 makes a later one of
# the same version, BINARY=FILE packs that program instead of building one, OUT=DIRECTORY has the package elsewhere. Who makes it is
# its maintainer: DEBFULLNAME and DEBEMAIL, else git's user.
#
# debhelper makes the package, and not cargo-deb: Debian has it, lintian is written for what it makes, and its scripts enable a unit
# as Debian's administrators expect. cargo-deb would have to be built first, and knows only how to restart a service. The program
# itself is built by cargo outside of that, because debhelper has no access to crates.
#
# The same commit and compiler make the same package, wherever the source lies: its paths are not in the program, and all times are
# that of the commit.
set -eu
cd "$(dirname "$0")/.."
here=$PWD
out=${OUT:-target/deb}

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
revision=${REVISION:+"+$REVISION"}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
name=${DEBFULLNAME:-$(git config user.name || echo 'The stillthere authors')}
email=${DEBEMAIL:-$(git config user.email || echo "$(id -un)@$(uname -n)")}

if [ -z "${BINARY:-}" ]; then
    RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$here=/stillthere --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
        "${CARGO:-cargo}" build --release --locked --target-dir target/deb/build
    BINARY=target/deb/build/release/stillthere
fi

tree=$out/tree
rm -rf "$tree"
mkdir -p "$tree"
cp -r dist/debian "$tree/debian"
cp -r dist/manual "$tree/manual"
cp "$BINARY" "$tree/stillthere"
cp dist/alerts.yml dist/grafana.json dist/stillthere.conf "$tree/"
cp dist/systemd/stillthere.service dist/systemd/stillthere.socket "$tree/debian/"
# The pages for who runs it: docs/operate.md, and what it links to.
mkdir "$tree/docs"
for one in operate.md $(sed -n 's/^| .*](\([a-z]*\.md\)) |$/\1/p' docs/operate.md) events.schema.json; do
    [ ! -e "docs/$one" ] || cp "docs/$one" "$tree/docs/"
done
sed -i "s|@MAINTAINER@|$name <$email>|" "$tree/debian/control"

# The changes, as Debian writes them: lines of 78 characters.
{
    echo "stillthere ($version$revision) unstable; urgency=medium"
    echo
    sed -n '/^## /,$p' CHANGELOG.md | sed '1d; /^## /,$d; /^$/d' | awk '
        function tell() { if (entry != "") { print entry; entry = "" } }
        /^- / { tell(); entry = substr($0, 3); next }
        { sub(/^ +/, ""); entry = entry " " $0 }
        END { tell() }' | while IFS= read -r entry; do
        printf '%s\n' "$entry" | fold -s -w 74 | sed '1s/^/  * /; 2,$s/^/    /; s/ *$//'
    done
    echo
    echo " -- $name <$email>  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
} >"$tree/debian/changelog"

(cd "$tree" && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps >../build.log 2>&1) || {
    tail -20 "$out/build.log" >&2
    exit 1
}
rm -rf "$tree"
file=$out/stillthere_$version${revision}_$(dpkg --print-architecture).deb
echo "$file: $(stat -c %s "$file") bytes"

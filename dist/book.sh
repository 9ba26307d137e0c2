#!/bin/sh
# Builds the course as a book, target/book/docs/course/index.html, with mdBook, which is installed into target/tools by cargo where it is
# missing (Debian has no package). Fails on a warning, and on a link that leads nowhere.
#
# The text links to files of the repository, so that it reads well on a forge. Those files are copied to where the book's links expect them.
set -u
cd "$(dirname "$0")/.." || exit 1
export PATH="$PWD/target/tools/bin:$PATH"
if ! command -v mdbook >/dev/null; then
    echo 'mdBook is installed into target/tools: cargo install mdbook' >&2
    ${CARGO:-cargo} install --quiet --locked --no-default-features --root target/tools --target-dir target/tools/build mdbook || exit 1
fi
book=target/book
rm -rf "$book"
log=$(RUST_LOG=info mdbook build docs/course 2>&1)
code=$?
echo "$log"
[ $code = 0 ] || exit 1
if echo "$log" | grep -Eq 'WARN|ERROR'; then
    echo 'mdBook has warned: see above' >&2
    exit 1
fi

# mdBook turns a link to any page into one to a page of HTML. Those outside of the course stay what they are.
for page in "$book"/docs/course/*.html; do
    sed -i 's|href="\(\.\./[A-Za-z0-9_./-]*\)\.html\([#"]\)|href="\1.md\2|g; s|href="README\.html|href="index.html|g' "$page"
done
links=$(cat "$book"/docs/course/*.html | grep -o 'href="[^"]*"' | sed 's/^href="//; s/"$//; s/#.*//' | sort -u)
code=0
for link in $links; do
    case $link in http*: | http* | data:* | javascript:*) continue ;; esac
    target=$book/docs/course/$link
    case $link in
        ../*)
            from=docs/course/$link
            if [ -f "$from" ]; then
                mkdir -p "$(dirname "$target")"
                cp -- "$from" "$target"
            elif [ -d "$from" ]; then
                mkdir -p "$target"
            fi ;;
    esac
    [ -e "$target" ] || { echo "a link leads nowhere: $link" >&2; code=1; }
done
[ $code = 0 ] && echo "the book: $book/docs/course/index.html"
exit $code

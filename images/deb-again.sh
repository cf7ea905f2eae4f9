#!/bin/sh
# Builds the packages once more, from a copy of the source in another place and without a compiler's cache, and compares
# them byte by byte with those of bin/ and bin/arm64/.
#
#   images/deb-again.sh VERSION      after make deb
set -eu
umask 022
cd "$(dirname "$0")/.."
version=$1
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source"
git ls-files -z --cached --others --exclude-standard | tar --null -T - -c .git | tar -x -C "$work/source"
mkdir -p "$work/source/.cache"
ln -s "$PWD/.cache/bin" "$work/source/.cache/bin"
images/deb.sh "$version" "$work/first" >/dev/null

GOCACHE=$work/gocache make --no-print-directory -C "$work/source" build build-arm64 VERSION="$version" >"$work/log" 2>&1 || {
	tail -n 20 "$work/log" >&2
	exit 1
}
"$work/source/images/deb.sh" "$version" "$work/again" >/dev/null
for file in "$work"/first/*.deb; do
	cmp "$file" "$work/again/${file##*/}"
	echo "the same bytes: ${file##*/}"
done

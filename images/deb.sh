#!/bin/sh
# Makes the Debian packages of both programs, for amd64 and arm64, from bin/ and bin/arm64/, the same bytes for the same
# commit:
#
#   images/deb.sh VERSION [FOLDER]
#
# VERSION is what the programs say of themselves; FOLDER is dist/ where it is not given. MAINTAINER in the environment, as
# "Name <address>", is whom the packages name as theirs.
set -eu
umask 022
cd "$(dirname "$0")/.."

version=$1
out=${2:-dist}
: "${MAINTAINER:?is not set: who answers for the packages, as 'Name <address>' (make deb sets it)}"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

# debian_version turns what git describe says into a Debian version: v1.2.3 is 1.2.3, five commits after it are
# 1.2.3+5.gabc1234, and a commit before any release is older than each of them.
debian_version() {
	case $1 in
	v[0-9]*) printf '%s\n' "$1" | sed 's/^v//; s/-dirty$/+dirty/; s/-rc/~rc/; s/-/+/; s/-/./g' ;;
	*) printf '0~%s.%s\n' "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S)" "$1" | sed 's/-/+/g' ;;
	esac
}
DEB_VERSION=$(debian_version "$version")

mkdir -p "$out"
STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
for program in linekeeper linekeeper-hq; do
	"bin/$program" manual --date "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)" | gzip -9n >"$STAGE/$program.8.gz"
	for shell in bash zsh fish; do
		"bin/$program" completion "$shell" >"$STAGE/$program.$shell"
	done
	gzip -9n >"$STAGE/$program.changelog.gz" <<-END
		$program ($DEB_VERSION) unstable; urgency=medium

		  * Built from $version. CHANGELOG.md in the source says what changed.

		 -- $MAINTAINER  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
	END
done

export SOURCE_DATE_EPOCH DEB_VERSION MAINTAINER STAGE BIN ARCH
for ARCH in amd64 arm64; do
	case $ARCH in
	amd64) BIN=bin ;;
	arm64) BIN=bin/arm64 ;;
	esac
	for program in linekeeper linekeeper-hq; do
		file=$out/${program}_${DEB_VERSION}_$ARCH.deb
		.cache/bin/nfpm package --config "images/debian/$program.yaml" --packager deb --target "$file" >"$STAGE/nfpm.log" || { cat "$STAGE/nfpm.log" >&2; exit 1; }
		printf '%s: %s bytes\n' "$file" "$(stat -c %s "$file")"
	done
done

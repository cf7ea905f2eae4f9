#!/bin/sh
# Builds the SD card's image once more, from a copy of the source in another place, and compares it with the one of dist/,
# byte by byte; where they differ it says in which partition, and which files.
#
#   images/card-again.sh VERSION          after make image; over the base that is kept
#   images/card-again.sh VERSION base     the base, Debian's root, is made again too: some minutes
#
# Needs root, as images/card.sh does. deb-again.sh shows the same of the programs, without a compiler's cache.
set -eu
umask 022
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
version=$1
first=dist/linekeeper_$version.img

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
differs=0

# files FOLDER lists all that stands in it, with type, owner, mode, time, size, target and content; of links, whose times are lost
# where they are copied out of an image, no time.
files() {
	(
		cd "$1"
		find . ! -type l -printf '%P %y %U:%G %m %TY-%Tm-%Td %TH:%TM:%TS %s\n' -o -printf '%P %y %U:%G %m %l\n' | sort
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum
	)
}

# compare WHAT FOLDER FOLDER says which files differ, those of an initramfs too.
compare() {
	files "$2" >"$work/one"
	files "$3" >"$work/two"
	if diff "$work/one" "$work/two" >"$work/diff"; then
		echo "$1: no file differs"
	else
		echo "$1: these differ:"
		cat "$work/diff"
	fi
}

mkdir -p "$work/source/.cache"
git ls-files -z --cached --others --exclude-standard | tar --null -T - -c .git | tar -x -C "$work/source"
for kept in .cache/bin .cache/qemu-aarch64-static .cache/card-base-*.tar; do
	case ${2:-},$kept in base,*.tar) continue ;; esac
	ln -s "$PWD/$kept" "$work/source/.cache/"
done
make --no-print-directory -C "$work/source" image VERSION="$version" >"$work/log" 2>&1 || {
	tail -n 20 "$work/log" >&2
	exit 1
}
again=$work/source/$first

if [ "${2:-}" = base ]; then
	base=$(images/card-base.sh)
	if cmp -s "$base" "$work/source/.cache/${base##*/}"; then
		echo "base: the same bytes"
	else
		differs=1
		for side in one two; do mkdir "$work/base-$side"; done
		tar -C "$work/base-one" --numeric-owner -xpf "$base"
		tar -C "$work/base-two" --numeric-owner -xpf "$work/source/.cache/${base##*/}"
		compare base "$work/base-one" "$work/base-two"
	fi
fi

if cmp -s "$first" "$again"; then
	echo "the same bytes: $first, $(($(stat -c %s "$first") >> 20)) MiB"
	exit $differs
fi
# part FILE prints number, begin and size of each partition, in MiB.
part() { sfdisk --dump "$1" | sed -n 's/.*img\([0-9]*\) : start= *\([0-9]*\), size= *\([0-9]*\), type=\([^,]*\).*/\1 \2 \3 \4/p' | while read -r n at size type; do echo "$n $((at >> 11)) $((size >> 11)) $type"; done; }
part "$first" >"$work/parts"
part "$again" | diff "$work/parts" - || echo "the table of partitions differs"
while read -r n at size type; do
	[ "$type" != f ] || continue
	for side in one two; do
		case $side in one) image=$first ;; two) image=$again ;; esac
		rm -rf "$work/$side.part" "$work/$side.files"
		dd if="$image" of="$work/$side.part" bs=1M skip="$at" count="$size" conv=sparse status=none
		mkdir "$work/$side.files"
		case $type in
		c) mcopy -s -m -n -i "$work/$side.part" '::*' "$work/$side.files/" ;;
		*) debugfs -R "rdump / $work/$side.files" "$work/$side.part" 2>/dev/null ;;
		esac
	done
	if cmp -s "$work/one.part" "$work/two.part"; then
		echo "partition $n: the same bytes"
	else
		compare "partition $n" "$work/one.files" "$work/two.files"
	fi
done <"$work/parts"
exit 1

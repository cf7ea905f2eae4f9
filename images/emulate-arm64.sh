#!/bin/sh
# Has the kernel run arm64 programs with QEMU's user emulation, in other roots too, and stops it again:
#
#   images/emulate-arm64.sh start FOLDER
#   images/emulate-arm64.sh stop FOLDER
#
# FOLDER remembers what was done; where nothing was, stop does nothing. Needs root. The emulator is downloaded from
# Debian once, and kept in .cache: it has to be the one without libraries, since a root for arm64 has none that it could
# use, and that package cannot be installed beside the others'.
set -eu
cd "$(dirname "$0")/.."
kernel=/proc/sys/fs/binfmt_misc
entry=linekeeper-$$

case $1 in
start)
	emulator=$PWD/.cache/qemu-aarch64-static
	if [ ! -f "$emulator" ]; then
		echo "downloading the emulator, once" >&2
		mkdir -p "$2/emulator"
		(cd "$2/emulator" && apt-get -qq download qemu-user-static >log 2>&1 && dpkg-deb --fsys-tarfile qemu-user-static_*.deb | tar -x ./usr/bin/qemu-aarch64-static) || {
			cat "$2/emulator/log" >&2
			exit 1
		}
		mkdir -p .cache
		mv "$2/emulator/usr/bin/qemu-aarch64-static" "$emulator"
	fi
	if [ ! -f $kernel/register ]; then
		mount -t binfmt_misc binfmt_misc $kernel
		echo $kernel >"$2/binfmt.mounted"
	fi
	# ELF of 64 bits for AArch64 (183), a program or a shared object. F: the kernel opens the emulator now, once for all roots.
	printf '%s' ":$entry:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:$emulator:F" >$kernel/register
	echo "$kernel/$entry" >"$2/binfmt.entry"
	;;
stop)
	[ ! -f "$2/binfmt.entry" ] || echo -1 >"$(cat "$2/binfmt.entry")"
	[ ! -f "$2/binfmt.mounted" ] || umount "$(cat "$2/binfmt.mounted")" || true
	rm -f "$2/binfmt.entry" "$2/binfmt.mounted"
	;;
esac

#!/bin/sh
# Makes the SD card's image for Raspberry Pi 3 and 4 from Debian packages and the recorder's own:
#
#   images/card.sh VERSION [FOLDER]     FOLDER/linekeeper_VERSION.img and .img.zst; FOLDER is dist/
#
# The root's base is kept (images/card-base.sh); the rest takes seconds. Needs root, but no loop device. The
# same base and commit give the same bytes.
set -eu
umask 022
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
version=$1
out=${2:-dist}
if [ "$(id -u)" != 0 ]; then
	echo "the card's image is made as root: its files have many owners, and its arm64 programs are emulated" >&2
	exit 2
fi
base=$(images/card-base.sh)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

# In MiB. A card of 4 GB takes it and 1 GiB of ring.
boot_at=4 boot=252
root_at_a=256 root=1152
root_at_b=$((root_at_a + root))
extended_at=$((root_at_b + root))
data_at=$((extended_at + 4)) data=124
total=$((data_at + data))
disk_id=6c6b0001

work=$(mktemp -d)
trap 'images/emulate-arm64.sh stop "$work"; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
images/deb.sh "$version" "$work/built" >/dev/null
images/emulate-arm64.sh start "$work"
begun=$(date +%s)
said() { printf '%3d s  %s\n' $(($(date +%s) - begun)) "$*"; }

mkdir "$work/root" "$work/boot" "$work/data"
tar -C "$work/root" --numeric-owner -xpf "$base"
said "root unpacked"
tar -C images/card/root --owner=0 --group=0 --mode=u=rwX,go=rX --mtime="@$SOURCE_DATE_EPOCH" -c . | tar -C "$work/root" -xp
cp "$work"/built/linekeeper_*_arm64.deb "$work/root/linekeeper.deb"
# What is mounted for that is gone with it.
# shellcheck disable=SC2016 # expanded by the inner shell
unshare --mount sh -eu -c '
	mount -t proc proc "$1/proc"
	chroot "$1" dpkg --force-unsafe-io -i /linekeeper.deb
	chroot "$1" systemctl --quiet enable linekeeper-card.service linekeeper-slot.service
' sh "$work/root" >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	exit 1
}
rm -rf "$work/root/linekeeper.deb" "$work/root"/var/log/* "$work/root"/var/cache/* "$work/root"/var/lib/dpkg/*-old
rm -f "$work/root/etc/machine-id" && : >"$work/root/etc/machine-id"
said "recorder installed"

# What is written while it runs stands on /data; the root keeps the places.
install -d -m 0755 "$work/data/etc" "$work/data/lib"
cp -a "$work/root/etc/linekeeper" "$work/data/etc/linekeeper"
rm -f "$work/root"/etc/linekeeper/*
install -d -m 0700 "$work/data/etc/network"
install -d -m 0755 "$work/data/lib/systemd"
install -d -m 2755 "$work/data/journal"
chgrp "$(awk -F: '$1 == "systemd-journal" { print $3 }' "$work/root/etc/group")" "$work/data/journal"
cp -a "$work/root/var/lib/linekeeper" "$work/data/lib/linekeeper"

# The firmware's partition. What makes it one of ours is config.txt and boot.scr; the kernel stands in each root.
cp -r "$work/root/boot/firmware/." "$work/boot/"
rm -rf "$work/root"/boot/firmware/* "$work/boot"/vmlinuz* "$work/boot"/initrd* "$work/boot/cmdline.txt"
cp images/card/config.txt "$work/boot/config.txt"
cp "$work/root/usr/lib/u-boot/rpi_arm64/u-boot.bin" "$work/boot/u-boot.bin"
mkimage -A arm64 -T script -C none -n linekeeper -d images/card/boot.cmd "$work/boot/boot.scr" >/dev/null

for tree in root data boot; do
	find "$work/$tree" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
done

# ext4 FOLDER FILE MIB UUID: Debian 13's own mke2fs, emulated, since older ones keep the time at which files were unpacked.
ext4() {
	truncate -s "$3M" "$2"
	.cache/qemu-aarch64-static -L "$work/root" "$work/root/usr/sbin/mke2fs" -q -t ext4 -d "$1" -U "$4" \
		-E "hash_seed=$4,lazy_itable_init=0,lazy_journal_init=0" "$2"
}
ext4 "$work/root" "$work/root.img" $root 6c6b0001-0000-4000-8000-00000000000a
ext4 "$work/data" "$work/data.img" $data 6c6b0001-0000-4000-8000-000000000005
said "file systems made"
truncate -s ${boot}M "$work/boot.img"
mformat -i "$work/boot.img" -F -v LINEKEEPER -N $disk_id ::
(cd "$work/boot" && find . -mindepth 1 -maxdepth 1 | LC_ALL=C sort | while read -r f; do mcopy -s -m -o -i "$work/boot.img" "$f" ::/; done)

mkdir -p "$out"
img=$out/linekeeper_$version.img
rm -f "$img" "$img.zst"
truncate -s ${total}M "$img"
sfdisk --quiet "$img" <<END
label: dos
label-id: 0x$disk_id
start=${boot_at}MiB, size=${boot}MiB, type=c, bootable
start=${root_at_a}MiB, size=${root}MiB, type=83
start=${root_at_b}MiB, size=${root}MiB, type=83
start=${extended_at}MiB, size=$((total - extended_at))MiB, type=f
start=${data_at}MiB, size=${data}MiB, type=83
END
# lay FILE MIB
lay() { dd if="$1" of="$img" bs=1M seek="$2" conv=notrunc,sparse status=none; }
lay "$work/boot.img" $boot_at
lay "$work/root.img" $root_at_a
lay "$work/root.img" $root_at_b
lay "$work/data.img" $data_at
said "image laid out"
zstd -q -6 -T0 --long=31 -f "$img" -o "$img.zst"
cp "$work/root/usr/share/linekeeper-packages" "$img.packages"
said "packed"
printf '%s: %s MiB, %s MiB packed, SHA-256 %s\n' "$img" $total "$(($(stat -c %s "$img.zst") >> 20))" "$(sha256sum <"$img" | cut -d' ' -f1)"

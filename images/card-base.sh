#!/bin/sh
# Makes what every SD card's root has in common, Debian 13 for arm64 with its initramfs, into which images/card/base goes, and
# prints the archive's name. It is made once for what it is made of, and kept in .cache: some minutes, in which
# arm64 programs are emulated, and which need root.
#
#   images/card-base.sh [SUITE]
set -eu
umask 022
cd "$(dirname "$0")/.."
suite=${1:-trixie}

packages=$(sed 's/ *#.*//; /^$/d' images/card/packages | paste -sd ,)
# When the author changed it last: a rebase is no reason to make it anew.
SOURCE_DATE_EPOCH=$(git log -1 --format=%at -- images/card/base images/card/packages images/card-base.sh)
[ -n "$SOURCE_DATE_EPOCH" ] || SOURCE_DATE_EPOCH=0
export SOURCE_DATE_EPOCH
made_of=$( (
	echo "$suite $packages $SOURCE_DATE_EPOCH"
	cat images/card-base.sh
	find images/card/base -type f -print -exec cat {} + | sort
) | sha256sum | cut -c 1-16)
kept=$PWD/.cache/card-base-$suite-$made_of.tar
if [ -f "$kept" ]; then
	echo "$kept"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "the card's root is made as root: its files have many owners, and arm64 programs are emulated while it is made" >&2
	exit 2
fi

work=$(mktemp -d)
trap 'images/emulate-arm64.sh stop "$work"; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
images/emulate-arm64.sh start "$work"
mkdir -p .cache
echo "making the card's root of Debian $suite for arm64, once; some minutes" >&2
# What the initramfs is made with is laid in before the packages come, with times that are nobody's checkout's.
cp -r images/card/base "$work/base"
find "$work/base" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
# shellcheck disable=SC2016 # expanded by mmdebstrap's shell
timeout 7200 mmdebstrap --quiet --skip=check/qemu --dpkgopt=force-unsafe-io --arch=arm64 --variant=minbase \
	--components='main non-free-firmware' --include="$packages" \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='force-confold' \
	--aptopt='Acquire::Retries "3"' \
	--essential-hook='mkdir -p "$1/boot/firmware" "$1/data"; echo linekeeper >"$1/etc/hostname"' \
	--essential-hook="sync-in $work/base /" \
	--customize-hook='printf "127.0.0.1 localhost linekeeper\n::1 localhost\n" >"$1/etc/hosts"' \
	--customize-hook='ln -sf /run/NetworkManager/resolv.conf "$1/etc/resolv.conf"' \
	--customize-hook='chroot "$1" passwd --quiet --lock root' \
	--customize-hook='chroot "$1" systemctl --quiet mask getty.target getty@.service serial-getty@.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer man-db.timer systemd-remount-fs.service NetworkManager-wait-online.service emergency.service rescue.service' \
	--customize-hook='chroot "$1" dpkg-query -W >"$1/usr/share/linekeeper-packages"' \
	--customize-hook='cd "$1/boot" && mv vmlinuz-* vmlinuz && mv initrd.img-* initrd.img && rm -f System.map-* config-* && rm -f "$1/vmlinuz"* "$1/initrd.img"*' \
	--customize-hook='rm -rf "$1/etc/machine-id" "$1/var/lib/dbus/machine-id" "$1"/var/cache/* "$1"/var/log/* "$1"/var/lib/apt/lists/*; touch "$1/etc/machine-id"' \
	"$suite" "$work/root.tar" >"$work/log" 2>&1 || {
	tail -n 30 "$work/log" >&2
	exit 1
}
mv "$work/root.tar" "$kept"
echo "$kept"

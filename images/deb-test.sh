#!/bin/sh
# Tries the packages in a clean Debian 12, as images/deb-test-inside.sh says. Needs root: it makes a Debian root folder and
# boots it as a container of systemd-nspawn. The root is kept in .cache.
#
#   images/deb-test.sh VERSION       after make deb
set -eu
umask 022
cd "$(dirname "$0")/.."
version=$1
if [ "$(id -u)" != 0 ]; then
	echo "deb-test needs root: it installs the packages in a Debian root of its own, and boots it" >&2
	exit 2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the packages need is there before them, since nothing is downloaded while they are tried.
packages=systemd,systemd-sysv,systemd-timesyncd,dbus,udev,man-db,mandoc,bash-completion,zsh,fish,procps,binutils,libopus0,libmp3lame0,libasound2
base=.cache/deb-test-$(printf '%s' "$packages" | sha256sum | cut -c 1-12).tar
if [ ! -f "$base" ]; then
	echo "making a Debian 12 root, once"
	mkdir -p .cache
	mmdebstrap --quiet --variant=minbase --include="$packages" bookworm "$base.part.tar" >"$work/log" 2>&1 || {
		tail -n 20 "$work/log" >&2
		exit 1
	}
	mv "$base.part.tar" "$base"
fi

mkdir "$work/new" "$work/old"
images/deb.sh "$version" "$work/new" >/dev/null

# An older package: another version, and another example configuration, so that an upgrade has something to decide.
for program in linekeeper linekeeper-hq; do
	dpkg-deb -R "$work"/new/${program}_*_amd64.deb "$work/unpacked"
	sed -i 's/^Version: .*/Version: 0~1/' "$work/unpacked/DEBIAN/control"
	echo "# as it was in version 0~1" >>"$work/unpacked/etc/$program/$program.toml"
	dpkg-deb --root-owner-group -b "$work/unpacked" "$work/old/${program}.deb" >/dev/null
	rm -rf "$work/unpacked"
	mv "$work"/new/${program}_*_amd64.deb "$work/new/$program.deb"
done

# unpack FOLDER makes a clean root with the packages and what tries them.
unpack() {
	mkdir "$1"
	tar -C "$1" -xf "$base"
	mkdir "$1/deb-test"
	cp -r "$work/old" "$work/new" images/deb-test-inside.sh "$1/deb-test/"
}

# contain FOLDER ... runs systemd-nspawn with that root, with or without a systemd outside.
contain() {
	set -- --quiet --private-network --directory "$@"
	[ -d /run/systemd/system ] || set -- --register=no --keep-unit "$@"
	SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout --foreground 600 systemd-nspawn "$@"
}

echo "in a root where no systemd runs, as when an image is made:"
unpack "$work/still"
contain "$work/still" --pipe sh -c 'sh /deb-test/deb-test-inside.sh still 2>&1' 2>"$work/console"
rm -rf "$work/still"

echo "in a running Debian 12:"
unpack "$work/running"
cat >"$work/running/etc/systemd/system/deb-test.service" <<'END'
[Unit]
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'sh /deb-test/deb-test-inside.sh running >/deb-test/said 2>&1 && touch /deb-test/well'
TimeoutStartSec=500
END
ln -s ../deb-test.service "$work/running/etc/systemd/system/multi-user.target.wants/"
contain "$work/running" --boot >"$work/console" 2>&1 </dev/null || true
cat "$work/running/deb-test/said" 2>/dev/null || tail -n 20 "$work/console"
if [ ! -f "$work/running/deb-test/well" ]; then
	echo "deb-test: failed" >&2
	exit 1
fi

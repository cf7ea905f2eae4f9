#!/bin/sh
# Tries the packages as images/deb-test-inside.sh says: in a clean Debian 12 where no systemd runs, in one that is booted,
# and, under QEMU's user emulation, in a clean arm64 Debian 13, which is what the SD card's image is made of. Needs root:
# it makes Debian root folders, and runs and boots them as containers of systemd-nspawn. The roots are kept in .cache.
#
#   images/deb-test.sh VERSION       after make deb
set -eu
umask 022
cd "$(dirname "$0")/.."
version=$1
if [ "$(id -u)" != 0 ]; then
	echo "deb-test needs root: it installs the packages in Debian roots of its own, and boots one" >&2
	exit 2
fi

work=$(mktemp -d)
trap 'images/emulate-arm64.sh stop "$work"; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# root ARCHITECTURE SUITE PACKAGE,... prints the archive of a Debian root, which is made where it is not kept yet. What the
# packages need is in it, PACKAGE too, since nothing is downloaded while they are tried.
root() {
	include=systemd,systemd-timesyncd,udev,tzdata,binutils,libopus0,libmp3lame0,$3
	kept=.cache/deb-test-$2-$1-$(printf '%s' "$include" | sha256sum | cut -c 1-12).tar
	if [ ! -f "$kept" ]; then
		echo "making a root of $2 for $1, once" >&2
		mkdir -p .cache
		# Its own look at binfmt_misc wants a package that asks the machine which architectures it runs.
		timeout 1500 mmdebstrap --quiet --skip=check/qemu --dpkgopt=force-unsafe-io --arch="$1" --variant=minbase --include="$include" "$2" "$work/root.tar" >"$work/log" 2>&1 || {
			tail -n 20 "$work/log" >&2
			exit 1
		}
		mv "$work/root.tar" "$kept"
	fi
	printf '%s\n' "$kept"
}

# packages ARCHITECTURE makes $work/ARCHITECTURE/new and old: as the older ones another version, and another example
# configuration, so that an upgrade has something to decide.
packages() {
	mkdir -p "$work/$1/new" "$work/$1/old"
	for program in linekeeper linekeeper-hq; do
		cp "$work"/built/${program}_*_"$1.deb" "$work/$1/new/$program.deb"
		dpkg-deb -R "$work/$1/new/$program.deb" "$work/unpacked"
		sed -i 's/^Version: .*/Version: 0~1/' "$work/unpacked/DEBIAN/control"
		echo "# as it was in version 0~1" >>"$work/unpacked/etc/$program/$program.toml"
		dpkg-deb --root-owner-group -Znone -b "$work/unpacked" "$work/$1/old/$program.deb" >/dev/null
		rm -rf "$work/unpacked"
	done
}

# unpack FOLDER ARCHIVE ARCHITECTURE makes a clean root with the packages and what tries them.
unpack() {
	mkdir "$1"
	tar -C "$1" -xf "$2"
	mkdir "$1/deb-test"
	cp -r "$work/$3/old" "$work/$3/new" images/deb-test-inside.sh "$work/call.wav" "$1/deb-test/"
}

# contain FOLDER ... runs systemd-nspawn with that root, with or without a systemd outside.
contain() {
	set -- --quiet --private-network --directory "$@"
	[ -d /run/systemd/system ] || set -- --register=no --keep-unit "$@"
	SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout --foreground 1200 systemd-nspawn "$@"
}

# still HOW ARCHIVE ARCHITECTURE tries the packages where no systemd runs, as when an image is made.
still() {
	unpack "$work/still" "$2" "$3"
	contain "$work/still" --pipe sh -c "sh /deb-test/deb-test-inside.sh $1 2>&1" 2>"$work/console"
	rm -rf "$work/still"
}

# sound prints a call: voices of the lab, at 8000 Hz, with more silence behind them than a call hangs over.
sound() {
	voices=/usr/share/asterisk/sounds/en_US_f_Allison
	{
		head -c 48000 /dev/zero
		for voice in demo-congrats vm-intro; do tail -c +45 "$voices/$voice.wav"; done
		head -c 400000 /dev/zero
	} >"$work/samples"
	bytes=$(stat -c %s "$work/samples")
	# little NUMBER COUNT prints a number in so many bytes, the lowest first.
	little() {
		n=$1
		for _ in $(seq "$2"); do
			printf '%b' "\\0$(printf %o $((n % 256)))"
			n=$((n / 256))
		done
	}
	printf RIFF && little $((bytes + 36)) 4 && printf 'WAVEfmt ' && little 16 4 && little 1 2 && little 1 2
	little 8000 4 && little 16000 4 && little 2 2 && little 16 2 && printf data && little "$bytes" 4
	cat "$work/samples"
}

mkdir "$work/built"
images/deb.sh "$version" "$work/built" >/dev/null
sound >"$work/call.wav"
packages amd64
packages arm64
amd64=$(root amd64 bookworm systemd-sysv,dbus,man-db,mandoc,bash-completion,zsh,fish,procps,libasound2)

echo "in a root of Debian 12 where no systemd runs, as when an image is made:"
still still "$amd64" amd64

echo "in a root of Debian 13 for arm64, emulated:"
images/emulate-arm64.sh start "$work"
arm64=$(root arm64 trixie libasound2t64)
still emulated "$arm64" arm64

echo "in a running Debian 12:"
unpack "$work/running" "$amd64" amd64
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

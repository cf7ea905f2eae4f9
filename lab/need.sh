#!/bin/sh
# Looks for what the given sets need on this machine; installs what is missing as root or through sudo, and says what;
# without either prints the one line to run and exits 2. Where nothing is missing it uses neither network nor root.
#
#   lab/need.sh build|assets|run|e2e|fault|bench|arm64|lint|lab ...
set -eu

# packages_of SET prints the Debian packages of a set, one a line.
packages_of() {
	case $1 in
	build) printf '%s\n' gcc libc6-dev pkg-config libopus-dev libmp3lame-dev ;;
	assets) command -v npm >/dev/null 2>&1 || printf '%s\n' nodejs npm ;;
	run) printf '%s\n' libasound2-dev asterisk-core-sounds-en-wav ;;
	e2e) printf '%s\n' libasound2-dev asterisk-core-sounds-en-wav asterisk-core-sounds-fr-wav mosquitto chromium python3-cryptography ;;
	fault) printf '%s\n' mosquitto ;;
	bench) printf '%s\n' alsa-utils opus-tools libasound2-dev asterisk-core-sounds-en-wav asterisk-core-sounds-fr-wav asterisk-moh-opsound-wav espeak-ng ffmpeg libspandsp-dev multimon-ng \
		iproute2 curl openssh-client openssh-server rsync rclone mosquitto mosquitto-clients nginx ;;
	arm64) printf '%s\n' gcc-aarch64-linux-gnu libc6-dev-arm64-cross libopus-dev:arm64 libmp3lame-dev:arm64 qemu-user asterisk-core-sounds-en-wav ;;
	lab)
		printf '%s\n' qemu-system-x86 qemu-utils seabios mmdebstrap uidmap busybox-static cpio e2fsprogs kmod xz-utils \
			linux-headers-amd64 linux-source mtools dosfstools libasound2-dev asterisk-core-sounds-en-wav
		;;
	image) printf '%s\n' mmdebstrap mtools fdisk e2fsprogs u-boot-tools zstd ;;
	image-test) printf '%s\n' qemu-system-arm u-boot-qemu device-tree-compiler mtools e2fsprogs fdisk ;;
	deb-test) printf '%s\n' mmdebstrap systemd-container ;;
	lint) printf '%s\n' shellcheck systemd ;;
	*)
		echo "lab/need.sh: no set named $1" >&2
		exit 2
		;;
	esac
}

native=$(dpkg --print-architecture 2>/dev/null || true)

# installed PACKAGE[:ARCHITECTURE] says whether it is there, for this machine's architecture where none is named.
installed() {
	case $1 in *:*) wanted=${1#*:} ;; *) wanted=$native ;; esac
	dpkg-query -W -f='${db:Status-Status} ${Architecture}\n' "${1%:*}" 2>/dev/null | grep -qE "^installed ($wanted|all)\$"
}

# go.mod names the version; an older Go cannot build it, and no package of Debian 12 is new enough.
want=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' "$(dirname "$0")/../go.mod")
have=$(go env GOVERSION 2>/dev/null | sed -n 's/^go\([0-9]*\.[0-9]*\).*/\1/p')
if [ -z "$have" ] || [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)" != "$want" ]; then
	echo "Go $want or newer is needed, and here is ${have:-none}: install it and put its bin folder on PATH" >&2
	exit 2
fi

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "this is not a Debian system: what is needed cannot be looked up. Needed for '$*':" >&2
	for set in "$@"; do packages_of "$set"; done | sort -u | tr '\n' ' ' >&2
	echo >&2
	exit 2
fi

missing=
foreign=
for package in $(for set in "$@"; do packages_of "$set"; done | sort -u); do
	installed "$package" && continue
	missing="$missing $package"
	case $package in *:arm64) foreign=arm64 ;; esac
done
[ -n "$missing" ] || exit 0

install="apt-get update && apt-get install -y --no-install-recommends$missing"
[ -z "$foreign" ] || install="dpkg --add-architecture arm64 && $install"

if [ "$(id -u)" = 0 ]; then
	sudo=
elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
	sudo=sudo
else
	echo "missing:$missing" >&2
	echo "run as root:  sh -c '$install'" >&2
	exit 2
fi

echo "installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! $sudo env DEBIAN_FRONTEND=noninteractive sh -c "$install" >"$log" 2>&1 </dev/null; then
	tail -n 20 "$log" >&2
	echo "installing failed; the line that was run:  $install" >&2
	exit 1
fi

#!/bin/sh
# Checks the units in a staged root: that systemd understands every line of them (systemd-analyze verify), and that their
# sandbox is at least as tight as the threshold written beside each (exposure x 10; 100 is no sandbox).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# The units that ours order themselves after come from the machine's own systemd; the programs from /bin/true, since only
# their place is checked.
mkdir -p "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d" "$root/usr/bin" "$root/etc" "$root/bin"
cp -a /lib/systemd/system/. "$root/usr/lib/systemd/system/"
ln -s usr/lib "$root/lib"
for program in linekeeper linekeeper-hq; do
	cp /bin/true "$root/usr/bin/$program"
	cp "$here/$program.service" "$root/usr/lib/systemd/system/"
	cp "$here/$program.sysusers.conf" "$root/usr/lib/sysusers.d/$program.conf"
done
cp /bin/true "$root/bin/sh"
cp "$here/linekeeper-stick@.service" "$here"/linekeeper-networks.* "$root/usr/lib/systemd/system/"
printf 'root:x:0:0:root:/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\naudio:x:29:\n' >"$root/etc/group"
systemd-sysusers --root="$root" linekeeper.conf linekeeper-hq.conf >/dev/null 2>&1

failed=0
# check UNIT [THRESHOLD]
check() {
	unit=$1 threshold=${2:-}
	# verify exits 0 for many mistakes, but never says anything about a good unit.
	said=$(systemd-analyze verify --root="$root" --man=no --recursive-errors=no "$unit" 2>&1 | grep -F "$unit" || true)
	if [ -n "$said" ]; then
		printf '%s\n' "$said"
		failed=1
	fi
	[ -n "$threshold" ] || return 0
	if ! report=$(systemd-analyze security --offline=true --threshold="$threshold" "$here/$unit" 2>&1); then
		failed=1
	fi
	printf '%s: %s\n' "$unit" "$(printf '%s\n' "$report" | tail -n 1)"
}
check linekeeper.service 15
check linekeeper-hq.service 12
check linekeeper-stick@.service 20
check linekeeper-networks.service 20
check linekeeper-networks.path
exit $failed

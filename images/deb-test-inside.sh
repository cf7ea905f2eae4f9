#!/bin/sh
# Runs in the container that images/deb-test.sh makes: installs, upgrades, removes, purges and installs again, and looks
# at what is there after each. With "running" systemd runs, and so do the units; "still" is without it, and "emulated" too,
# for another architecture: what does not differ there, manuals and completion, is left out.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root
running=false
[ "$1" = running ] && running=true

begun=$(date +%s)
title() { printf '  %3d s  %s\n' "$(($(date +%s) - begun))" "$*"; }
fail() {
	printf 'FAILED: %s\n' "$*"
	$running && journalctl --no-pager -n 30 -u linekeeper -u linekeeper-hq
	exit 1
}
# same WANT GOT WHAT
same() { [ "$1" = "$2" ] || fail "$3: wanted '$1', got '$2'"; }
# mode PATH WANT
mode() { same "$2" "$(stat -c '%a %U %G' "$1")" "mode of $1"; }
# within SECONDS COMMAND ... waits until it succeeds.
within() {
	left=$1
	shift
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ $left -ge 0 ] || fail "not in time: $*"
		sleep 1
	done
}
property() { systemctl show -P "$2" "$1.service"; }
install() { dpkg --force-confold -i "$1/linekeeper.deb" "$1/linekeeper-hq.deb" >/deb-test/dpkg.log 2>&1 || { cat /deb-test/dpkg.log; fail "install $1"; }; }

installed() {
	for name in linekeeper linekeeper-hq; do
		mode /usr/bin/$name '755 root root'
		mode /etc/$name "750 root $name"
		mode /etc/$name/$name.toml "640 root $name"
		mode /var/lib/$name "700 $name $name"
		same enabled "$(systemctl is-enabled $name)" "$name"
		same '' "$(dpkg --verify $name | grep -v '/etc/' || true)" "files of $name that differ"
	done
	same 'linekeeper audio gpio' "$(id -nG linekeeper)" "groups of linekeeper"
	same 'linekeeper-hq' "$(id -nG linekeeper-hq)" "groups of linekeeper-hq"
}

# hardened: the programs load at an address that nobody knows beforehand, nothing that the loader fills in stays
# writable, no stack runs, and they are within the size that is promised.
hardened() {
	for name in linekeeper linekeeper-hq; do
		readelf -hdlW /usr/bin/$name >/tmp/elf
		for mark in 'Type: *DYN' 'FLAGS_1.* NOW .*PIE' GNU_RELRO 'GNU_STACK .* RW  '; do
			grep -q "$mark" /tmp/elf || fail "$name is not hardened: no $mark"
		done
		! grep -q TEXTREL /tmp/elf || fail "$name writes to its own code when it is loaded"
		[ "$(stat -c %s /usr/bin/$name)" -le $((25 << 20)) ] || fail "$name is larger than 25 MiB"
	done
}

libraries() {
	for name in linekeeper linekeeper-hq; do
		wanted=$(dpkg-query -W -f '${Depends}' $name)
		for library in $(objdump -p /usr/bin/$name | sed -n 's/^ *NEEDED *//p'); do
			file=$(ldconfig -p | sed -n "s|^\s*$library .*=> ||p" | head -n 1)
			owner=$(dpkg -S "*/${file##*/}" | head -n 1 | cut -d : -f 1)
			case ", $wanted" in
			*", $owner"*) ;;
			*) fail "$name needs $library, and does not depend on its package $owner" ;;
			esac
		done
	done
}

# leaves COMMAND ... prints each of its commands that does something.
leaves() {
	found=$("$@" --help | sed -n '/^Available Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
	[ -n "$found" ] || echo "$*"
	for word in $found; do
		case $word in help | completion) ;; *) leaves "$@" "$word" ;; esac
	done
}

# told NAME: the manual has each command and option, and completion offers each command.
told() {
	man -E UTF-8 -P cat "$1" >/tmp/manual
	leaves "$1" >/tmp/leaves
	while read -r leaf; do
		grep -qE "^   ${leaf#* }( |\$)" /tmp/manual || fail "man $1 lacks '$leaf'"
		# shellcheck disable=SC2086 # a command and its words
		for option in $($leaf --help </dev/null | sed -n 's/^ *\(-[a-z], \)\{0,1\}\(--[a-z-]*\).*/\2/p'); do
			grep -qE "^       .*$option( |,|\$)" /tmp/manual || fail "man $1 lacks $option of '$leaf'"
		done
		fish -c "complete -C '$leaf'" </dev/null | grep -qE "^${leaf##* }([[:space:]]|\$)" || fail "fish completion of '$leaf'"
	done </tmp/leaves
	[ "$(wc -l </tmp/leaves)" -ge 5 ] || fail "$1 --help names no commands"
}

manuals() {
	for name in linekeeper linekeeper-hq; do
		page=$(man -w $name)
		same "/usr/share/man/man8/$name.8.gz" "$page" "manual of $name"
		same '' "$(man --warnings -E UTF-8 -P cat $name 2>&1 >/dev/null)" "warnings of man $name"
		same '' "$(mandoc -T lint -W warning "$page" 2>&1)" "warnings of mandoc, $name"
		man -P cat $name | grep -q 'check-config FILE' || fail "man $name says nothing"
		bash -c ". /usr/share/bash-completion/bash_completion; _completion_loader $name; complete -p $name" |
			grep -q start_$name || fail "bash completion of $name"
		same "_$name" "$(zsh -c "autoload -U compinit; compinit -u -d /tmp/zcompdump; print \$_comps[$name]")" "zsh completion of $name"
		told $name
	done
}

configurations() {
	for name in linekeeper linekeeper-hq; do
		version=$($name --version)
		same "$name version" "${version% *}" "$name --version"
	done
	linekeeper check-config /etc/linekeeper/linekeeper.toml | grep -q '0 lines, opus, ring of 2048 MiB' || fail "example configuration of the recorder"
	# Every key of it stands there with the value that it has without.
	sed 's/^# \([a-z_]* = \)/\1/' /etc/linekeeper/linekeeper.toml | sed '/^name =/d; /^device =/d; /^port =/d; /^hook =/d; /^country =/d; /^channels =/d; /^sides =/d' >/tmp/every.toml
	linekeeper check-config /tmp/every.toml | grep -q '0 lines, opus, ring of 2048 MiB' || fail "commented keys of the recorder"
	code=0
	said=$(linekeeper-hq check-config /etc/linekeeper-hq/linekeeper-hq.toml 2>&1) || code=$?
	same 2 $code "check-config of an example without names"
	case $said in *'"names": missing'*) ;; *) fail "$said" ;; esac
	sed 's/^# \([a-z_]* = \)/\1/' /etc/linekeeper-hq/linekeeper-hq.toml >/tmp/every-hq.toml
	linekeeper-hq check-config /tmp/every-hq.toml | grep -q 'is well' || fail "commented keys of headquarters"
	systemd-analyze cat-config systemd/journald.conf | grep -q '^SystemMaxUse=64M' || fail "the journal's bound"
	systemd-analyze cat-config systemd/timesyncd.conf | grep -q '^SaveIntervalSec=10min' || fail "the saved clock"
	same '' "$(udevadm test /sys/class/net/lo 2>&1 | grep linekeeper.rules: || true)" "udev's opinion of the rules"
}

# recorded: a call is found in a file, whole, and written in each codec.
recorded() {
	for codec in opus mp3 flac; do
		said=$(linekeeper replay /deb-test/call.wav --json --codec $codec --out /tmp/calls-$codec) || fail "replay in $codec"
		same 1 "$(printf '%s' "$said" | grep -c '"call":')" "calls in $codec"
		same 1 "$(find /tmp/calls-$codec -type f -size +8k | wc -l)" "files of calls in $codec"
	done
}

# unconfigured: headquarters does not run without a name, and the recorder waits for a stick with a bundle, for as long as it
# takes: its watchdog is fed.
unconfigured() {
	for name in linekeeper linekeeper-hq; do
		same inactive "$(systemctl is-active $name || true)" "$name after the first installation"
	done
	systemctl start linekeeper-hq 2>/dev/null && fail "headquarters started without a configuration"
	sleep 3
	same 'failed 2 0' "$(systemctl is-active linekeeper-hq || true) $(property linekeeper-hq ExecMainStatus) $(property linekeeper-hq NRestarts)" "headquarters without a configuration"
	mkdir -p /run/systemd/system/linekeeper.service.d
	printf '[Service]\nWatchdogSec=4\n' >/run/systemd/system/linekeeper.service.d/quick.conf
	systemctl daemon-reload
	systemctl start linekeeper || fail "the recorder does not wait for a bundle"
	sleep 10
	same 'active 0' "$(systemctl is-active linekeeper || true) $(property linekeeper NRestarts)" "the recorder that waits for a bundle"
	case $(property linekeeper StatusText) in 'not set up'*) ;; *) fail "its state: $(property linekeeper StatusText)" ;; esac
	linekeeper status | grep -q 'not set up' || fail "linekeeper status of one that waits"
	systemctl stop linekeeper
	rm -r /run/systemd/system/linekeeper.service.d
	systemctl daemon-reload
}

configured() {
	printf '[[line]]\nname = "front desk"\ndevice = "plughw:CARD=none,DEV=0"\n' >>/etc/linekeeper/linekeeper.toml
	sed -i 's/^# names = .*/names = ["localhost"]/' /etc/linekeeper-hq/linekeeper-hq.toml
	systemctl start linekeeper 2>/dev/null && fail "the recorder started with nobody to seal calls to"
	linekeeper-hq call-key >/var/lib/linekeeper/identity/recipients.txt || fail "whom calls are sealed to"
	chown -R linekeeper-hq:linekeeper-hq /var/lib/linekeeper-hq
	chown linekeeper:linekeeper /var/lib/linekeeper/identity/recipients.txt
	systemctl start linekeeper linekeeper-hq || fail "start with a configuration"
	for name in linekeeper linekeeper-hq; do
		mode /run/$name "755 $name $name"
		same $name "$(ps -o user= -p "$(property $name MainPID)")" "user of $name"
	done
	[ "$(property linekeeper StatusText)" != '' ] || fail "the recorder says nothing of its state"
	linekeeper status --json | grep -q '"front desk"' || fail "linekeeper status"
	journalctl -u linekeeper | grep -q 'mode is different' && fail "the unit and tmpfiles.d differ in a mode"
	for name in linekeeper linekeeper-hq; do
		systemd-analyze security --no-pager --threshold=15 $name.service >/tmp/security || { tail -n 1 /tmp/security; fail "the sandbox of $name"; }
	done
}

# comes_back NAME SIGNAL: a program that dies of it, or stands still and is seen by its watchdog, is started again.
comes_back() {
	before=$(property "$1" MainPID)
	kill -"$2" "$before"
	within 60 sh -c "systemctl is-active $1 && [ \$(systemctl show -P MainPID $1) != $before ] && [ \$(systemctl show -P MainPID $1) != 0 ]"
}

watched() {
	for name in linekeeper linekeeper-hq; do
		comes_back $name KILL
		comes_back $name ABRT # as a panic ends
		mkdir -p /run/systemd/system/$name.service.d
		printf '[Service]\nWatchdogSec=4\n' >/run/systemd/system/$name.service.d/quick.conf
		systemctl daemon-reload
		systemctl restart $name
		sleep 10
		same 0 "$(property $name NRestarts)" "restarts of $name while it is well"
		comes_back $name STOP
		rm -r /run/systemd/system/$name.service.d
		systemctl daemon-reload
		systemctl restart $name
	done
}

fingerprint() { sha256sum /var/lib/linekeeper/identity/device.key /var/lib/linekeeper-hq/authority/* | sha256sum; }

upgraded() {
	before=$(sha256sum /etc/linekeeper/linekeeper.toml /etc/linekeeper-hq/linekeeper-hq.toml)
	kept=$(fingerprint)
	systemctl stop linekeeper-hq
	was=$(property linekeeper MainPID)
	install /deb-test/new
	same "$before" "$(sha256sum /etc/linekeeper/linekeeper.toml /etc/linekeeper-hq/linekeeper-hq.toml)" "configuration after an upgrade"
	[ -f /etc/linekeeper/linekeeper.toml.dpkg-dist ] || fail "the new example is not beside the changed configuration"
	same "$kept" "$(fingerprint)" "identities after an upgrade"
	same active "$(systemctl is-active linekeeper)" "the recorder, which ran, after an upgrade"
	[ "$was" != "$(property linekeeper MainPID)" ] || fail "an upgrade left the old recorder running"
	same inactive "$(systemctl is-active linekeeper-hq || true)" "headquarters, which did not run, after an upgrade"
	systemctl disable --quiet linekeeper-hq
	install /deb-test/new
	same disabled "$(systemctl is-enabled linekeeper-hq || true)" "what was disabled, after an upgrade"
	systemctl enable --quiet linekeeper-hq
}

removed() {
	kept=$(fingerprint)
	before=$(sha256sum /etc/linekeeper/linekeeper.toml)
	dpkg -r linekeeper linekeeper-hq >/dev/null 2>&1 || fail "remove"
	same inactive "$(systemctl is-active linekeeper || true)" "the recorder after removal"
	same '' "$(pgrep -l linekeeper || true)" "processes after removal"
	[ ! -e /usr/bin/linekeeper ] || fail "the program is still there"
	same "$before" "$(sha256sum /etc/linekeeper/linekeeper.toml)" "configuration after removal"
	install /deb-test/new
	installed
	same "$kept" "$(fingerprint)" "identities after removal and installation"
	systemctl start linekeeper linekeeper-hq || fail "start after removal and installation"
	linekeeper status --json | grep -q '"front desk"' || fail "linekeeper status after removal and installation"
}

purged() {
	dpkg -P linekeeper linekeeper-hq >/dev/null 2>&1 || fail "purge"
	for name in linekeeper linekeeper-hq; do
		[ ! -e /etc/$name/$name.toml ] || fail "the configuration outlived a purge"
		[ -d /var/lib/$name ] || fail "a purge removed /var/lib/$name"
		[ ! -e /etc/systemd/system/multi-user.target.wants/$name.service ] || fail "$name is still enabled after a purge"
		mode /var/lib/$name "700 $name $name"
	done
}

title "an older version installed"
install /deb-test/old
installed
hardened
libraries
if [ "$1" != emulated ]; then
	title "manual pages and completion"
	manuals
fi
title "example configurations"
configurations
title "a call replayed"
recorded
if $running; then
	title "units without a configuration"
	unconfigured
	title "units with one"
	configured
	title "killed, and standing still"
	watched
	title "upgraded, with a changed configuration"
	upgraded
	title "removed, and installed again"
	removed
	kept=$(fingerprint)
else
	title "upgraded"
	install /deb-test/new
	installed
fi
title "purged, and installed again"
purged
install /deb-test/new
installed
$running && same "$kept" "$(fingerprint)" "identities after a purge"
title "well"

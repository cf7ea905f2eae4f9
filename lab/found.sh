#!/usr/bin/env bash
# Long targets print what they found last, all of it together:
#
#   lab/found.sh TARGET COMMAND...    runs the command, and keeps what it prints
#   lab/found.sh TARGET               prints what was kept, and forgets it
set -euo pipefail
kept=.cache/found-$1
shift
if [ $# -gt 0 ]; then
	mkdir -p .cache
	"$@" | tee -a "$kept"
	exit
fi
printf '\n==== what was found ====\n\n'
grep -Ev '^(PASS|ok )|^  [0-9]+ kills, |^  [0-9hms.]+: [0-9]+ calls arrived' "$kept" # what only told of progress
rm "$kept"

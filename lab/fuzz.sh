#!/bin/sh
# Runs every fuzzer of the module for the given time each: lab/fuzz.sh 20s
set -eu
said=$(mktemp)
trap 'rm -f "$said"' EXIT
for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "$package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 10x "$package" >"$said" 2>&1 && code=0 || code=$?
		tail -n 12 "$said"
		# The Go command now and then takes the end of the time for a failure; a real one names its input.
		if [ "$code" != 0 ] && { ! grep -q 'context deadline exceeded' "$said" || grep -q 'Failing input' "$said"; }; then
			exit 1
		fi
	done
done

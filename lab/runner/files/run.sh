#!/bin/bash
# Runs the listener in the foreground, anew for as long as it asks for that.
set -u
cd "$(dirname "$(readlink -f "$0")")" || exit 1
cp -f run-helper.sh.template run-helper.sh
chmod +x run-helper.sh
while :; do
	./run-helper.sh "$@"
	code=$?
	[ "$code" -eq 2 ] || exit "$code"
	echo "Restarting runner..."
done

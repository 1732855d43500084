#!/bin/bash
# Waits without depending on the machine's own sleep.
if command -v sleep >/dev/null; then
	exec sleep "$1"
fi
SECONDS=0
while [ "$SECONDS" -lt "$1" ]; do :; done

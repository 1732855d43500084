#!/bin/bash
# What the unit starts: the service's loop, with the search path of .path, and
# a stop that reaches the listener as an interrupt.
cd "$(dirname "$(readlink -f "$0")")" || exit 1
trap 'kill -INT "$service" 2>/dev/null' TERM INT
if [ -f .path ]; then
	PATH=$(cat .path)
	export PATH
fi
./externals/node20/bin/node ./bin/RunnerService.js &
service=$!
# The first wait ends with the signal, the second one with the service.
wait "$service"
trap - TERM INT
wait "$service"

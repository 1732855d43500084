#!/bin/bash
# Installs what the runner's .NET loads, with names that are looked up.
set -eu
[ "$(id -u)" -eq 0 ] || { echo "Need to run with sudo privilege" >&2; exit 1; }
command -v apt-get >/dev/null || { echo "this stand-in knows apt only" >&2; exit 1; }
apt-get update
newest() { apt-cache --names-only search "$1" | awk '{print $1}' | sort -V | tail -n 1; }
packages="libkrb5-3 zlib1g"
for pattern in '^libicu[0-9]+$' '^liblttng-ust[0-9]+(t64)?$' '^libssl3(t64)?$'; do
	packages="$packages $(newest "$pattern")"
done
# shellcheck disable=SC2086
apt-get install -y --no-install-recommends $packages

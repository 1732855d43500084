#!/bin/bash
# Stand-in for the runner's config.sh: what must hold before the listener may
# configure or remove anything, in our own words.
set -u
cd "$(dirname "$(readlink -f "$0")")" || exit 1

# As root the runner's files would be root's, and its jobs too.
if [ "$(id -u)" -eq 0 ] && [ -z "${RUNNER_ALLOW_RUNASROOT:-}" ]; then
	echo "Must not run with sudo" >&2
	exit 1
fi

missing() {
	echo "$1 is missing: the runner's .NET does not start without it." >&2
	echo "Run sudo ./bin/installdependencies.sh to install what is missing." >&2
	exit 1
}

command -v ldd >/dev/null || missing ldd

# Asked of the linker's cache, as the real one does, and so without regard to
# DOTNET_SYSTEM_GLOBALIZATION_INVARIANT. A user's PATH may lack the folder.
ldconfig=$(command -v ldconfig || command -v /sbin/ldconfig) || missing ldconfig
libraries=${LD_LIBRARY_PATH:-}
# shellcheck disable=SC2086
"$ldconfig" -NXv ${libraries//:/ } 2>/dev/null | grep -q libicu || missing libicu

# The search path and the language of this moment are the runner's from now on.
# shellcheck source=/dev/null
. ./env.sh

case "${1:-}" in
remove) exec ./bin/Runner.Listener "$@" ;;
*) exec ./bin/Runner.Listener configure "$@" ;;
esac

#!/bin/sh
# Starts Redis with the published image's contract.
set -e

# Arguments alone, or a configuration file, are the server's.
case "$1" in -* | *.conf) set -- redis-server "$@" ;; esac

if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
	find . \! -user redis -exec chown -h redis '{}' +
	exec gosu redis "$0" "$@"
fi

# Nothing of Redis is for others to read.
[ "$(umask)" != 0022 ] || umask 0077
exec "$@"

#!/bin/sh
# Starts the primary: makes or takes over its data directory, creates the
# database, then becomes the server.
set -eu
. "${0%/*}/lib.sh"

prepare
printf 'CREATE DATABASE IF NOT EXISTS `%s`;\n' "$DB_NAME" >>"$RUN/accounts.sql"
exec mariadbd --defaults-file="$CONFIG" --datadir="$DATA" --socket="$SOCKET" --pid-file="$RUN/mysqld.pid" \
  --server-id="$server_id" --init-file="$RUN/accounts.sql"

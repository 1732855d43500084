#!/bin/sh
# Runs the replica and keeps it in step: copies the primary when there is no
# copy yet or when the primary no longer has the binary logs that are needed,
# then follows it. $RUN/in-step exists while the replica may be read from;
# the readiness probe asks for nothing else.
set -eu
SERVER_ID=2
. "${0%/*}/lib.sh"
: "${PRIMARY_HOST:?}" "${PRIMARY_PORT:=3306}" "${MAX_LAG:=60}" "${LOOK_EVERY:=10}"

# sql runs statements as the system user: those on standard input, unless they
# are given by --execute.
sql() { mariadb --no-defaults --socket="$SOCKET" --user="$(id -un)" --batch --skip-column-names "$@"; }

# primary runs a client program against the primary over verified TLS.
primary() {
  program="$1"
  shift
  MYSQL_PWD="$(cat "$SECRETS/replication-password")" "$program" --no-defaults --host="$PRIMARY_HOST" --port="$PRIMARY_PORT" \
    --user="$REPLICATION_USER" --ssl --ssl-ca="$SECRETS/ca.crt" --ssl-verify-server-cert "$@"
}

tables="SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '$DB_NAME'"

# point says where the primary is. It happens at every start, so a replication
# password that changed in the Secret is used after a restart.
point() {
  sql <<SQL
STOP REPLICA;
CHANGE MASTER TO MASTER_HOST='$PRIMARY_HOST', MASTER_PORT=$PRIMARY_PORT,
  MASTER_USER='$REPLICATION_USER', MASTER_PASSWORD=$(literal replication-password),
  MASTER_SSL=1, MASTER_SSL_CA='$SECRETS/ca.crt', MASTER_SSL_VERIFY_SERVER_CERT=1,
  MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=5;
SQL
}

# seed copies the primary's database as it was at one GTID, from which
# replication goes on. The last statement is only sent after a whole dump, and
# its answer only comes after a whole load: a broken pipe cannot pass for both.
seed() {
  theirs="$(primary mariadb --connect-timeout=10 --batch --skip-column-names --execute="$tables")" || {
    say "waiting for the primary: $1"
    return 1
  }
  ours="$(sql --execute="$tables")" || return 1
  if [ "$theirs" -eq 0 ] && [ "$ours" -gt 0 ]; then
    say "the primary's $DB_NAME is empty and this replica has $ours tables: it may be the only copy, so it stays as it is. Restore the primary, or delete the replica's volume claim"
    return 1
  fi
  say "copying $DB_NAME from $PRIMARY_HOST: $1"
  rm -f "$DATA/.ssg-seeded"
  settle
  point
  answer="$({
    primary mariadb-dump --single-transaction --gtid --master-data=1 --routines --triggers --events --hex-blob \
      --add-drop-database --databases "$DB_NAME" && echo "FLUSH ENGINE LOGS; SELECT 'copied';"
  } | sql)" || true
  if [ "$answer" != copied ]; then
    say "the copy broke off; trying again"
    return 1
  fi
  : >"$DATA/.ssg-seeded"
  settle
  say "copied"
}

field() { printf '%s\n' "$status" | sed -n "s/^ *$1: //p"; }

# look judges one `SHOW REPLICA STATUS`.
look() {
  if [ ! -e "$DATA/.ssg-seeded" ]; then
    again "no copy yet"
    return
  fi
  status="$(sql --column-names --vertical --execute='SHOW REPLICA STATUS')" || return
  if [ "$(field Last_IO_Errno)" = 1236 ]; then
    again "the primary no longer has what comes next ($(field Last_IO_Error))"
  elif [ "$(field Last_SQL_Errno)" != 0 ]; then
    again "what came next could not be applied ($(field Last_SQL_Error))"
  elif [ "$(field Slave_IO_Running)$(field Slave_SQL_Running)" = YesYes ] &&
    [ "$(field Seconds_Behind_Master)" -le "$MAX_LAG" ]; then
    : >"$RUN/in-step"
  else
    rm -f "$RUN/in-step"
  fi
}

again() {
  rm -f "$RUN/in-step"
  if seed "$1"; then sql --execute='START REPLICA'; fi
}

follow() {
  until sql --execute='DO 1' 2>/dev/null; do sleep 1; done
  if [ -e "$DATA/.ssg-seeded" ]; then
    point
    sql --execute='START REPLICA'
  fi
  while :; do
    look || rm -f "$RUN/in-step"
    sleep "$LOOK_EVERY"
  done
}

prepare
rm -f "$RUN/in-step"
mariadbd --defaults-file="$CONFIG" --datadir="$DATA" --socket="$SOCKET" --pid-file="$RUN/mysqld.pid" \
  --server-id="$server_id" --init-file="$RUN/accounts.sql" --skip-slave-start &
server=$!
# A signal ends `wait`, and the server still has pages to write: wait again.
trap 'rm -f "$RUN/in-step"; kill -TERM "$server"' TERM INT
follow &
follower=$!
code=0
while kill -0 "$server" 2>/dev/null; do
  code=0
  wait "$server" || code=$?
done
kill "$follower" 2>/dev/null || true
exit "$code"

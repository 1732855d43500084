# What primary.sh and replica.sh share: the state of the data directory and
# the accounts in it. POSIX sh; sourced, never run.
#
# The image's own entrypoint is not used. It takes `mysql/` for a finished
# first boot, so that a power cut in the middle of one leaves a database that
# serves root without a password; and it gives up when its temporary server
# needs more than 30 s, which a slow disk does.
#
# Three files in the data directory say where it stands:
#
#   .ssg-first-boot   initialisation began and has not ended
#   .ssg-ready        it ended; holds the server's id and MariaDB's series
#   .ssg-seeded       (replica) holds a whole copy of the primary
#
# Each is put there by rename after what it stands for is on the disk.

: "${DATA:=/var/lib/mysql}" "${RUN:=/run/mysqld}" "${SECRETS:=/run/secrets/mysql}"
: "${CONFIG:=/etc/mysql/ssg/server.cnf}" "${SOCKET:=$RUN/mysqld.sock}"
: "${DB_NAME:?}" "${DB_USER:?}" "${REPLICATION_USER:?}" "${ROOT_HOST:=localhost}"

umask 077

# printf throughout: echo is free to read backslashes in what it prints, and
# dash does.
say() { printf 'ssg: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# settle puts what was renamed or written on the disk before going on.
settle() { sync -f "$DATA"; }

# contents lists what is in the data directory and is not ours to move.
contents() {
  for entry in "$DATA"/* "$DATA"/.[!.]*; do
    case "${entry##*/}" in lost+found | .quarantine | .ssg-first-boot) continue ;; esac
    if [ -e "$entry" ]; then printf '%s\n' "$entry"; fi
  done
}

# quarantine sets aside what is in the data directory. Nothing is deleted: the
# owner looks at it, or removes it. The state file stays until the end, so that
# a power cut in between is followed by the rest of the moves.
quarantine() {
  : >"$DATA/.ssg-first-boot"
  settle
  aside="$DATA/.quarantine/$(date -u +%Y%m%dT%H%M%SZ)"
  while [ -e "$aside" ]; do aside="$aside-again"; done
  mkdir -p "$aside"
  contents | while IFS= read -r entry; do mv "$entry" "$aside/"; done
  settle
  say "$1: set aside in $aside, the data directory begins anew"
}

# has_tables asks the file system, because nobody may be able to log in.
has_tables() {
  for table in "$DATA/$DB_NAME"/*.frm; do [ -e "$table" ] && return 0; done
  return 1
}

series() { mariadbd --no-defaults --version | sed -n 's/.*Ver \([0-9]*\.[0-9]*\).*/\1/p'; }

# finish ends a first boot, an adoption or an upgrade; $1 is the server's id.
finish() {
  printf 'server_id=%s\nmade_by=%s\n' "$1" "$(series)" >"$DATA/.ssg-first-boot"
  settle
  mv "$DATA/.ssg-first-boot" "$DATA/.ssg-ready"
  settle
}

# initialise makes an empty data directory whose only account logs in as the
# system user of this container; the accounts with passwords come with every
# start. A random id lets a replica tell this database from one that held its
# place before: with GTIDs of another server it asks for a new copy.
initialise() {
  : >"$DATA/.ssg-first-boot"
  settle
  say "first boot: making the data directory"
  mariadb-install-db --defaults-file="$CONFIG" --datadir="$DATA" --skip-test-db --skip-name-resolve --force \
    --auth-root-authentication-method=socket --auth-root-socket-user="$(id -un)" >"$RUN/install.log" 2>&1 ||
    { cat "$RUN/install.log" >&2; die "mariadb-install-db failed; the next start sets its remains aside and tries again"; }
  finish "${SERVER_ID:-$(($(od -An -N3 -tu4 /dev/urandom) + 1000))}"
}

# private_server starts a server that nobody outside can reach; $private is its
# process. Further arguments are its own.
private_server() {
  mariadbd --defaults-file="$CONFIG" --datadir="$DATA" --skip-networking --skip-log-bin --skip-slave-start \
    --socket="$RUN/private.sock" --pid-file="$RUN/private.pid" "$@" &
  private=$!
  until mariadb-admin --no-defaults --socket="$RUN/private.sock" --user=ping ping >/dev/null 2>&1; do
    # A ping that is refused is answered: the exit status is 0 then.
    kill -0 "$private" 2>/dev/null || return 1
    sleep 1
  done
}

stop_private_server() {
  kill -TERM "$private" 2>/dev/null
  wait "$private" || true
}

# opens reports whether user $1 gets in with the password in the Secret's file $2.
opens() {
  MYSQL_PWD="$(cat "$SECRETS/$2")" mariadb --no-defaults --socket="$RUN/private.sock" \
    --user="$1" --execute='DO 1' "$DB_NAME"
}

# adopt takes over a data directory that another chart or image made, if the
# application gets into its database. Charts that gave the application no user
# of its own let it in as root.
adopt() {
  say "a data directory without our mark: trying the passwords of the Secret"
  opened=no
  if private_server; then
    if opens "$DB_USER" password || opens root root-password; then opened=yes; fi
    stop_private_server
  fi
  if [ "$opened" = yes ]; then
    say "the login works: adopted"
    finish "${SERVER_ID:-1}"
    return
  fi
  # Tables mean that a first boot once ended and people worked here. An empty
  # database in their place would be the worst answer to a lost password.
  if has_tables; then
    die "$DATA holds tables of $DB_NAME, but the Secret's password does not open it: put the old password into the Secret, or start with an empty volume"
  fi
  quarantine "neither our mark, nor a login, nor tables"
}

# prepare leaves a data directory that is whole, and sets $server_id.
prepare() {
  mkdir -p "$RUN"
  if [ ! -e "$DATA/.ssg-ready" ]; then
    if [ -e "$DATA/.ssg-first-boot" ] && [ -n "$(contents)" ]; then
      quarantine "the first boot was interrupted"
    elif [ -d "$DATA/mysql" ]; then
      adopt
    elif [ -n "$(contents)" ]; then
      quarantine "no system tables"
    fi
  fi
  [ -e "$DATA/.ssg-ready" ] || initialise
  . "$DATA/.ssg-ready"
  accounts >"$RUN/accounts.sql"
  # The system tables are brought up to date once per series, as an image of
  # another series may need columns that they lack.
  if [ "$made_by" != "$(series)" ]; then
    say "MariaDB $made_by made this directory, $(series) runs now: upgrading the system tables"
    private_server --init-file="$RUN/accounts.sql" || die "the server does not start on the directory of $made_by"
    mariadb-upgrade --no-defaults --socket="$RUN/private.sock" --user="$(id -un)" >&2 || die "mariadb-upgrade failed; it runs again at the next start"
    stop_private_server
    finish "$server_id"
  fi
}

# literal prints a file of the Secret as an SQL string.
literal() { printf "'%s'" "$(sed -e 's/\\/\\\\/g' -e "s/'/''/g" "$SECRETS/$1")"; }

# account prints what gives $1@$2 the password in the Secret's file $3.
account() {
  printf "CREATE USER IF NOT EXISTS '%s'@'%s' IDENTIFIED BY %s;\n" "$1" "$2" "$(literal "$3")"
  printf "ALTER USER '%s'@'%s' IDENTIFIED BY %s;\n" "$1" "$2" "$(literal "$3")"
}

# accounts prints the statements that the server runs at every start, before it
# answers anybody: so that no moment exists in which root has no password, and
# that a password that changed in the Secret is the password after a restart.
# They stay out of the binary log, for the replica runs its own.
accounts() {
  me="$(id -un)"
  cat <<SQL
SET sql_log_bin=0;
CREATE USER IF NOT EXISTS '$me'@'localhost' IDENTIFIED VIA unix_socket;
GRANT ALL PRIVILEGES ON *.* TO '$me'@'localhost' WITH GRANT OPTION;
DROP USER IF EXISTS ''@'localhost';
SQL
  account root localhost root-password
  # A root from elsewhere is made on request only; one that an adopted directory
  # brings follows the Secret too.
  if [ "$ROOT_HOST" != localhost ]; then
    account root "$ROOT_HOST" root-password
    printf "GRANT ALL PRIVILEGES ON *.* TO 'root'@'%s' WITH GRANT OPTION;\n" "$ROOT_HOST"
  else
    printf "ALTER USER IF EXISTS 'root'@'%%' IDENTIFIED BY %s;\n" "$(literal root-password)"
  fi
  account "$DB_USER" % password
  account "$REPLICATION_USER" % replication-password
  # The last three lines: what streaming needs, and what a copy needs.
  cat <<SQL
GRANT ALL PRIVILEGES ON \`$DB_NAME\`.* TO '$DB_USER'@'%';
GRANT REPLICATION SLAVE, RELOAD, BINLOG MONITOR ON *.* TO '$REPLICATION_USER'@'%';
GRANT SELECT, LOCK TABLES, SHOW VIEW, TRIGGER, EVENT ON \`$DB_NAME\`.* TO '$REPLICATION_USER'@'%';
GRANT SELECT ON mysql.proc TO '$REPLICATION_USER'@'%';
SQL
}

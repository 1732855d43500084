#!/bin/bash
# Starts MariaDB with the published image's contract: what it is told through
# the environment, in which order it sets a new data folder up, and how it takes
# an interrupted set-up for a finished one.
set -eo pipefail
shopt -s nullglob

mysql_note() { printf '%s [Note] [Entrypoint]: %s\n' "$(date -Iseconds)" "$*" >&2; }
mysql_error() { printf '%s [ERROR] [Entrypoint]: %s\n' "$(date -Iseconds)" "$*" >&2; exit 1; }

# setting NAME [DEFAULT]: MARIADB_NAME, else MYSQL_NAME, each also as a file that
# holds the value, ends up in MARIADB_NAME.
setting() {
	local name="MARIADB_$1" value="$2" source found=
	for source in "MARIADB_$1" "MYSQL_$1"; do
		local file="${source}_FILE"
		if [ -n "${!source}" ] && [ -n "${!file}" ]; then
			mysql_error "Both $source and $file are set (but are exclusive)"
		fi
		[ -z "$found" ] || continue
		if [ -n "${!source}" ]; then
			value="${!source}" found=yes
		elif [ -n "${!file}" ]; then
			value="$(<"${!file}")" found=yes
		fi
	done
	export "$name=$value"
	unset "MARIADB_$1_FILE" "MYSQL_$1" "MYSQL_$1_FILE"
}

settings() {
	setting ROOT_HOST '%'
	setting DATABASE
	setting USER
	setting PASSWORD
	setting ROOT_PASSWORD
	setting REPLICATION_USER
	setting REPLICATION_PASSWORD
	setting MASTER_HOST
	setting MASTER_PORT 3306
	setting HEALTHCHECK_GRANTS USAGE
}

# configured NAME ARGUMENTS...: the value that the server itself would use.
configured() {
	local name="$1"
	shift
	"$@" --verbose --help 2>/dev/null | awk -v name="$name" '/^[^ \t]/ && $1 == name { print $2; exit }'
}

quoted() {
	local text="${1//\\/\\\\}"
	printf "'%s'" "${text//\'/\'\'}"
}

ask() { mariadb --protocol=socket -uroot -hlocalhost --socket="$socket" --skip-ssl "$@"; }

# run_sql [ARGUMENTS]: statements on stdin, as root with the password that counts now.
run_sql() { MYSQL_PWD="$root_now" ask --comments --database=mysql "$@"; }

install_data() {
	mysql_note "Initializing database files"
	local auth=()
	[ -z "$MARIADB_ROOT_PASSWORD" ] || auth=(--auth-root-authentication-method=normal)
	mariadb-install-db --datadir="$data" --rpm "${auth[@]}" --skip-test-db \
		--old-mode='UTF8_IS_UTF8MB3' --default-time-zone=SYSTEM --enforce-storage-engine= \
		--skip-log-bin --expire-logs-days=0 --loose-innodb_buffer_pool_load_at_startup=0 \
		--loose-innodb_buffer_pool_dump_at_shutdown=0 </dev/null
	mysql_note "Database files initialized"
}

# The wait is as short as the published image's, which no setting changes: a
# machine that needs longer must fail here too.
start_temporary() {
	mysql_note "Starting temporary server"
	"$@" --skip-networking --default-time-zone=SYSTEM --socket="$socket" --wsrep_on=OFF \
		--expire-logs-days=0 --skip-slave-start --skip-ssl \
		--loose-innodb_buffer_pool_load_at_startup=0 --skip-log-error &
	temporary=$!
	local second
	for second in {30..0}; do
		if ask --database=mysql -e 'SELECT 1' >/dev/null 2>&1; then
			mysql_note "Temporary server started."
			return
		fi
		kill -0 "$temporary" 2>/dev/null || break
		sleep 1
	done
	mysql_error "Unable to start server."
}

stop_temporary() {
	mysql_note "Stopping temporary server"
	kill "$temporary"
	wait "$temporary"
	mysql_note "Temporary server stopped"
}

load_timezones() {
	[ -z "$MARIADB_INITDB_SKIP_TZINFO" ] || return 0
	{
		echo 'SET @@SESSION.SQL_LOG_BIN=0;'
		mariadb-tzinfo-to-sql --skip-write-binlog /usr/share/zoneinfo
	} | run_sql
}

secret() { head -c 64 /dev/urandom | base64 | tr -dc 'a-zA-Z0-9' | head -c "${1:-32}"; }

# A user of the probes' own, whose password only the data folder knows.
healthcheck_users() {
	local password host
	password="$(secret)"
	for host in localhost 127.0.0.1 ::1; do
		echo "CREATE USER IF NOT EXISTS healthcheck@'$host' IDENTIFIED BY $(quoted "$password");"
		echo "GRANT $MARIADB_HEALTHCHECK_GRANTS ON *.* TO healthcheck@'$host';"
	done
	(umask 077 && printf '[mariadb-client]\nport=%s\nsocket=%s\nuser=healthcheck\npassword=%s\n' "$port" "$socket" "$password" >"$data/.my-healthcheck.cnf")
}

# Users that belong to this server alone are kept out of the binary log; what
# follows them is in it, in plain text, as replicas need it.
create_users() {
	local root
	root="$(quoted "$MARIADB_ROOT_PASSWORD")"
	echo "SET @@SESSION.SQL_LOG_BIN=0; SET @@SESSION.SQL_MODE=REPLACE(@@SESSION.SQL_MODE, 'NO_BACKSLASH_ESCAPES', '');"
	# Installing made roots without a password for each name of this machine.
	echo "DROP USER IF EXISTS root@'127.0.0.1', root@'::1';"
	echo "EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS root@', QUOTE(@@hostname));"
	healthcheck_users
	echo "SET PASSWORD FOR root@localhost = PASSWORD($root);"
	if [ -n "$MARIADB_ROOT_HOST" ] && [ "$MARIADB_ROOT_HOST" != localhost ]; then
		echo "CREATE USER root@$(quoted "$MARIADB_ROOT_HOST") IDENTIFIED BY $root;"
		echo "GRANT ALL ON *.* TO root@$(quoted "$MARIADB_ROOT_HOST") WITH GRANT OPTION;"
	fi
	echo "SET @@SESSION.SQL_LOG_BIN=@@GLOBAL.SQL_LOG_BIN;"
	create_application
	create_replication
}

create_application() {
	local database="\`${MARIADB_DATABASE//\`/\`\`}\`" user
	[ -z "$MARIADB_DATABASE" ] || echo "CREATE DATABASE IF NOT EXISTS $database;"
	if [ -n "$MARIADB_USER" ] && [ -n "$MARIADB_PASSWORD" ]; then
		user="$(quoted "$MARIADB_USER")@'%'"
		echo "CREATE USER $user IDENTIFIED BY $(quoted "$MARIADB_PASSWORD");"
		[ -z "$MARIADB_DATABASE" ] || echo "GRANT ALL ON ${database//_/\\_}.* TO $user;"
	fi
}

create_replication() {
	[ -n "$MARIADB_REPLICATION_USER" ] || return 0
	local user password
	user="$(quoted "$MARIADB_REPLICATION_USER")" password="$(quoted "$MARIADB_REPLICATION_PASSWORD")"
	if [ -z "$MARIADB_MASTER_HOST" ]; then
		echo "CREATE USER $user@'%' IDENTIFIED BY $password;"
		echo "GRANT REPLICATION REPLICA ON *.* TO $user@'%';"
	fi
}

# Only told here; the server begins to replicate when it starts for good.
point_to_primary() {
	[ -n "$MARIADB_MASTER_HOST" ] || return 0
	run_sql <<-SQL
		CHANGE MASTER TO MASTER_HOST=$(quoted "$MARIADB_MASTER_HOST"), MASTER_PORT=$MARIADB_MASTER_PORT,
			MASTER_USER=$(quoted "$MARIADB_REPLICATION_USER"), MASTER_PASSWORD=$(quoted "$MARIADB_REPLICATION_PASSWORD"),
			MASTER_CONNECT_RETRY=10;
	SQL
}

# This, like mysql_note and mysql_error, is for scripts that are sourced below.
docker_process_sql() {
	if [ -n "$MARIADB_DATABASE" ]; then
		set -- --database="$MARIADB_DATABASE" "$@"
	fi
	run_sql "$@"
}

initialise_from() {
	local file
	for file; do
		case "$file" in
		*.sh)
			if [ -x "$file" ]; then
				mysql_note "running $file"
				"$file"
			else
				mysql_note "sourcing $file"
				# shellcheck disable=SC1090
				. "$file"
			fi
			;;
		*.sql) mysql_note "running $file"; docker_process_sql <"$file" ;;
		*.sql.gz) mysql_note "running $file"; gunzip -c "$file" | docker_process_sql ;;
		*) mysql_note "ignoring $file" ;;
		esac
	done
}

check_settings() {
	if [ -z "$MARIADB_ROOT_PASSWORD" ] && [ -z "${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-$MYSQL_ALLOW_EMPTY_PASSWORD}" ]; then
		if [ -z "${MARIADB_RANDOM_ROOT_PASSWORD:-$MYSQL_RANDOM_ROOT_PASSWORD}" ]; then
			mysql_error "Database is uninitialized and password option is not specified
	You need to specify one of MARIADB_ROOT_PASSWORD, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD and MARIADB_RANDOM_ROOT_PASSWORD"
		fi
		MARIADB_ROOT_PASSWORD="$(secret)"
		mysql_note "GENERATED ROOT PASSWORD: $MARIADB_ROOT_PASSWORD"
	fi
	if [ -n "$MARIADB_REPLICATION_USER" ] && [ -z "$MARIADB_REPLICATION_PASSWORD" ]; then
		mysql_error "MARIADB_REPLICATION_PASSWORD or MARIADB_REPLICATION_PASSWORD_HASH not found to create replication user"
	fi
	if [ -n "$MARIADB_MASTER_HOST" ] && [ -z "$MARIADB_REPLICATION_USER" ]; then
		mysql_error "For a replica, MARIADB_REPLICATION_USER and MARIADB_REPLICATION are mandatory."
	fi
}

set_up() {
	check_settings
	port="$(configured port "$@")"
	install_data
	start_temporary "$@"
	root_now=
	load_timezones
	create_users | run_sql
	root_now="$MARIADB_ROOT_PASSWORD"
	initialise_from /docker-entrypoint-initdb.d/*
	point_to_primary
	stop_temporary
	mysql_note "MariaDB init process done. Ready for start up."
}

upgrade() {
	[ -n "$MARIADB_AUTO_UPGRADE" ] || return 0
	start_temporary "$@" --skip-grant-tables
	if mariadb-upgrade --check-if-upgrade-is-needed --socket="$socket" --skip-ssl; then
		mysql_note "Starting mariadb-upgrade"
		mariadb-upgrade --upgrade-system-tables --socket="$socket" --skip-ssl
		mysql_note "Finished mariadb-upgrade"
	fi
	stop_temporary
}

main() {
	case "$1" in -*) set -- mariadbd "$@" ;; esac
	case " $* " in *' --help '* | *' -? '* | *' --version '* | *' -V '*) exec "$@" ;; esac
	[ "$1" = mariadbd ] || [ "$1" = mysqld ] || exec "$@"

	mysql_note "Entrypoint script for MariaDB Server started."
	local complaint
	complaint="$("$@" --verbose --help 2>&1 >/dev/null)" ||
		mysql_error "mariadbd failed while attempting to check config
	command was: $* --verbose --help
	$complaint"
	data="$(configured datadir "$@")" data="${data%/}" socket="$(configured socket "$@")"
	mkdir -p "$data" "${socket%/*}"
	if [ "$(id -u)" = 0 ]; then
		find "$data" "${socket%/*}" \! -user mysql -exec chown -h mysql: '{}' +
		mysql_note "Switching to dedicated user 'mysql'"
		exec gosu mysql "$0" "$@"
	fi
	settings
	# The folder exists from the first moments of installing on. Who is killed
	# after that comes back to a server without passwords: the published image
	# does so too, and the chart has to live with it.
	if [ -d "$data/mysql" ]; then
		upgrade "$@"
	else
		set_up "$@"
	fi
	local secret_setting
	for secret_setting in PASSWORD ROOT_PASSWORD REPLICATION_PASSWORD; do
		unset "MARIADB_$secret_setting"
	done
	exec "$@"
}

main "$@"

#!/bin/bash
# Tells whether this MariaDB is well, test by test as the arguments ask:
# settings (--replication_io, …) count for the tests that follow them. The first
# test that fails ends it with 1.
set -o pipefail

file=/var/lib/mysql/.my-healthcheck.cnf
seconds_behind= io= sql= all= name=

client() {
	local defaults=()
	[ ! -r "$file" ] || defaults=(--defaults-extra-file="$file")
	mariadb "${defaults[@]}" --skip-ssl --batch "$@"
}

# Who is refused has been answered: the server takes connections, and not only
# on the socket, as the temporary one of the first boot does.
connect() {
	local answer
	answer="$(client -h 127.0.0.1 --protocol=tcp --skip-column-names -e 'SELECT @@skip_networking' 2>&1)" && [ "$answer" = 0 ] && return
	case "$answer" in *'ERROR 1045'* | *'ERROR 1698'*) return 0 ;; esac
	echo "healthcheck connect failed" >&2
	return 1
}

innodb_initialized() {
	[ "$(client --skip-column-names -e "SELECT 1 FROM information_schema.ENGINES WHERE engine='innodb' AND support IN ('YES', 'DEFAULT', 'ENABLED')")" = 1 ] && return
	echo "healthcheck innodb_initialized failed" >&2
	return 1
}

replication() {
	local status field value seen=
	status="$(client -e "SHOW ${all:+ALL} REPLICA${all:+S} ${name:+'$name'} STATUS\G")" || return 1
	while IFS=: read -r field value; do
		field="${field// /}" value="${value# }"
		case "$field" in
		Slave_IO_Running)
			seen=yes
			[ -z "$io" ] || [ "$value" = Yes ] || { echo "replication: the IO thread says $value" >&2; return 1; }
			;;
		Slave_SQL_Running)
			[ -z "$sql" ] || [ "$value" = Yes ] || { echo "replication: the SQL thread says $value" >&2; return 1; }
			;;
		Seconds_Behind_Master)
			[ -n "$seconds_behind" ] || continue
			if [ "$value" = NULL ] || [ "$value" -gt "$seconds_behind" ]; then
				echo "replication: $value seconds behind" >&2
				return 1
			fi
			;;
		esac
	done <<<"$status"
	[ -n "$seen" ] || { echo "replication: this server is no replica" >&2; return 1; }
}

[ $# -gt 0 ] || { echo "At least one argument required" >&2; exit 1; }
for argument; do
	case "$argument" in
	--defaults-file=* | --defaults-extra-file=*) file="${argument#*=}" ;;
	--datadir=*) file="${argument#*=}/.my-healthcheck.cnf" ;;
	--no-defaults) file= ;;
	--replication_io) io=yes ;;
	--replication_sql) sql=yes ;;
	--replication_all) all=yes ;;
	--replication_name=*) name="${argument#*=}" ;;
	--replication_seconds_behind_master=*) seconds_behind="${argument#*=}" ;;
	--connect) connect || exit 1 ;;
	--innodb_initialized) innodb_initialized || exit 1 ;;
	--replication) replication || exit 1 ;;
	*) echo "Unknown healthcheck option $argument" >&2; exit 1 ;;
	esac
done

# Managed by ssg-bootstrap. Takes a consistent copy of what is backed up and
# cuts it into pieces, on the box: what crosses the link is decided then.
#
# $1 folder  $2 stage  $3 namespace  $4 release  $5 parts, "a b c"  $6 root ("" on a box)  $7 this run
set -eu
umask 077
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin; export PATH
# A unit has no home, and kubectl would keep what it knows of the API in /.
HOME=${HOME:-/root}; export HOME
folder=$1 stage=$2 namespace=$3 release=$4 parts=$5 root=$6
tool=$folder/pieces.pl
rm -rf "$folder/$stage"
mkdir -p "$folder/$stage/pieces" "$folder/$stage/tree"

die() { echo "$*" >&2; exit 1; }

pods() { k3s kubectl get pods -n "$namespace" -l "app.kubernetes.io/instance=$release,app.kubernetes.io/component=$1" -o "$2"; }

# pod prints the first pod of a component that is Ready.
pod() {
	pods "$1" 'jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' |
		awk '$2 == "True" { print $1; exit }'
}

# into runs a command, cuts its output, and notices when it fails.
into() {
	how=$1 part=$2
	shift 2
	rm -f "$folder/$stage/failed"
	{ "$@" || echo "$?" >"$folder/$stage/failed"; } | perl "$tool" "$how" "$folder/$stage" "$part"
	[ ! -e "$folder/$stage/failed" ] || die "$part: it could not be read to its end"
}

# The databases are all but the server's own. Every table is read as it was at
# one moment; the position in the binary log is that moment's.
dump='set -e
db() { command=$1; shift; "$command" --no-defaults --socket=/run/mysqld/mysqld.sock --user="$(id -un)" "$@"; }
names=$(db mariadb --batch --skip-column-names --execute="SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN (\"mysql\", \"information_schema\", \"performance_schema\", \"sys\") ORDER BY schema_name")
[ -n "$names" ] || { echo "the server has no database" >&2; exit 1; }
db mariadb-dump --single-transaction --quick --gtid --master-data=2 --skip-extended-insert --order-by-primary --hex-blob \
	--skip-dump-date --no-autocommit --routines --triggers --events --max-allowed-packet=1G --databases $names
read -r _'

mysql() {
	at=$(pod mysql-primary)
	[ -n "$at" ] || die "mysql: no pod of mysql-primary is Ready"
	# The program ends once it is told that its last line has come: when it ends
	# the kubelet closes the connection, and what a busy box has not taken from it
	# by then is lost, some of the time without a word.
	arrived=$folder/$stage/arrived
	mkfifo "$arrived"
	exec 9<>"$arrived"
	into lines mysql k3s kubectl exec -i -n "$namespace" "$at" -c mariadb -- sh -c "$dump" <&9
	exec 9>&-
	rm -f "$arrived"
}

# archive makes one archive of the paths that are there, below the root given.
archive() {
	part=$1 base=$2
	shift 2
	# 1 says that a file changed while it was read. When a file was last read would
	# make another archive of the same files.
	into blocks "$part" sh -c 'base=$1; shift; tar -C "$base" --sort=name --numeric-owner --xattrs --pax-option=delete=atime,delete=ctime -cf - "$@" || [ $? -eq 1 ]' archive "$base" "$@"
}

k3s_state() {
	data=var/lib/rancher/k3s/server
	db=$root/$data/db/state.db
	[ -s "$db" ] || die "k3s: there is no $db"
	tree=$folder/$stage/tree
	mkdir -p "$tree/$data/db"
	for f in token agent-token node-token cred tls manifests; do
		[ ! -e "$root/$data/$f" ] || cp -a "$root/$data/$f" "$tree/$data/"
	done
	perl "$tool" hold "$db" sh -c 'set -e; cp --preserve=timestamps "$1" "$2/state.db"
		[ ! -e "$1-wal" ] || cp --preserve=timestamps "$1-wal" "$2/state.db-wal"' hold "$db" "$tree/$data/db"
	if [ -e "$root/etc/rancher/node/password" ]; then
		mkdir -p "$tree/etc/rancher/node"
		cp -a "$root/etc/rancher/node/password" "$tree/etc/rancher/node/"
	fi
	# The folders made here are as old as the box's: of a state that did not change
	# the archive is the same to the byte, and nothing of it crosses the link again.
	for d in "$data/db" "$data"; do touch -r "$root/$d" "$tree/$d"; done
	# Only what is ours to make again: an archive of "." would carry the mode of
	# this folder to the root of the box.
	set -- "$data"
	[ ! -e "$tree/etc/rancher/node/password" ] || set -- etc/rancher/node/password "$@"
	archive k3s "$tree" "$@"
	rm -rf "$tree"
}

# The databases' volumes are backed up by what is in them; of these only the
# folder is kept, for k3s does not make it again with the right mode.
volumes() {
	storage=var/lib/rancher/k3s/storage
	[ -d "$root/$storage" ] || return 0
	: >"$folder/$stage/claims"
	# The claims are asked, not the pods: a pod may be away just now. Without an
	# answer their files would be taken as they happen to be.
	k3s kubectl get persistentvolumeclaims -n "$namespace" -l "app.kubernetes.io/instance=$release,app.kubernetes.io/component in (mysql-primary,mysql-replica,rabbitmq)" \
		-o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' >"$folder/$stage/claims" ||
		die "volumes: the cluster does not say which are the databases'"
	set -- --exclude="$storage/*/.ssg-bootstrap-restored"
	while read -r claim; do
		[ -n "$claim" ] || continue
		set -- "$@" --exclude="$storage/*_${namespace}_$claim/*"
	done <"$folder/$stage/claims"
	archive volumes "$root/" "$@" "$storage"
}

runner() {
	set --
	for unit in "$root"/etc/systemd/system/actions.runner.*.service; do
		[ -e "$unit" ] || continue
		at=$(sed -n 's/^WorkingDirectory=//p' "$unit" | tail -n 1)
		for f in .runner .runner_migrated .credentials .credentials_migrated .credentials_rsaparams; do
			[ ! -e "$root$at/$f" ] || set -- "$@" "${at#/}/$f"
		done
	done
	[ $# -eq 0 ] || archive runner "$root/" "$@"
}

tailnet() {
	[ ! -s "$root/var/lib/tailscale/tailscaled.state" ] || archive tailnet "$root/" var/lib/tailscale/tailscaled.state
}

# Two copies of the databases must fit, this one and the last; the last one
# only saves bytes on the link.
room() {
	needed=$(du -sk "$root/var/lib/rancher/k3s/storage" "$root/var/lib/rancher/k3s/server/db" 2>/dev/null | awk '{ n += $1 } END { print int(n * 1.2) + 65536 }')
	for try in 1 2; do
		free=$(df -k --output=avail "$folder" | tail -n 1)
		[ "$free" -lt "$needed" ] || return 0
		[ "$try" = 2 ] || rm -rf "$folder/base"
	done
	die "No space left on device: a copy of the data takes up to $((needed / 1024)) MiB in $folder, and $((free / 1024)) MiB are free"
}

room
for p in $parts; do
	echo "reading $p"
	case $p in
	mysql) mysql ;;
	k3s) k3s_state ;;
	volumes) volumes ;;
	runner) runner ;;
	tailnet) tailnet ;;
	*) die "no such part: $p" ;;
	esac
done
rm -rf "$folder/$stage/tree" "$folder/$stage/claims"
: >"$folder/$stage/done"

# Managed by ssg-bootstrap. Puts data back into the services of a release.
#
# $1 what  $2 folder  $3 namespace  $4 release  $5 root ("" on a box)  $6 this run
set -eu
umask 077
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin; export PATH
# A unit has no home, and kubectl would keep what it knows of the API in /.
HOME=${HOME:-/root}; export HOME
what=$1 folder=$2 namespace=$3 release=$4 root=$5

die() { echo "$*" >&2; exit 1; }
kubectl() { k3s kubectl -n "$namespace" "$@"; }
# now is in seconds since the boot: nobody sets that clock.
now() { read -r up rest </proc/uptime; echo "${up%%.*}"; }
# comes waits half a minute for pods of component $1, and returns at once when
# there are none. kubectl is told when it is so: asked every other second, it is
# started every other second, and a start takes an old processor most of one.
comes() { kubectl wait pod -l "$(labels "$1")" --for="$2" --timeout=30s >/dev/null 2>&1; }
labels() { echo "app.kubernetes.io/instance=$release,app.kubernetes.io/component=$1"; }

writers() {
	for component in app worker; do
		kubectl get deployments -l "$(labels $component)" -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.replicas} {.metadata.annotations.ssg-bootstrap/replicas}{"\n"}{end}' || return
	done
}

# pause stops whoever writes, and notes on the objects how many there were: a
# restore that is cut off is gone on with by another run.
pause() {
	found=$(writers)
	echo "$found" | while read -r name replicas noted; do
		[ -n "$name" ] || continue
		[ -n "$noted" ] || kubectl annotate deployment "$name" "ssg-bootstrap/replicas=$replicas" >/dev/null
		[ "$replicas" = 0 ] || kubectl scale deployment "$name" --replicas=0 >/dev/null
	done
	for component in app worker; do
		began=$(now)
		while :; do
			left=$(kubectl get pods -l "$(labels $component)" -o name) || left=unknown
			[ -n "$left" ] || break
			[ $(($(now) - began)) -lt 600 ] || die "the pods of $component do not end"
			echo "waiting for the pods of $component to end"
			comes "$component" delete || sleep 1
		done
	done
}

resume() {
	# In two steps: of a pipe, only the end is asked how it went, and an API that
	# does not answer would leave the application stopped without a word.
	found=$(writers)
	echo "$found" | while read -r name replicas noted; do
		[ -n "$noted" ] || continue
		kubectl scale deployment "$name" --replicas="$noted" >/dev/null
		kubectl annotate deployment "$name" ssg-bootstrap/replicas- >/dev/null
	done
}

# serving waits for a pod of a component and prints its name. It waits as long
# as something happens: a database's first start takes an old disk minutes. That
# the pod is Ready may be what the cluster remembers of the lost disk, or of the
# time before a power cut: so its container is asked as well.
serving() {
	moved=$(now) last=
	while :; do
		seen=$(kubectl get pods -l "$(labels "$1")" -o 'jsonpath={range .items[*]}{.metadata.name} {.status.phase} {.status.conditions[?(@.type=="Ready")].status} {.status.containerStatuses[*].restartCount} {.status.initContainerStatuses[*].state}{"\n"}{end}' 2>&1) || true
		pod=$(echo "$seen" | awk '$3 == "True" { print $1; exit }')
		if [ -n "$pod" ] && kubectl exec "$pod" -- sh -c : >/dev/null 2>&1; then echo "$pod"; return; fi
		if [ "$seen" != "$last" ]; then last=$seen moved=$(now); echo "waiting for $1: $seen" >&2; fi
		[ $(($(now) - moved)) -lt 900 ] || die "$1 does not start: $last"
		if [ -n "$pod" ] || ! comes "$1" condition=Ready; then sleep 2; fi
	done
}

# inside feeds a program in a container from here. What it is fed must not be
# empty: ctr forgets an end that comes before the program runs, and the program
# would wait for more for ever. It goes through containerd and
# not through the API: on that way the questions whether the other side is still
# there wait behind the data, and what takes nothing in for a minute, as a
# database that builds an index, counts as lost.
inside() {
	container=$1 program=$2
	alone "$container" </dev/null
	ctr tasks exec --exec-id "$feeding" "$container" sh -c "$program"
}

# alone ends what a run that was killed has left: it would wait for more for
# ever, in the middle of what is about to begin anew.
alone() {
	n=0
	until ctr tasks delete --exec-id "$feeding" "$1" 2>&1 | grep -q 'not found'; do
		n=$((n + 1))
		[ "$n" -lt 60 ] || die "what an earlier run began in the container $1 does not end"
		ctr tasks kill --signal KILL --exec-id "$feeding" "$1" >/dev/null 2>&1 || sleep 1
	done
}
feeding=ssg-bootstrap-restore
ctr() { k3s ctr -n k8s.io "$@"; }

mysql() {
	pod=$(serving mysql-primary)
	container=$(kubectl get pod "$pod" -o 'jsonpath={.status.containerStatuses[?(@.name=="mariadb")].containerID}')
	# The database that is being put back must not be half there when it is
	# read: nobody writes, and the dump begins each table anew.
	rm -f "$folder/in/failed"
	{
		echo "-- put back by ssg-bootstrap"
		perl "$folder/pieces.pl" feed "$folder/in/pieces" <"$folder/in/mysql.order" || echo "$?" >"$folder/in/failed"
	} |
		inside "${container#containerd://}" 'exec mariadb --no-defaults --socket=/run/mysqld/mysqld.sock --user="$(id -un)" --batch --max-allowed-packet=1G'
	[ ! -e "$folder/in/failed" ] || die "mysql: the pieces could not be put together"
	echo "mysql is back"
}

# files unpacks an archive, before anything starts that would change what it
# holds, and compares. Folders that are there keep their owner and mode.
files() {
	rm -f "$folder/in/failed"
	{ joined "$1" || echo "$?" >"$folder/in/failed"; } |
		(umask 022; tar -C "$root/" --numeric-owner --xattrs --no-overwrite-dir -xpf -)
	[ ! -e "$folder/in/failed" ] || die "$1: the pieces could not be put together"
	sync
	found=$(different "$1" | head -n 10)
	[ -z "$found" ] || die "$found
$1: what was unpacked is not what the backup holds"
	echo "$1 is back"
}

joined() { perl "$folder/pieces.pl" join "$folder/in/pieces" <"$folder/in/$1.order"; }

# different says what on the disk is not as in the archive, a line each; an archive
# that breaks off is different, too.
different() {
	joined "$1" | tar -C "$root/" --numeric-owner --quoting-style=literal --compare -f - 2>&1 | while IFS= read -r line; do
		case $line in *": Mode differs") [ ! -d "$root/${line%: Mode differs}" ] || continue ;; esac
		echo "$line"
	done
}

# shut keeps the box's ports 80 and 443 to itself and its pods until the data
# are back, also over a reboot: it is loaded whenever k3s starts.
door=/etc/ssg-bootstrap/restore.nft
dropin=/etc/systemd/system/k3s.service.d/ssg-bootstrap-restore.conf
shut() {
	mkdir -p "$root/etc/ssg-bootstrap" "$root/etc/systemd/system/k3s.service.d"
	cat >"$root$door" <<-'END'
	# Managed by ssg-bootstrap
	table inet ssg_bootstrap_restore
	delete table inet ssg_bootstrap_restore
	table inet ssg_bootstrap_restore {
		chain incoming {
			type filter hook prerouting priority raw; policy accept;
			iifname { "lo", "cni0", "flannel.1" } accept
			iifname "veth*" accept
			tcp dport { 80, 443 } drop
		}
	}
	END
	printf '# Managed by ssg-bootstrap\n[Service]\nExecStartPre=/usr/sbin/nft -f %s\n' "$door" >"$root$dropin"
	chmod 644 "$root$door" "$root$dropin"
	sync
	systemctl daemon-reload
	nft -f "$root$door"
}

# unproven lets install look at the release again: Helm's records came back with
# the cluster and say that it was seen to work, which was on the lost disk.
unproven() {
	found=$(kubectl get secrets -l "owner=helm,name=$release,status=deployed" -o name)
	for secret in $found; do
		kubectl label --overwrite "$secret" ssg-bootstrap-served=no >/dev/null
	done
}

open() {
	unproven
	rm -f "$root$dropin" "$root$door"
	rmdir "$root/etc/systemd/system/k3s.service.d" 2>/dev/null || true
	systemctl daemon-reload
	nft delete table inet ssg_bootstrap_restore 2>/dev/null || true
}

case $what in
files-*) files "${what#files-}" ;;
shut) shut ;;
open) open ;;
pause) pause ;;
resume) resume ;;
mysql) pause; mysql ;;
await-*) pause; serving "${what#await-}" >/dev/null ;;
*) die "no such part: $what" ;;
esac

# Prints what the box is, one key=value a line, between "facts" and "end".
# It changes nothing. Processes are expensive on an old CPU: builtins first,
# one pass of awk where a file must be read, never a pipe per fact.
set -f
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
put() { printf '%s=%s\n' "$1" "$2"; }
have() { command -v "$1" >/dev/null 2>&1; }

echo "facts 1"
# The clock is read once; how much later the script ends is told by the uptime,
# which a builtin can read.
put clock "$(date +%s.%N)"
read -r up rest </proc/uptime && put up.first "$up"
read -r name </proc/sys/kernel/hostname && put hostname "$name"
read -r kernel </proc/sys/kernel/osrelease && put kernel "$kernel"
read -r boot </proc/sys/kernel/random/boot_id && put boot "$boot"
if [ -r /proc/sys/kernel/arch ]; then read -r arch </proc/sys/kernel/arch; else arch=$(uname -m); fi
put arch "$arch"

while IFS='=' read -r key value; do
	value=${value#[\"\']}
	value=${value%[\"\']}
	case $key in
	ID) put os.id "$value" ;;
	ID_LIKE) put os.like "$value" ;;
	VERSION_ID) put os.version "$value" ;;
	PRETTY_NAME) put os.name "$value" ;;
	esac
done </etc/os-release

cores=0 model= flags=
while IFS=: read -r key value; do
	case $key in
	processor*) cores=$((cores + 1)) ;;
	"model name"*) model=${value# } ;;
	flags*) flags=${value# } ;;
	esac
done </proc/cpuinfo
put cpu.cores "$cores"
put cpu.model "$model"
put cpu.flags "$flags"
while read -r key value unit; do
	case $key in
	MemTotal:) put mem.total "$value" ;;
	MemAvailable:) put mem.available "$value" ;;
	SwapTotal:) put mem.swap "$value" && break ;;
	esac
done </proc/meminfo
while read -r name kind size rest; do
	case $name in */zram*) put mem.zram "$size" ;; esac
done </proc/swaps

[ -d /run/systemd/system ] && put systemd yes
[ -r /sys/fs/cgroup/cgroup.controllers ] && read -r controllers </sys/fs/cgroup/cgroup.controllers && put cgroup "$controllers"

# Those that are not loaded in one call; one by one only if that says that
# some are missing.
others=
for m in br_netfilter overlay nf_conntrack nf_tables vxlan veth bridge zram; do
	if [ -d "/sys/module/$m" ]; then put module "$m loaded"; else others="$others $m"; fi
done
all=missing
[ -n "$others" ] && modprobe -n -q -a $others 2>/dev/null && all=available
for m in $others; do
	if [ "$all" = available ] || modprobe -n -q "$m" 2>/dev/null; then
		put module "$m available"
	else
		put module "$m missing"
	fi
done

disk() { # as /dev/vda1 ext4 494000000 480000000 /mount
	rotational=0 dev=${2##*/}
	case $2 in /dev/mapper/*) dev=$(readlink -f "$2") && dev=${dev##*/} ;; esac
	for f in "/sys/class/block/$dev/queue/rotational" "/sys/class/block/$dev/../queue/rotational"; do
		[ -r "$f" ] && read -r rotational <"$f" && break
	done
	access=rw
	[ -w "$6" ] || access=ro
	put disk "$1 $access $rotational $2 $3 $4 $5 $6"
}
data=/var/lib/rancher
while [ ! -d "$data" ]; do data=${data%/*}; done
# The heading has six words (Filesystem Type 1B-blocks Avail Mounted on), each
# line five: neither / nor what /var lies on has a space in its name.
set -- $(df -B1 --output=source,fstype,size,avail,target / "$data")
shift 6
disk / "$1" "$2" "$3" "$4" "$5"
shift 5
disk /var/lib/rancher "$@"

set --
for name in systemd-timesyncd chrony chronyd ntp ntpsec openntpd \
	k3s k3s-agent rke2-server rke2-agent k0scontroller k0sworker microk8s.daemon-kubelite snap.microk8s.daemon-kubelite kubelet \
	ufw firewalld; do
	set -- "$@" "$name.service"
done
with_file "$@" # which managed.WithFile, written in front of this, defines
states=
[ -z "$known" ] || states=$(systemctl show -p Id,LoadState,ActiveState -- $known)
k3s=inactive
# An empty line ends each block; the last one gets its own here.
while IFS='=' read -r key value; do
	case $key in
	Id) id=$value ;;
	LoadState) load=$value ;;
	ActiveState) active=$value ;;
	*)
		[ "$load" != loaded ] || put unit "$id $load $active"
		case $id.$active in k3s.service.* | k3s-agent.service.active) k3s=$active ;; esac
		;;
	esac
done <<END
$states

END
[ -e /run/systemd/timesync/synchronized ] && put time.synchronized yes
if [ -r /etc/ufw/ufw.conf ]; then
	while read -r line; do
		case $line in ENABLED=yes) put ufw yes ;; esac
	done </etc/ufw/ufw.conf
fi

if [ -r /etc/resolv.conf ]; then
	while read -r word value rest; do
		[ "$word" = nameserver ] && put dns "$value"
	done </etc/resolv.conf
fi
if have ip; then
	printf 'route show default\naddr show scope global\n' | ip -o -batch - | while read -r first dev family cidr rest; do
		case $first in
		default) put route "$first $dev $family $cidr $rest" ;;
		*) put addr "$dev $cidr" ;;
		esac
	done
fi
# ss makes the kernel load its socket diagnosis; a look leaves not even that
# behind, so ss is asked only where somebody does listen on 6443, 10250, 80 or
# 443 (in hexadecimal, state 0A). A k3s that runs has its ports already.
listening() {
	[ -r /proc/net/tcp ] || return 0
	# tcp6 is missing where IPv6 is switched off.
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
		awk -v k3s="$k3s" '$4 == "0A" && ($2 ~ /:(0050|01BB)$/ || k3s != "active" && $2 ~ /:(192B|280A)$/) { found = 1 } END { exit !found }'
}
if have ss && listening; then
	ss -Hltnp 'sport = :6443 or sport = :10250 or sport = :80 or sport = :443' | while read -r state recv send local peer users; do
		pid=${users#*pid=}
		pid=${pid%%[!0-9]*}
		unit=
		if [ -n "$pid" ] && [ -r "/proc/$pid/cgroup" ]; then read -r unit <"/proc/$pid/cgroup"; fi
		put listen "$local|$users|$unit"
	done
fi

for tool in nft ip ss modprobe sysctl systemd-run sha256sum dd sync mkswap swapon df awk openssl; do
	have "$tool" || put tool.missing "$tool"
done
[ -e /usr/local/bin/k3s ] && put k3s binary
[ -e /etc/systemd/system/k3s.service ] && put k3s unit
[ -e /etc/systemd/system/k3s-agent.service ] && put k3s agent
for db in state.db etcd; do
	if [ -e "/var/lib/rancher/k3s/server/db/$db" ]; then put k3s datastore; fi
done
[ -e /etc/rancher/node/password ] && put k3s identity
[ -e /etc/rancher/k3s/config.yaml ] && put k3s config
[ -r /var/lib/ssg-bootstrap/bench ] && read -r holder </var/lib/ssg-bootstrap/bench && put bench "$holder"
if [ -r /etc/ssg-bootstrap/cluster ]; then
	while read -r role name address rest; do
		case $role in address | server | agent) put cluster "$role $name $address" ;; esac
	done </etc/ssg-bootstrap/cluster
fi
read -r up rest </proc/uptime && put up.last "$up"
echo end

# Prints what the box is, one key=value a line, between "facts" and "end".
# It changes nothing. Processes are expensive on an old CPU: builtins first,
# one pass of awk where a file must be read, never a pipe per fact.
set -f
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
put() { printf '%s=%s\n' "$1" "$2"; }
have() { command -v "$1" >/dev/null 2>&1; }

echo "facts 1"
put clock.first "$(date +%s.%N)"
set -- $(uname -s -n -r -m)
put hostname "$2"
put kernel "$3"
put arch "$4"
read -r boot </proc/sys/kernel/random/boot_id && put boot "$boot"
have systemd-detect-virt && put virt "$(systemd-detect-virt)"

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

awk -F '[ \t]*: ' '
$1 == "processor" { cores++ }
$1 == "model name" && model == "" { model = $2 }
$1 == "flags" && flags == "" { flags = $2 }
END { print "cpu.cores=" cores; print "cpu.model=" model; print "cpu.flags=" flags }' /proc/cpuinfo
awk '
$1 == "MemTotal:" { print "mem.total=" $2 }
$1 == "MemAvailable:" { print "mem.available=" $2 }
$1 == "SwapTotal:" { print "mem.swap=" $2 }' /proc/meminfo
while read -r name kind size rest; do
	case $name in */zram*) put mem.zram "$size" ;; esac
done </proc/swaps

if [ -d /run/systemd/system ]; then
	set -- $(systemctl --version)
	put systemd "$1 $2"
fi
[ -r /sys/fs/cgroup/cgroup.controllers ] && read -r controllers </sys/fs/cgroup/cgroup.controllers && put cgroup "$controllers"

# All modules in one call; one by one only if that says that some are missing.
modules="br_netfilter overlay nf_conntrack nf_tables vxlan veth bridge zram"
all=missing
modprobe -n -q -a $modules 2>/dev/null && all=available
for m in $modules; do
	if [ -d "/sys/module/$m" ]; then
		put module "$m loaded"
	elif [ "$all" = available ] || modprobe -n -q "$m" 2>/dev/null; then
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
for path in / /var/lib/rancher; do
	at=$path
	while [ ! -d "$at" ]; do at=${at%/*}; at=${at:-/}; done
	set -- $(df -B1 --output=source,fstype,size,avail,target "$at")
	# The heading has six words: Filesystem Type 1B-blocks Avail Mounted on.
	shift 6
	disk "$path" "$@"
done

set -- systemd-timesyncd chrony chronyd ntp ntpsec openntpd \
	k3s k3s-agent rke2-server rke2-agent k0scontroller k0sworker microk8s.daemon-kubelite snap.microk8s.daemon-kubelite kubelet \
	ufw firewalld
systemctl show -p Id -p LoadState -p ActiveState -p SubState -- $(printf '%s.service ' "$@") | awk -F= '
$1 == "Id" { id = $2 } $1 == "LoadState" { load = $2 } $1 == "ActiveState" { active = $2 }
$1 == "SubState" && load != "not-found" { print "unit=" id " " load " " active }'
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
	ip -4 route show default | while read -r line; do put route "$line"; done
	ip -o addr show scope global | while read -r n dev family cidr rest; do put addr "$dev $cidr"; done
fi
# ss makes the kernel load its socket diagnosis; a look leaves not even that
# behind, so ss is asked only where somebody does listen on 6443, 10250, 80 or
# 443 (in hexadecimal, state 0A).
listening() {
	[ -r /proc/net/tcp ] || return 0
	# tcp6 is missing where IPv6 is switched off.
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
		awk '$4 == "0A" && $2 ~ /:(192B|280A|0050|01BB)$/ { found = 1 } END { exit !found }'
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
have nft && nft list tables | while read -r line; do put nft "$line"; done

for tool in nft ip ss modprobe sysctl systemd-run sha256sum dd sync mkswap swapon df awk openssl; do
	have "$tool" || put tool.missing "$tool"
done
[ -e /usr/local/bin/k3s ] && put k3s binary
[ -e /etc/systemd/system/k3s.service ] && put k3s unit
[ -e /etc/rancher/k3s/config.yaml ] && put k3s config
put clock.last "$(date +%s.%N)"
echo end

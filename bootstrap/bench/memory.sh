# Prints where the memory is, a line "name bytes" for each: the working sets
# of cgroups (what they hold less the file pages that nobody used lately, as
# the kubelet reckons), the proportional sets of k3s and containerd, and the
# whole. With a first argument it takes so many looks, $2 seconds apart.
export LC_ALL=C
group() {
	[ -r "$2/memory.current" ] && [ -r "$2/memory.stat" ] || return 0
	read -r all <"$2/memory.current"
	while read -r key value; do
		[ "$key" = inactive_file ] && cache=$value && break
	done <"$2/memory.stat"
	echo "$1 $((all - cache))"
}
proportional() {
	[ -r "/proc/$2/smaps_rollup" ] || return 0
	pss=0 swap=0
	while read -r key value _; do
		case $key in Pss:) pss=$value ;; SwapPss:) swap=$value ;; esac
	done <"/proc/$2/smaps_rollup"
	echo "pss:$1 $(((pss + swap) * 1024))"
}
look() {
	group k3s /sys/fs/cgroup/system.slice/k3s.service
	for pod in /sys/fs/cgroup/kubepods*/*pod* /sys/fs/cgroup/kubepods*/*/*pod*; do
		case $pod in
		*-pod*.slice) uid=${pod##*-pod}; group "pod:${uid%.slice}" "$pod" ;;
		*/pod*) group "pod:${pod##*/pod}" "$pod" ;;
		esac
	done
	main=$(systemctl show k3s -p MainPID --value)
	proportional k3s "$main"
	for child in $(cat "/proc/$main/task/"*/children 2>/dev/null); do
		read -r name <"/proc/$child/comm" && [ "$name" = containerd ] && proportional containerd "$child"
	done
	while read -r key value _; do
		case $key in MemTotal: | MemAvailable: | SwapTotal: | SwapFree:) echo "$key $((value * 1024))" ;; esac
	done </proc/meminfo
	read -r load _ </proc/loadavg
	echo "load $load"
	echo
}
n=$1
while look; [ $((n -= 1)) -gt 0 ]; do sleep "$2"; done

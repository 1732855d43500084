#!/bin/sh
# Managed by ssg-bootstrap
# zram start BYTES ALGORITHM PRIORITY | zram stop
# Takes a device of its own, so that another zram on the box is left alone.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
record=/run/ssg-bootstrap/zram

start() {
	modprobe zram num_devices=0
	read -r id </sys/class/zram-control/hot_add
	sys=/sys/block/zram$id
	# Not every kernel has every algorithm; whatever it takes is better than
	# no swap, and its own default is already set.
	for algorithm in "$2" lz4 lzo-rle; do
		if (echo "$algorithm" >"$sys/comp_algorithm") 2>/dev/null; then break; fi
	done
	echo "$1" >"$sys/disksize"
	mkswap "/dev/zram$id" >/dev/null
	swapon -p "$3" "/dev/zram$id"
	mkdir -p "${record%/*}"
	echo "$id $*" >"$record"
}

stop() {
	[ -r "$record" ] || return 0
	read -r id rest <"$record"
	swapoff "/dev/zram$id" || true
	echo "$id" >/sys/class/zram-control/hot_remove
	rm -f "$record"
}

action=$1
shift
"$action" "$@"

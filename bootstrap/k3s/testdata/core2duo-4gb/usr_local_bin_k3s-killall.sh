#!/bin/sh
# Managed by ssg-bootstrap
# Stops k3s and everything that it started, and gives back what it took of the
# network. No data is removed.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
data=/var/lib/rancher/k3s

systemctl stop k3s.service

# Pods outlive k3s: their shims are found by the path of the program, and their
# containers by the shims' cgroups.
for exe in /proc/[0-9]*/exe; do
	target=$(readlink "$exe") || continue
	case $target in
	"$data"/data/*/containerd-shim*)
		pid=${exe#/proc/}
		pid=${pid%/exe}
		for child in $(cat /proc/"$pid"/task/*/children 2>/dev/null); do kill -9 "$child" 2>/dev/null; done
		kill -9 "$pid" 2>/dev/null
		;;
	esac
done
for scope in /sys/fs/cgroup/kubepods.slice /sys/fs/cgroup/kubepods; do
	if [ -e "$scope/cgroup.kill" ]; then echo 1 >"$scope/cgroup.kill"; fi
done

# The innermost mounts come last in the table, so it is undone backwards.
awk '{ print $2 }' /proc/self/mounts | sort -r | while read -r at; do
	case $at in
	/run/k3s/* | "$data"/* | /var/lib/kubelet/pods/* | /var/lib/kubelet/plugins/* | /run/netns/cni-*)
		umount -l "$at"
		;;
	esac
done
rm -f /run/netns/cni-*

for link in /sys/class/net/*; do
	name=${link##*/}
	case $(readlink "$link/master") in */cni0) ip link delete "$name" ;; esac
done
for name in cni0 flannel.1 flannel-v6.1 flannel-wg flannel-wg-v6 kube-ipvs0; do
	if [ -e "/sys/class/net/$name" ]; then ip link delete "$name"; fi
done
rm -rf /var/lib/cni

# k3s carries an iptables of its own where the box has none.
PATH=$PATH:$data/data/current/bin/aux:$data/data/current/bin
for family in iptables ip6tables; do
	command -v "$family-save" >/dev/null 2>&1 || continue
	"$family-save" | grep -v -e KUBE- -e CNI- -e flannel | "$family-restore"
done
exit 0

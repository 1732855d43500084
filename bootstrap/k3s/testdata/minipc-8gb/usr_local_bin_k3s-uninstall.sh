#!/bin/sh
# Managed by ssg-bootstrap
# Removes k3s with all of its data, the volumes of the pods too.
set -u
/usr/local/bin/k3s-killall.sh

systemctl disable k3s.service
rm -f /etc/systemd/system/k3s.service /etc/systemd/system/k3s.service.env
systemctl daemon-reload
systemctl reset-failed k3s.service

for name in kubectl crictl ctr; do
	case $(readlink "/usr/local/bin/$name") in
	k3s | /usr/local/bin/k3s) rm -f "/usr/local/bin/$name" ;;
	esac
done
rm -rf /etc/rancher/k3s /etc/rancher/node /run/k3s /run/flannel /var/lib/kubelet /var/lib/rancher/k3s
rm -f /etc/default/k3s /usr/local/bin/k3s /usr/local/bin/k3s-killall.sh
rm -f /var/lib/ssg-bootstrap/k3s.record /var/lib/ssg-bootstrap/k3s-images.record \
	/var/lib/ssg-bootstrap/k3s.digest /run/ssg-bootstrap/k3s.digest /run/ssg-bootstrap/k3s-pods.pid /var/lib/ssg-bootstrap/bench \
	/etc/ssg-bootstrap/cluster
# Last, so that a removal which was interrupted can be run again.
rm -f /usr/local/bin/k3s-uninstall.sh
echo "k3s is removed"

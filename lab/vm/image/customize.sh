#!/bin/sh
# Turns a bare tree into the box as its owner finds it after the installer's
# last screen. usage: customize.sh TREE FOLDER MACHINE
set -eu
tree=$1 folder=$2 machine=$3

chroot "$tree" useradd --create-home --shell /bin/bash --comment Owner \
	--groups sudo,cdrom,floppy,audio,dip,video,plugdev,users,netdev owner
# SHA-512 in place of Debian's yescrypt: emulated, that takes 25 times as long as
# on the host (350 to 400 ms for 15), most else a tenth of that. This box's
# SHA-512 takes 18 ms.
printf 'owner:%s\n' "$(cat "$folder/sudo-password")" | chroot "$tree" chpasswd --crypt-method SHA512
chroot "$tree" usermod --lock root
install -d -m 0700 "$tree/home/owner/.ssh"
install -m 0600 "$folder/authorized_key" "$tree/home/owner/.ssh/authorized_keys"
chroot "$tree" chown -R owner:owner /home/owner/.ssh

echo "$machine" >"$tree/etc/hostname"
cat >"$tree/etc/hosts" <<HOSTS
127.0.0.1	localhost
127.0.1.1	$machine

::1     localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
HOSTS
echo '/dev/vda / ext4 errors=remount-ro 0 1' >"$tree/etc/fstab"
echo 'LANG=C.UTF-8' >"$tree/etc/default/locale"

cat >"$tree/etc/network/interfaces" <<NETWORK
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

allow-hotplug ens3
iface ens3 inet dhcp
NETWORK
# The emulated network is closed, and so its DHCP server names neither a router
# nor a name server; a home's does, and Kubernetes wants a default route. Names
# are asked for at the box itself, where nobody answers: a server beyond the
# closed network would make each question wait for 20 seconds.
cat >>"$tree/etc/dhcpcd.conf" <<DHCP

static routers=10.0.2.2
static domain_name_servers=10.0.2.15
DHCP

# Debian's archive is where the box reaches it: at a neighbour's, without the
# signature that a real one has.
rm -f "$tree"/etc/apt/sources.list "$tree"/etc/apt/sources.list.d/*
cat >"$tree/etc/apt/sources.list.d/debian.sources" <<SOURCES
Types: deb
URIs: http://10.0.2.100/debian
Suites: $(. "$tree/etc/os-release" && echo "$VERSION_CODENAME")
Components: main
Trusted: yes
SOURCES

# Each fresh disk gets host keys of its own.
rm -f "$tree"/etc/ssh/ssh_host_*

# The emulator starts the kernel itself and needs the drivers of one disk only;
# a small initrd saves seconds of each boot on this CPU. The box's own settings
# stay as Debian ships them.
cp -p "$tree/etc/initramfs-tools/modules" "$folder/modules.orig"
printf 'virtio_pci\nvirtio_blk\next4\n' >>"$tree/etc/initramfs-tools/modules"
echo 'MODULES=list' >"$tree/etc/initramfs-tools/conf.d/lab"
chroot "$tree" update-initramfs -u
rm "$tree/etc/initramfs-tools/conf.d/lab"
mv "$folder/modules.orig" "$tree/etc/initramfs-tools/modules"

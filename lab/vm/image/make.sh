#!/bin/sh
# Makes the box's disk, kernel and initrd in the current folder; runs as root.
# usage: make.sh SUITE OWNER MACHINE [SOURCES]
# OWNER gets the files. authorized_key and sudo-password are already here.
set -eu
suite=$1 owner=$2 machine=$3
shift 3
here=$(pwd)
tree=$here/tree
trap 'rm -rf "$tree" "$here/disk.raw"' EXIT
# Without these a signal would end the shell at once, past the trap above and
# while its tools still have file systems mounted in the tree.
trap 'exit 130' INT
trap 'exit 143' TERM

# What a server install without any task leaves: priority important, plus what
# the installer itself adds (the kernel with its AppArmor, sudo, sshd) and the
# small tools of priority standard. Manual pages and mail are left out.
mmdebstrap --mode=root --variant=important --quiet \
	--include=linux-image-cloud-amd64,apparmor,systemd-sysv,libpam-systemd,dbus,systemd-timesyncd \
	--include=openssh-server,sudo,locales,ca-certificates,bash-completion,bzip2,file,less,lsof,wget,xz-utils,zstd \
	--customize-hook="sh '$here/customize.sh' \"\$1\" '$here' '$machine'" \
	"$suite" "$tree" "$@"

cp "$tree"/boot/vmlinuz-* kernel
cp "$tree"/boot/initrd.img-* initrd

# 500 GB as disk makers count them. Everything is initialised here, where zeros
# cost nothing: left to the kernel, it would write gigabytes in the background.
truncate -s 500107862016 disk.raw
mke2fs -q -t ext4 -L root -E lazy_itable_init=0,lazy_journal_init=0 -d "$tree" disk.raw
qemu-img convert -f raw -O qcow2 disk.raw disk.qcow2
chown "$owner" kernel initrd disk.qcow2
chmod 0644 kernel initrd disk.qcow2

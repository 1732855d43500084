# Runs as root on the first boot of a new image. It lets what every first boot
# computes (AppArmor's profiles above all, half a minute on this CPU) stay on
# the disk, and takes away what must differ from one fresh disk to the next.
set -eu
systemctl is-system-running --wait >/dev/null || systemctl --failed --no-legend >&2
truncate -s 0 /etc/machine-id
rm -rf /etc/ssh/ssh_host_* /var/log/journal/* /var/lib/dhcpcd/* /var/lib/systemd/random-seed /home/owner/.cache
rm -f /var/log/wtmp /var/log/btmp /var/log/lastlog /var/lib/wtmpdb/*
# With its file a box whose battery died would wake up at this moment instead of
# at systemd's own date. It writes the file once more when it stops.
systemctl stop systemd-timesyncd
rm -f /var/lib/systemd/timesync/clock /var/lib/private/systemd/timesync/clock
fstrim /
sync

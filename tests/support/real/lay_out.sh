#!/bin/sh
# Runs in the sandbox of a real machine, before each of its boots: a fresh network, and the copy of the image at its first.
# What is mounted here is mounted nowhere else. Arguments: the machine's folder, the image.
set -e
dir=$1
image=$2
guest=/run/containerd/guest

if ! mountpoint -q "$dir/root"; then
    if [ -e "$dir/small-disk" ]; then mount "$(readlink "$dir/small-disk")" "$dir/disk"; fi
    mkdir -p "$dir/disk/upper" "$dir/disk/work" "$dir/disk/docker"
    mount -t overlay monopod-rig -o "lowerdir=$image,upperdir=$dir/disk/upper,workdir=$dir/disk/work" "$dir/root"
    # nspawn's own state, which is no business of the host's.
    mkdir -p /run/systemd
    mount -t tmpfs -o mode=755 monopod-rig /run/systemd
    # The metadata service and AWS are on this side of the wire.
    ip address add 169.254.169.254/32 dev lo
fi

# A machine that starts has no addresses, bridges or rules of its last life.
if mountpoint -q "$guest"; then umount --lazy "$guest"; fi
if ip link show outside >/dev/null 2>&1; then ip link delete outside; fi
: >"$guest"
unshare --net="$guest" true
ip link add outside type veth peer name eth0 address 02:00:00:00:00:07 netns "$guest"
ip address add 10.0.0.1/24 dev outside
ip link set outside up
nsenter --net="$guest" ip link set lo up

# What EC2 tells a machine that asks: always the same address.
rm -f "$dir/leases"
: >"$dir/leases"
cat >"$dir/udhcpd.conf" <<END
interface outside
start 10.0.0.7
end 10.0.0.7
max_leases 1
offer_time 1
min_lease 60
lease_file $dir/leases
pidfile $dir/udhcpd.pid
static_lease 02:00:00:00:00:07 10.0.0.7
option subnet 255.255.255.0
option router 10.0.0.1
option lease 86400
END

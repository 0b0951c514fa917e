#!/bin/sh
# Runs in the sandbox of a virtual machine, once: the outside of its network, which qemu's card is plugged into.
# Arguments: the machine's folder.
set -e
dir=$1
ip tuntap add outside mode tap
ip address add 10.0.0.1/24 dev outside
ip link set outside up
ip address add 169.254.169.254/32 dev lo
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
# Version 6, for those who configure it inside, too: a machine has fd00:7::7 there.
ip -6 address add fd00:7::1/64 dev outside nodad

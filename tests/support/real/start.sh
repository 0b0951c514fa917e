#!/bin/sh
# Boots a real machine: becomes systemd-nspawn, in control groups of its own, so that its systemd and its engine write
# into no others. Arguments: the machine's folder, its name.
set -e
dir=$1
name=$2

# Version 1 has a tree for every controller, version 2 one.
for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -w "$tree/cgroup.procs" ] || continue
    mkdir -p "$tree/$name"
    # A group of cpuset takes nobody in before it has been told where they may run.
    for file in cpuset.cpus cpuset.mems; do
        if [ -e "$tree/cpuset.cpus" ]; then cat "$tree/$file" >"$tree/$name/$file"; fi
    done
    echo 0 >"$tree/$name/cgroup.procs"
done

# /proc/sys/net is the machine's own; without this the engine could not switch forwarding on.
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
# All capabilities but the one a container may lack itself; and no filter on what engines ask of a kernel.
# A clock of its own that begins now, to the second: what was before is of an earlier boot, as on a machine with its own
# kernel.
up=$(cut -d. -f1 /proc/uptime)
exec unshare --time --monotonic="-$up" --boottime="-$up" --fork systemd-nspawn \
    --boot --directory="$dir/root" --machine="$name" --register=no --keep-unit \
    --network-namespace-path=/run/containerd/guest --bind="$dir/disk/docker:/var/lib/docker" \
    --resolv-conf=off --timezone=off --link-journal=no --console=read-only \
    --capability=all --drop-capability=CAP_SYS_RESOURCE \
    --system-call-filter='@keyring bpf add_key request_key keyctl' </dev/null

#!/bin/bash
# The machine image without AWS: the same provisioning as packer/ does on EC2, over a Debian root file system, by Packer's
# docker builder. Nothing but the base needs a network, and the base is made once.
#
#   image.sh build DEB [COMMIT]   target/machine/rootfs/, a directory to boot (see tests/machine)
#   image.sh test                 looks at the image, and boots it in a container and looks around in it
#   image.sh audit                what lynis says of it
#
# The engine is a private one, in a network namespace of its own, and gone when this ends. What can be used again stays
# below target/machine: base-HASH.tar and the engine's data.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$root/target/machine
here=$root/tests/machine
# Packer in Debian is an older one.
template=$root/packer/older

say() { printf 'image: %s\n' "$*"; }
die() { printf 'image: %s\n' "$*" >&2; exit 1; }

# Runs a command with its output in a log, and shows that only when it fails.
quietly() {
    local log=$work/$1.log
    shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        die "failed: $* (all of its output is in $log)"
    fi
}

names() { sed 's/#.*//; /^ *$/d' "$@" | paste -sd,; }
short_hash() { sha256sum | cut -c1-16; }

# The base has everything that a machine needs but ours: Packer then asks no network for anything.
make_base() {
    local tar=$1 sources
    # Where this machine itself gets its packages from; what other archives it uses has no place in the image.
    for sources in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        [ ! -s "$sources" ] || break
    done
    say "base: making $tar (a minute)"
    rm -f "$work"/base-*.tar
    quietly base mmdebstrap --mode=root --variant=minbase --format=tar --aptopt='APT::Install-Recommends "false"' \
        --include="$(names "$here/base-packages.txt" "$root/packer/provision/packages.txt")" \
        --customize-hook="sync-in $here/base /" \
        --customize-hook="rm -f \"\$1\"/etc/apt/sources.list \"\$1\"/etc/apt/sources.list.d/0000*" \
        --customize-hook="chroot \"\$1\" systemctl enable systemd-networkd.service" \
        bookworm "$tar.part" "$sources"
    mv "$tar.part" "$tar"
}

engine_pid=
engine_run=

start_engine() {
    engine_run=$(mktemp -d /run/monopod-image.XXXXXX)
    mkdir -p "$work/engine"
    # An engine without a bridge deletes docker0 where it runs: make sure that it is elsewhere.
    # shellcheck disable=SC2016
    unshare --net -- bash -euc '
        [ "$(readlink /proc/self/ns/net)" != "$1" ]
        ip link set lo up
        exec dockerd --bridge=none --iptables=false --ip6tables=false -H "unix://$2/docker.sock" \
            --data-root "$3/engine" --exec-root "$2/exec" --pidfile "$2/docker.pid"
    ' engine "$(readlink /proc/self/ns/net)" "$engine_run" "$work" >"$work/engine.log" 2>&1 &
    engine_pid=$!
    trap stop_engine EXIT
    export DOCKER_HOST=unix://$engine_run/docker.sock
    local tries
    for ((tries = 0; tries < 150; tries++)); do
        if docker version >/dev/null 2>&1; then return; fi
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.2
    done
    tail -n 20 "$work/engine.log" >&2
    die "the engine did not start (its output is in $work/engine.log)"
}

stop_engine() {
    trap - EXIT
    if [ -z "$engine_pid" ]; then return; fi
    kill "$engine_pid" 2>/dev/null || true
    wait "$engine_pid" 2>/dev/null || true
    engine_pid=
    rm -rf --one-file-system "$engine_run"
}

# The base in the engine under the name that the template gives it, once for each base.
import_base() {
    local tar=$1 name
    name=monopod-base:$(basename "$tar" .tar)
    if ! docker image inspect "$name" >/dev/null 2>&1; then
        say "base: into the engine"
        quietly import docker import "$tar" "$name"
    fi
    docker tag "$name" monopod-base:latest
    # Those of earlier bases.
    docker images --format '{{.Repository}}:{{.Tag}}' monopod-base |
        awk -v keep="$name" '$0 != keep && $0 != "monopod-base:latest"' |
        xargs --no-run-if-empty docker rmi >/dev/null
}

# What `docker export` and a container leave behind is no part of a machine.
export_rootfs() {
    local container
    container=$(docker create monopod-machine:latest /sbin/init)
    rm -rf --one-file-system "$work/rootfs" "$work/rootfs.part"
    mkdir "$work/rootfs.part"
    docker export "$container" | tar --extract --numeric-owner --xattrs --xattrs-include='*' --directory "$work/rootfs.part"
    docker rm "$container" >/dev/null
    rm -f "$work/rootfs.part/.dockerenv" "$work/rootfs.part/dev/console"
    rmdir "$work/rootfs.part/packer-files"
    printf 'localhost\n' >"$work/rootfs.part/etc/hostname"
    printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$work/rootfs.part/etc/hosts"
    ln -sfn ../run/systemd/resolve/stub-resolv.conf "$work/rootfs.part/etc/resolv.conf"
    rm -rf "$work/rootfs.part/run" && mkdir "$work/rootfs.part/run"
    cp "$work/rootfs.part/etc/monopod/image.json" "$work/image.json"
    mv "$work/rootfs.part" "$work/rootfs"
}

build() {
    local package commit=$2 tar wanted
    package=$(realpath "$1")
    [ "$(id -u)" = 0 ] || die "this needs root: it makes a file system with all its owners, and runs an engine"
    [ -s "$package" ] || die "there is no package $package: run make deb"
    mkdir -p "$work"
    # A change of this script elsewhere makes no new base.
    tar=$work/base-$({ declare -f make_base; cat "$here/base-packages.txt" "$root/packer/provision/packages.txt" \
        "$here"/base/etc/*/*/*; } | short_hash).tar
    # The commit is not part of it: it alone makes no other image.
    wanted="$(basename "$tar") $(cd "$root" && find packer/provision packer/older -type f -print0 | sort -z |
        xargs -0 sha256sum packer/*.hcl "$package" "$here/image.sh" | short_hash)"
    if [ -d "$work/rootfs" ] && [ "$(cat "$work/rootfs.stamp" 2>/dev/null)" = "$wanted" ]; then
        say "target/machine/rootfs: there"
        return
    fi
    rm -f "$work/rootfs.stamp"
    [ -s "$tar" ] || make_base "$tar"
    start_engine
    import_base "$tar"
    say "packer: provisioning"
    quietly packer packer build -color=false -only=docker.machine -var "package=$package" -var "commit=$commit" \
        -var upgrade=false -var serial_console_root=true "$template"
    say "target/machine/rootfs: exporting"
    export_rootfs
    # What earlier builds made and nothing names any more.
    docker image prune --force >/dev/null
    stop_engine
    printf '%s\n' "$wanted" >"$work/rootfs.stamp"
    say "target/machine/rootfs: $(du -sm "$work/rootfs" | cut -f1) MB"
}

# The image in a container: systemd is PID 1. Not --privileged, which asks for more than some machines have. It has no
# network, so nothing waits for one to be configured.
boot_machine() {
    local tries
    # One that an earlier run left, killed in the middle.
    docker rm --force --volumes "$1" >/dev/null 2>&1 || true
    docker run --detach --name "$1" --network=none --hostname=machine --cap-add=ALL --cap-drop=SYS_RESOURCE \
        --security-opt=seccomp=unconfined --security-opt=apparmor=unconfined --security-opt=systempaths=unconfined \
        --device-cgroup-rule='a *:* rwm' --cgroupns=private --stop-signal=SIGRTMIN+3 \
        --tmpfs=/run --tmpfs=/run/lock --tmpfs=/tmp --volume=/var/lib/docker \
        --volume=/dev/null:/etc/systemd/system/systemd-networkd-wait-online.service:ro \
        monopod-machine:latest /bin/sh -c '
            mount -o remount,bind,rw /sys
            for group in /sys/fs/cgroup /sys/fs/cgroup/*; do
                if mountpoint -q "$group"; then mount -o remount,bind,rw "$group"; fi
            done
            exec /sbin/init' >/dev/null
    for ((tries = 0; tries < 240; tries++)); do
        if docker exec "$1" systemctl is-active --quiet ssh.service docker.service rsyslog.service 2>/dev/null; then return; fi
        sleep 0.5
    done
    docker exec "$1" systemctl list-jobs >&2 || true
    docker exec "$1" systemctl --failed >&2 || true
    die "the image did not boot"
}

# The image that build made last, as a directory and booted.
run_tests() {
    local status=0
    [ -s "$work/rootfs.stamp" ] || die "there is no image: run make image"
    start_engine
    boot_machine machine-test
    ROOTFS=$work/rootfs MACHINE=machine-test PYTHONDONTWRITEBYTECODE=1 "$root/target/rig/tools/bin/python" -m pytest \
        -q --tb=short -p no:cacheprovider "$here/checks/test_rootfs.py" "$here/checks/test_machine.py" || status=$?
    docker rm --force --volumes machine-test >/dev/null
    stop_engine
    return "$status"
}

# What lynis says of it: a score and its warnings. It reads the machine from inside, so it is carried in.
audit() {
    command -v lynis >/dev/null || die "there is no lynis: apt-get install lynis"
    start_engine
    boot_machine machine-audit
    local part
    for part in /usr/share/lynis /etc/lynis /usr/sbin/lynis; do docker cp --quiet "$part" "machine-audit:$part"; done
    docker exec machine-audit lynis audit system --quick --no-colors \
        --report-file /opt/report --logfile /opt/lynis.log >"$work/lynis.log" 2>&1 || true
    docker exec machine-audit cat /opt/report >"$work/lynis.report"
    docker rm --force --volumes machine-audit >/dev/null
    stop_engine
    grep -E '^(hardening_index|lynis_tests_done|warning\[\])' "$work/lynis.report"
    say "all of it: $work/lynis.log"
}

case ${1-} in
    build) build "${2:?the package}" "${3-}" ;;
    test) run_tests ;;
    audit) audit ;;
    *) die "wrong usage: image.sh build DEB [COMMIT] | test | audit" ;;
esac

#!/bin/bash
# Installs what the tests and the demo need on a Debian 12 machine: the engine, a registry, etcd, a log daemon, network tools
# (by apt), and Python environments under target/rig (by pip): the AWS stand-in, and tools of others that tests ask. With
# --bench also what the benchmarks compare with. Run it as often as you like: a second run takes a moment. It leaves
# no service behind that was not there before: what apt would start or enable for us is held back.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
# A linker and a C compiler, for Rust and its TLS; rustup brings neither.
packages=(gcc libc6-dev)
packages+=(docker.io docker-registry busybox-static etcd-server iproute2 iptables python3-venv rsyslog rsyslog-openssl systemd util-linux)
# What the agent makes disks ready with; sfdisk.
packages+=(e2fsprogs fdisk mdadm xfsprogs)
# The machine image, and what checks its scripts.
packages+=(mmdebstrap packer shellcheck)
# Which boots it.
packages+=(systemd-container)
# Rules that keep the container in, and logins that end.
packages+=(curl libnss-systemd nftables openssh-client openssh-server procps python3 sudo)
# A program of the tests, made small enough for a container.
packages+=(binutils)
# Services that come with those packages and have no business on a newcomer's machine.
services=(ssh.service nftables.service docker.service docker.socket containerd.service docker-registry.service etcd.service etcd2.service rsyslog.service
    mdadm-shutdown.service mdcheck_continue.timer mdcheck_start.timer mdmonitor-oneshot.timer mdmonitor.service)
policy=/usr/sbin/policy-rc.d
# Where the kernel has AppArmor, the engine starts no container without its tools.
if grep -qs Y /sys/module/apparmor/parameters/enabled; then packages+=(apparmor); fi

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -- "$@"; fi
}

# Runs a command with its output in a log, and shows that only when it fails.
quietly() {
    local log=$root/target/rig/setup.log
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        die "failed: $* (all of its output is in target/rig/setup.log)"
    fi
}

check_machine() {
    [ "$(uname -s)" = Linux ] || die "this needs Linux: the tests run a real Docker Engine in namespaces of their own"
    if ! command -v apt-get >/dev/null || [ ! -r /etc/debian_version ]; then
        die "this needs Debian (tried on Debian 12): apt-get or /etc/debian_version is missing"
    fi
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        die "this needs root, to install packages and make namespaces: run it as root or install sudo"
    fi
}

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        case $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true) in
            installed) ;;
            *) printf '%s\n' "$package" ;;
        esac
    done
}

# Which of the services have a unit file, and are enabled, before we touch anything.
known_services() {
    local service
    for service in "${services[@]}"; do
        if [ -e "/lib/systemd/system/$service" ] || [ -e "/etc/systemd/system/$service" ]; then
            printf '%s\n' "$service"
        fi
    done
}

install_packages() {
    local missing before service
    mapfile -t missing < <(missing_packages)
    if [ "${#missing[@]}" = 0 ]; then
        say "packages: all there"
        return
    fi
    say "packages: installing ${missing[*]}"
    before=$(known_services)
    hold_services
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get update
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
    release_services
    for service in $(known_services); do
        # One that was here before belongs to somebody: leave it as it is.
        if grep -qxF "$service" <<<"$before"; then continue; fi
        disable_service "$service"
    done
}

# Debian's maintainer scripts ask policy-rc.d before they start a service; 101 means no.
hold_services() {
    if [ -e "$policy" ]; then
        say "services: $policy is here already, leaving it alone"
        return
    fi
    trap release_services EXIT
    printf '#!/bin/sh\n# monopod tests/setup.sh: nothing is started while packages are installed\nexit 101\n' |
        as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

release_services() {
    if grep -qs 'monopod tests/setup.sh' "$policy"; then as_root rm -f "$policy"; fi
    trap - EXIT
}

disable_service() {
    say "services: $1 came with a package, disabling it"
    # Works without a running systemd too: it only removes links.
    as_root systemctl disable --quiet "$1" 2>/dev/null ||
        as_root rm -f "/etc/systemd/system/multi-user.target.wants/$1" "/etc/systemd/system/sockets.target.wants/$1" \
            "/etc/systemd/system/sysinit.target.wants/$1"
    if [ -d /run/systemd/system ]; then as_root systemctl stop --quiet "$1" || true; fi
}

# An environment is named done by a stamp that holds the hash of its requirements, written last: a run cut short in the
# middle is done again. Every requirement is pinned, so pip is not to look for more.
install_python() {
    local what=$1 name=$2 requirements=$root/$3 size=$4 wanted
    local venv=$root/target/rig/$name
    wanted=$(sha256sum <"$requirements")
    if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/stamp" 2>/dev/null)" = "$wanted" ]; then
        say "$what: there"
        return
    fi
    say "$what: installing into target/rig/$name ($size, some seconds)"
    rm -rf "$venv"
    # Debian's own Python, not one that happens to be first in PATH.
    quietly /usr/bin/python3 -m venv "$venv"
    quietly "$venv/bin/pip" install --disable-pip-version-check --no-deps --requirement "$requirements"
    printf '%s\n' "$wanted" >"$venv/stamp"
}

bench=no
case ${1-} in
    '') ;;
    --bench) bench=yes; packages+=(docker-compose time) ;;
    *) die "wrong usage: tests/setup.sh [--bench]" ;;
esac
check_machine
mkdir -p "$root/target/rig"
install_packages
install_python "AWS stand-in" venv tests/support/requirements.txt "140 MB"
install_python "tools that tests ask" tools tests/support/tools.txt "250 MB"
install_python "OTLP's schema" otlp tests/support/otlp.txt "25 MB"
if [ "$bench" = yes ]; then
    install_python "tools to measure against" bench tests/bench/requirements.txt "200 MB"
fi
say "ready"

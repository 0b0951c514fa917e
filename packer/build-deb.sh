#!/bin/bash
# Builds the Debian package of the agent and of what makes a machine a monopod machine. `make deb` calls it.
#
#   packer/build-deb.sh [DIRECTORY]      where the package goes; target/deb unless told
#
#   MONOPOD_BINARY     the agent to put in; target/release/monopod unless told
#   MONOPOD_MAINTAINER who answers for the package, as NAME <ADDRESS>
#   DEB_COMPRESSION    xz unless told; gzip is faster and larger
#   SOURCE_DATE_EPOCH  the time of everything in it; that of the last commit unless told
#
# The same sources give the same package, byte for byte. It needs dpkg-deb, no root, and no debhelper: what goes where is
# the list in lay_out(), and there is no other.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/target/deb}
binary=${MONOPOD_BINARY:-$root/target/release/monopod}
maintainer=${MONOPOD_MAINTAINER:-monopod maintainers <maintainers@monopod.invalid>}
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
architecture=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || stat --format=%Y "$root/Cargo.toml")}
export SOURCE_DATE_EPOCH LC_ALL=C
umask 022

die() { printf 'build-deb: %s\n' "$*" >&2; exit 1; }

[ -n "$version" ] || die "no version in Cargo.toml"
[ -f "$binary" ] || die "no $binary; \`make release\` builds it, or MONOPOD_BINARY names another"

tree=$(mktemp --directory)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"

# put MODE SOURCE TARGET
put() { install -D --mode="$1" "$root/$2" "$tree$3"; }

lay_out() {
    local units=/usr/lib/systemd/system unit

    install -D --mode=755 "$binary" "$tree/usr/bin/monopod"
    for unit in monopod{,-prepare,-drain,-poweroff,-audit-{log,close},-access,-firewall}.service \
        monopod-{poweroff,audit-log,access}.path monopod-{access,firewall}.socket application.slice; do
        put 644 "systemd/$unit" "$units/$unit"
    done
    # systemd wants it named after the place.
    put 644 systemd/access-home-monopod.mount "$units/run-monopod\\x2daccess-home.mount"

    # What other units get from us.
    put 644 systemd/docker-monopod.conf $units/docker.service.d/monopod.conf
    put 644 systemd/docker-scope-monopod.conf $units/docker-.scope.d/monopod.conf
    put 644 systemd/containerd-monopod.conf $units/containerd.service.d/monopod.conf
    put 644 systemd/ssh-monopod.conf $units/ssh.service.d/monopod.conf
    put 644 systemd/rsyslog-service-monopod.conf $units/rsyslog.service.d/monopod.conf
    put 644 systemd/logrotate-timer-monopod.conf $units/logrotate.timer.d/monopod.conf
    put 644 systemd/system-slice-monopod.conf $units/system.slice.d/monopod.conf
    put 644 systemd/user-slice-monopod.conf $units/user.slice.d/monopod.conf

    put 644 systemd/tmpfiles-monopod.conf /usr/lib/tmpfiles.d/monopod.conf
    put 644 systemd/sysusers-monopod.conf /usr/lib/sysusers.d/monopod.conf
    put 644 systemd/sysusers-access-monopod.conf /usr/lib/sysusers.d/monopod-access.conf
    put 644 systemd/journald-monopod.conf /usr/lib/systemd/journald.conf.d/50-monopod.conf
    put 755 systemd/host-keys /usr/lib/monopod/host-keys
    put 755 systemd/audit-log /usr/lib/monopod/audit-log
    put 755 systemd/free-999 /usr/lib/monopod/free-999
    # pam-auth-update puts it into PAM's own files.
    put 644 systemd/pam-monopod-access /usr/share/pam-configs/monopod-access
    # Where there is no drop-in for it, or not every image wants it.
    put 644 systemd/daemon.json /usr/share/monopod/daemon.json
    put 644 systemd/serial-getty-root-monopod.conf /usr/share/monopod/serial-getty-root.conf

    # An administrator's to change.
    put 644 systemd/rsyslog-monopod.conf /etc/rsyslog.d/10-monopod.conf
    put 644 systemd/logrotate-monopod.conf /etc/logrotate.d/00-monopod
    put 644 systemd/sshd-monopod.conf /etc/ssh/sshd_config.d/50-monopod.conf
    put 644 systemd/cloud-init-monopod.cfg /etc/cloud/cloud.cfg.d/90-monopod.cfg
    put 755 systemd/motd-monopod.sh /etc/update-motd.d/50-monopod
    put 640 systemd/audit-monopod.rules /etc/audit/rules.d/50-monopod.rules
    put 644 systemd/profile-monopod-access.sh /etc/profile.d/monopod-access.sh
    put 440 systemd/sudoers-monopod /etc/sudoers.d/monopod
    # As sudo and auditd have them.
    chmod 750 "$tree/etc/sudoers.d"
    chmod 750 "$tree/etc/audit" "$tree/etc/audit/rules.d"
    install -d --mode=755 "$tree/etc/monopod/defaults.d"

    put 644 packer/debian/copyright /usr/share/doc/monopod/copyright
    put 644 systemd/README.md /usr/share/doc/monopod/machine.md
    put 644 README.md /usr/share/doc/monopod/README.md
    put 644 STATUS.md /usr/share/doc/monopod/STATUS.md
    put 644 config-samples/REFERENCE.md /usr/share/doc/monopod/REFERENCE.md
    put 644 CHANGELOG.md /usr/share/doc/monopod/CHANGELOG.md
    put 644 config-samples/image/policy.yaml /usr/share/doc/monopod/examples/policy.yaml
    put 644 config-samples/image/defaults.yaml /usr/share/doc/monopod/examples/defaults.yaml
    put 644 packer/debian/lintian-overrides /usr/share/lintian/overrides/monopod
    fill packer/debian/changelog.in "$tree/usr/share/doc/monopod/changelog"
    gzip --best --no-name "$tree"/usr/share/doc/monopod/{changelog,*.md}
    gunzip "$tree"/usr/share/doc/monopod/{README,machine}.md.gz
}

# The oldest libc that has all of what the agent calls.
libc() {
    local newest
    newest=$(grep --text --only-matching 'GLIBC_2\.[0-9]*' "$binary" | sort --version-sort --unique | tail -n 1 || true)
    echo "libc6${newest:+ (>= ${newest#GLIBC_})}"
}

# fill TEMPLATE TARGET
fill() {
    local text
    text=$(cat "$root/$1")
    text=${text//@VERSION@/$version}
    text=${text//@ARCHITECTURE@/$architecture}
    text=${text//@MAINTAINER@/$maintainer}
    text=${text//@DATE@/$(date --utc --date="@$SOURCE_DATE_EPOCH" --rfc-email)}
    text=${text//@LIBC@/$(libc)}
    text=${text//@INSTALLED_SIZE@/$(size)}
    text=${text//@DAEMON_JSON_SHA256@/$(sha256sum <"$root/systemd/daemon.json" | cut -d' ' -f1)}
    printf '%s\n' "$text" >"$2"
}

# In KiB, each file rounded up: the same on every file system.
size() {
    find "$tree" -type f -not -path "$tree/DEBIAN/*" -printf '%s\n' | awk '{ sum += int(($1 + 1023) / 1024) } END { print sum + 0 }'
}

control() {
    install -d --mode=755 "$tree/DEBIAN"
    fill packer/debian/control.in "$tree/DEBIAN/control"
    for script in postinst prerm postrm; do
        fill "packer/debian/$script" "$tree/DEBIAN/$script"
        chmod 755 "$tree/DEBIAN/$script"
    done
    (cd "$tree" && find etc -type f -printf '/%p\n' | sort) >"$tree/DEBIAN/conffiles"
    # md5sum marks names that have a backslash, and doubles it; dpkg takes names as they are.
    (cd "$tree" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | sort --zero-terminated |
        xargs --null md5sum | sed '/^\\/{s/^.//;s/\\\\/\\/g}') >"$tree/DEBIAN/md5sums"
}

lay_out
control
package=$out/monopod_${version}_${architecture}.deb
mkdir -p "$out"
dpkg-deb -Z"${DEB_COMPRESSION:-xz}" --root-owner-group --build "$tree" "$package" >/dev/null
# The name that does not change, for whoever installs it.
ln -sf "$(basename "$package")" "$out/monopod.deb"
echo "$package"

#!/bin/sh
# What this image is, for whoever stands before one of its machines: /etc/monopod/image.json, as README.md describes it.
set -eu

# As JSON has it: names and versions hold no control characters, and those that could be there are dropped.
text() { printf '%s' "$1" | tr -d '\000-\037' | sed 's/[\\"]/\\&/g; s/^/"/; s/$/"/'; }
field() { if [ -n "$2" ]; then printf '%s: ' "$(text "$1")"; text "$2"; else printf '%s: null' "$(text "$1")"; fi; }

# The newest kernel installed is the one that boots.
kernel=$(find /boot -maxdepth 1 -name 'vmlinuz-*' -printf '%f\n' | sed 's/^vmlinuz-//' | sort -V | tail -n 1)
system=$(sed -n 's/^PRETTY_NAME="\(.*\)"$/\1/p' /etc/os-release)

# The last day on which machines should be launched from it; whoever builds each week wants no month-old image in use.
expires=
if [ "${IMAGE_VALID_DAYS:-0}" -gt 0 ]; then
    expires=$(date --utc --date "$IMAGE_BUILT + $IMAGE_VALID_DAYS days" +%F)
fi

packages() {
    dpkg-query --show --showformat='${db:Status-Status} ${Package} ${Version}\n' |
        sed -n 's/^installed //p' | LC_ALL=C sort |
        grep -E '^(monopod|docker\.io|docker-ce|containerd|containerd\.io|runc|systemd|openssh-server|apparmor|mdadm|xfsprogs|e2fsprogs|rsyslog|auditd|cloud-init|libc6) '
}

umask 022
install -d -m 0755 /etc/monopod
{
    printf '{\n  "schema": 1,\n'
    printf '  %s,\n' "$(field name "$IMAGE_NAME")" "$(field built "$IMAGE_BUILT")" "$(field commit "$IMAGE_COMMIT")" \
        "$(field expires "$expires")"
    printf '  "base": {%s, %s},\n' "$(field id "$IMAGE_BASE")" "$(field name "$IMAGE_BASE_NAME")"
    printf '  %s,\n' "$(field system "$system")" "$(field architecture "$(dpkg --print-architecture)")" "$(field kernel "$kernel")"
    printf '  "packages": {\n'
    packages | while read -r package version; do printf '    %s\n' "$(field "$package" "$version")"; done | sed '$!s/$/,/'
    printf '  }\n}\n'
} >/etc/monopod/image.json
cat /etc/monopod/image.json

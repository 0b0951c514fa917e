#!/bin/sh
# The engine, what it and the agent need, and the agent itself. Its package installs the units, users and settings,
# enables them, and starts nothing.
#
# UPGRADE=true brings the base up to date first; otherwise apt asks for what is missing, and nobody if that is nothing.
set -eu

here=/tmp/monopod-image
export DEBIAN_FRONTEND=noninteractive

# Nothing that is installed here is to start here.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d

# A cloud's own first boot may still hold apt's lock.
if [ -d /run/systemd/system ] && command -v cloud-init >/dev/null; then cloud-init status --wait >/dev/null || true; fi

install_packages() {
    apt-get -q -y --no-install-recommends install "$@"
}

missing=$(sed 's/#.*//' "$here/packages.txt" | while read -r package; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ -z "$package" ] || [ "$status" = installed ] || echo "$package"
done)

if [ "$UPGRADE" = true ] || [ -n "$missing" ]; then
    apt-get -q update
    if [ "$UPGRADE" = true ]; then apt-get -q -y -o Dpkg::Options::=--force-confold dist-upgrade; fi
    # Words, not lines.
    # shellcheck disable=SC2086
    if [ -n "$missing" ]; then install_packages $missing; fi
    # A way in with a key that IAM grants for a minute. Ubuntu has it, Debian 12 has not.
    if apt-cache show ec2-instance-connect >/dev/null 2>&1; then install_packages ec2-instance-connect; fi
fi

install_packages "$here/monopod.deb"

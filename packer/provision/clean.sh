#!/bin/sh
# What would make two machines of this image the same, or tell of the machine that built it. Everything here is made
# anew at the first boot.
set -eu

# Empty, not gone: systemd fills it and knows that it's a first boot.
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
# ssh.service makes new ones, see /usr/lib/monopod/host-keys.
rm -f /etc/ssh/ssh_host_*
# Including the key this build came in with.
rm -rf /root/.ssh /home/*/.ssh
rm -f /root/.bash_history /home/*/.bash_history /root/.wget-hsts /root/.lesshst

# What cloud-init noted about the machine, its network among it.
if command -v cloud-init >/dev/null; then cloud-init clean --logs || true; fi
rm -rf /var/lib/cloud/* /run/cloud-init /etc/netplan/50-cloud-init.yaml /etc/network/interfaces.d/50-cloud-init
rm -rf /var/lib/dhcp/* /var/lib/systemd/network/* /var/lib/NetworkManager/*
# The engine has run if the base brought one: no image, no container, no key of its own.
rm -rf /var/lib/docker /var/lib/containerd /etc/docker/key.json
# And the agent's, should somebody have tried it.
rm -rf /var/lib/monopod /run/monopod

apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/lib/dpkg/*-old /etc/*- /usr/sbin/policy-rc.d
find /var/log -type f -delete
rm -rf /var/log/journal/* /tmp/monopod-image /var/tmp/*
# Not the script itself, which Packer removes.

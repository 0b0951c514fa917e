#!/bin/sh
# What root/ holds is laid over the machine: each file there says what it is for. Then what no file can say. Units, users,
# limits and sshd's rules are not here: the agent's package brings them.
#
# SERIAL_CONSOLE_ROOT=true opens the serial console, GRANTING_SERVICE_KEYS lets a service grant logins, see README.md.
set -eu

here=/tmp/monopod-image

# One by one, so that directories that are there keep their owners and modes.
(cd "$here/root" && find . -type f) | while read -r file; do
    install -D -o root -g root -m 0644 "$here/root/$file" "/$file"
done

if [ "$SERIAL_CONSOLE_ROOT" = true ]; then
    install -D -m 0644 /usr/share/monopod/serial-getty-root.conf \
        /etc/systemd/system/serial-getty@ttyS0.service.d/monopod.conf
    systemctl enable serial-getty@ttyS0.service
fi

if [ -n "${GRANTING_SERVICE_KEYS-}" ]; then
    printf '%s\n' "$GRANTING_SERVICE_KEYS" >/etc/monopod/granting-service.pub
    chmod 0644 /etc/monopod/granting-service.pub
    # One that sshd could not read would let nobody in, and nobody would be told.
    ssh-keygen -l -f /etc/monopod/granting-service.pub
fi

# The container's user is 999, which a distribution may have given away.
/usr/lib/monopod/free-999

# Nobody has a password: neither root nor a login the base came with.
passwd -q -l root
awk -F: '$3 >= 1000 && $3 < 60000 { print $1 }' /etc/passwd | while read -r user; do passwd -q -l "$user"; done

# It begins with `flush ruleset`, the engine's rules and ours included. What a machine wants beside them it loads by itself,
# into a table of its own.
systemctl mask nftables.service

# The image is what runs. Packages that change on their own would make each machine another one, and restart the engine
# when nobody looks: an update is a new image.
for package in unattended-upgrades apport popularity-contest; do
    if dpkg-query --show "$package" >/dev/null 2>&1; then apt-get -q -y purge "$package"; fi
done
for unit in apt-daily.timer apt-daily-upgrade.timer motd-news.timer fwupd-refresh.timer; do
    if [ -e "/lib/systemd/system/$unit" ]; then systemctl mask "$unit"; fi
done
# Ubuntu's snaps (SSM's agent is one) refresh themselves, by no timer of systemd's. snapd says so itself if it can't hold them.
if command -v snap >/dev/null; then
    snap wait system seed.loaded
    snap set system refresh.hold=forever
fi

# sshd by its service: a socket would listen where sshd_config said when PID 1 last read it, and each login would need
# a new unit.
if [ -e /lib/systemd/system/ssh.socket ]; then systemctl disable ssh.socket; fi
rm -f /etc/systemd/system/ssh.service.d/00-socket.conf /etc/systemd/system/ssh.service.requires/ssh.socket
systemctl enable ssh.service

# A mistake in a file above is found here, not on a machine that nobody can log in to. sshd wants a key to check with.
mkdir -p /run/sshd
[ -e /tmp/host-key ] || ssh-keygen -q -t ed25519 -N '' -f /tmp/host-key
/usr/sbin/sshd -t -h /tmp/host-key
/usr/sbin/visudo -q -c
rm -f /tmp/host-key /tmp/host-key.pub

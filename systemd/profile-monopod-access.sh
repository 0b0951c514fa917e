# shellcheck shell=sh
# How long this login lasts, where it is one for a time. Installed as /etc/profile.d/monopod-access.sh
#
# By the date in the key's file, which sshd looks at, too; root's own profile and accounts of the machine have none there.
if [ -n "${SSH_TTY-}" ] && [ -r "/run/monopod-access/${USER-}" ] && [ -f "/run/monopod-access/${USER-}" ]; then
    # YYYYMMDDHHMMSS, and Z where it is UTC.
    monopod_until=$(sed -n 's/^expiry-time="\([0-9]\{4\}\)\([0-9]\{2\}\)\([0-9]\{2\}\)\([0-9]\{2\}\)\([0-9]\{2\}\)[0-9]*\(Z\{0,1\}\)".*/\1-\2-\3 \4:\5\6/p' "/run/monopod-access/$USER" | head -n 1)
    if [ -n "$monopod_until" ]; then
        echo "This login ends by itself at $(date --date="$monopod_until" '+%Y-%m-%d %H:%M %Z' 2>/dev/null || echo "$monopod_until"). It may run: monopod status, monopod logs."
    fi
    unset monopod_until
fi

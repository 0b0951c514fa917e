#!/bin/sh
# Runs the rig's service (programs/service.rs, which says what it can be told), and passes SIGTERM on to it as a line in a
# pipe, for it to say when that was. Ends as it ends; on SIGUSR1 takes memory until the kernel kills it.
/bin/busybox rm -f /tmp/signals
/bin/busybox mkfifo -m 666 /tmp/signals
exec 3<>/tmp/signals
trap 'echo TERM >&3' TERM
trap 'echo "service eats"; exec tail /dev/zero' USR1
/app/service &
pid=$!
while :; do
    wait $pid
    code=$?
    # A signal ends the wait, not the service.
    kill -0 $pid 2>/dev/null || exit $code
done

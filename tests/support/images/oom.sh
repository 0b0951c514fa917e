# Takes memory after AFTER (0) seconds until the kernel kills it. Needs a memory limit, or it takes the machine's.
echo "oom starting"
sleep "${AFTER:-0}"
exec tail /dev/zero

# A web server on PORT (8080): see answer.sh. Prints a numbered line every INTERVAL (1) seconds.
# Ends with 0 on SIGTERM; on SIGUSR1 takes memory until the kernel kills it. Runs as any user.
echo "web starting as uid $(id -u)"
date +%s >/tmp/started
trap 'echo "web got SIGTERM"; exit 0' TERM
trap 'echo "web eats"; exec tail /dev/zero' USR1
nc -ll -p "${PORT:-8080}" -e /app/answer &
number=0
while :; do
    number=$((number + 1))
    echo "web line $number"
    sleep "${INTERVAL:-1}" &
    wait $!
done

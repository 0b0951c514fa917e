# Sleeps. With DEAF set it ignores SIGTERM and has to be killed.
if [ -n "$DEAF" ]; then trap 'echo "sleeper is deaf"' TERM; else trap 'exit 0' TERM; fi
echo "sleeper starting"
while :; do
    sleep 1000 &
    wait $!
done

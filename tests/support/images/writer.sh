# Runs the rig's writer (programs/writer.rs, which says what LINES, RATE, LENGTH, PATTERN, STREAM, SEED ... mean), with its
# report in /tmp/report.json. Then it sleeps, or ends with EXIT_CODE if set.
trap 'kill $pid; exit 0' TERM
REPORT="${REPORT:-/tmp/report.json}" /app/writer &
pid=$!
wait $pid
if [ -n "$EXIT_CODE" ]; then exit "$EXIT_CODE"; fi
sleep 1000000 &
pid=$!
wait $pid

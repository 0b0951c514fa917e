# Prints LINES (1000) numbered lines as fast as it can, `chatty done`, and then sleeps, or ends with EXIT_CODE if set.
seq 1 "${LINES:-1000}" | sed 's/^/chatty line /'
echo "chatty done"
if [ -n "$EXIT_CODE" ]; then exit "$EXIT_CODE"; fi
trap 'exit 0' TERM
sleep 1000000 &
wait $!

# Runs for LIFE (0.5) seconds, then fails with 3, every time.
echo "crash-loop started"
sleep "${LIFE:-0.5}"
echo "crash-loop fails" >&2
exit 3

#!/bin/sh
# Answers one request. /health gives STATUS (200), or 503 until HEALTHY_AFTER (0) seconds after the start.
read -r method path rest
while read -r line && [ "${#line}" -gt 1 ]; do :; done
status=200 body="hello from $method $path"
case $path in
/health)
    status=${STATUS:-200} body=healthy
    if [ "$(($(date +%s) - $(cat /tmp/started)))" -lt "${HEALTHY_AFTER:-0}" ]; then status=503 body=starting; fi
    ;;
/uid) body=$(id -u) ;;
esac
printf 'HTTP/1.1 %s Rig\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' "$status" "${#body}" "$body"

# Runs the rig's writer (programs/writer.rs) once for each line it is given through the pipe /tmp/go, "SEED LINES RATE LENGTH",
# each time with a report of its own, /tmp/report-SEED.json. Until the first one it is silent. See stage.rs.
/bin/busybox mkfifo -m 666 /tmp/go
exec 3<>/tmp/go
while read -r SEED LINES RATE LENGTH <&3; do
    export SEED LINES RATE LENGTH
    REPORT=/tmp/report-$SEED.json /app/writer
done

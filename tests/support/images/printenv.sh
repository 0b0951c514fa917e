# For each variable named in NAMES (separated by spaces): its length and the sha256 of its value, never the value.
for name in $NAMES; do
    eval "value=\$$name"
    echo "env $name ${#value} $(printf %s "$value" | sha256sum | head -c 64)"
done
echo "printenv done"
trap 'exit 0' TERM
sleep 1000000 &
wait $!

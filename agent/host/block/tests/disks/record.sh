#!/bin/bash
# Writes the .gz files beside it anew: a device's size (8 bytes, little endian), its first and its last MiB, as the
# tools that make such devices leave them. Nobody has to run this to test; a new format is added here.
#
# Needs root, btrfs-progs, cryptsetup-bin, dosfstools, e2fsprogs, fdisk, gdisk, genisoimage, lvm2, mdadm, python3,
# squashfs-tools, xfsprogs, and a kernel with md (the arrays are skipped without).
set -euo pipefail
out=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

for kind in ext2 ext3 ext4; do
    truncate -s 16M "$kind"
    "mkfs.$kind" -q -F "$kind"
done
truncate -s 300M xfs && mkfs.xfs -q xfs
truncate -s 128M btrfs && mkfs.btrfs -q btrfs
truncate -s 16M vfat && mkfs.vfat vfat >/dev/null
truncate -s 16M swap && mkswap -q swap
truncate -s 16M gpt && sgdisk -n 1:0:0 gpt >/dev/null
truncate -s 16M mbr && echo 'start=2048, type=83' | sfdisk -q mbr
for version in 1 2; do
    truncate -s 32M "luks$version"
    echo -n pass | cryptsetup luksFormat -q --type "luks$version" --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "luks$version" -
done
truncate -s 16M lvm
device=$(losetup --find --show lvm)
pvcreate -q --config 'devices { use_devicesfile=0 filter=["a|/dev/loop|","r|.*|"] }' "$device"
losetup --detach "$device"
mkdir tree && echo hello >tree/file
mksquashfs tree squashfs -quiet -no-progress >/dev/null && truncate -s 16M squashfs
genisoimage -quiet -o iso tree 2>/dev/null && truncate -s 16M iso
rm -r tree

array() { # metadata level files...
    local metadata=$1 level=$2 devices=() file
    shift 2
    for file in "$@"; do
        truncate -s 16M "$file"
        devices+=("$(losetup --find --show "$file")")
    done
    mdadm --create /dev/md/recorded --run --level="$level" --raid-devices=$# --metadata="$metadata" --homehost=any "${devices[@]}"
    mdadm --wait /dev/md/recorded || true
    mdadm --stop /dev/md/recorded
    losetup --detach "${devices[@]}"
}
if [ -e /proc/mdstat ]; then
    array 0.90 1 md-0.90 other
    array 1.0 1 md-1.0 other
    array 1.1 0 md-1.1 other
    array 1.2 5 md-1.2 md-1.2-second other
    rm other
fi

python3 - "$out" * <<'PYTHON'
import gzip, os, sys
edge = 1 << 20
# Behind their headers are keys, which are noise.
kept = {"luks1": 4096, "luks2": 32768}
out, *names = sys.argv[1:]
for name in names:
    size = os.path.getsize(name)
    with open(name, "rb") as disk:
        head = disk.read(edge)
        disk.seek(size - edge)
        tail = disk.read(edge)
    if name in kept:
        head, tail = head[:kept[name]].ljust(edge, b"\0"), bytes(edge)
    with open(os.path.join(out, name + ".gz"), "wb") as file:
        with gzip.GzipFile("", "wb", 9, file, 0) as packed:
            packed.write(size.to_bytes(8, "little") + head + tail)
PYTHON

#!/bin/sh
# Makes a virtual machine's root disk of the machine image and what the rig adds, without a loop device.
# Arguments: the machine's folder, the image, the disk's size in MiB.
set -e
dir=$1
image=$2
mkdir -p "$dir/lower" "$dir/whole"
mount -t overlay monopod-rig -o "lowerdir=$dir/added:$image" "$dir/whole"
truncate -s "$3M" "$dir/root.img"
mkfs.ext4 -q -F -L root -d "$dir/whole" "$dir/root.img"
umount "$dir/whole"

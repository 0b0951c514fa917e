//! Volumes and mounts.

use super::Fate::Read;
use super::Shape::{Choice, List, Map, Object, StrictFlag, Text};
use super::{Grammar, Key};

const RAID: &[Key] = &[
    Key::new("level", Choice(&["0", "1", "5", "10"]), Read, "The RAID level.")
        .required()
        .example("level: 1"),
    Key::new(
        "devices",
        List(&Text(Grammar::Device)),
        Read,
        "The devices it is made of, two or more. One is missing: an array whose level allows that starts without it, with a warning.",
    )
    .required()
    .example("devices: [/dev/xvdf, /dev/xvdg]"),
];

const VOLUMES: &[Key] = &[
    Key::new("ebs", Map { key: "the device", names: Grammar::Device, value: &Text(Grammar::NotEmpty) }, Read, "EBS volumes to attach: the device, and the volume's Name tag. ${local_ipv4} and ${public_ipv4} in a tag stand for the machine's addresses. Of several that are available the one with the lowest id is taken, with a warning.")
        .example("ebs:\n  /dev/sdf: my-volume"),
    Key::new("raid", Map { key: "the array's device", names: Grammar::Array, value: &Object(RAID) }, Read, "Arrays to assemble out of devices.")
        .example("raid:\n  /dev/md/data:\n    level: 0\n    devices: [/dev/xvdb, /dev/xvdc]"),
];

const MOUNT: &[Key] = &[
    Key::new("partition", Text(Grammar::Partition), Read, "The device that is mounted; `none` for tmpfs. Without it a directory of the machine is bound, the one below /mounts.")
        .default("no device")
       .example("partition: /dev/xvdf"),
    Key::new("filesystem", Choice(&["ext4", "ext3", "ext2", "xfs", "tmpfs"]), Read, "The file system on the device, or the one it gets when it is formatted. ext2, ext3 and ext4 are mounted as what is found; any other than asked for is refused.")
        .default("ext4")
        .example("filesystem: xfs"),
    Key::new("erase_on_boot", StrictFlag, Read, "Whether the device is formatted: true does it once for each instance and volume, whatever is on it, a partition table or a part of an array included; false never, and then a blank device is refused. A string is an error, because a quoted \"false\" once wiped a volume.")
        .default("the volume's tag Taupage:erase-on-boot decides; a blank device is formatted")
        .example("erase_on_boot: false"),
    Key::new("options", Text(Grammar::DiskOptions), Read, "Options of mount(8). With `ro` the device is never formatted.").default("the file system's").example("options: noatime,nodiratime"),
];

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "volumes",
        Object(VOLUMES),
        Read,
        "Volumes that are attached and arrays that are assembled before the container starts.",
    )
    .taupage("The same; waited 20 minutes for a volume, longer than CloudFormation waits.")
    .ours("The container waits for them inside the boot budget, a volume that another machine still holds included; it is never taken by force. A volume is found on the machine by its id, whatever the kernel calls it. An array that exists is used, whatever its name, and none is made over devices that carry anything.")
    .example("volumes:\n  ebs:\n    /dev/sdf: my-volume"),
    Key::new(
        "mounts",
        Map {
            key: "the path in the container",
            names: Grammar::Path,
            value: &Object(MOUNT),
        },
        Read,
        "File systems that are mounted into the container.",
    )
    .taupage("The same; a device without erase_on_boot was formatted only if its volume had the tag.")
    .ours("A blank device is formatted too, so that a new volume works; one that carries anything never is without an order. They belong to the container's user instead of to everybody, and are mounted without set-user-ID programs and device files unless the options say `suid` or `dev`.")
    .example("mounts:\n  /data:\n    partition: /dev/xvdf\n    filesystem: ext4"),
];

//! Volumes and mounts.

use super::Fate::{Read, Refused};
use super::Shape::{Choice, Either, List, Map, Number, Object, StrictFlag, Text};
use super::{Grammar, Key};

const DATA: &str = "an app booted without its volume loses data";

const RAID: &[Key] = &[
    Key::new(
        "level",
        Either(&[
            Choice(&["0", "1", "5", "10"]),
            Number {
                least: 0,
                most: 10,
                unit: "",
            },
        ]),
        Read,
        "0, 1, 5 or 10.",
    )
    .required()
    .example("level: 1"),
    Key::new(
        "devices",
        List(&Text(Grammar::Path)),
        Read,
        "Its members, two or more.",
    )
    .required()
    .example("devices: [/dev/xvdf, /dev/xvdg]"),
];

const VOLUMES: &[Key] = &[
    Key::new("ebs", Map { key: "the device", value: &Text(Grammar::NotEmpty) }, Read, "EBS volumes: device and Name tag. ${local_ipv4} and ${public_ipv4} stand for the machine's addresses.")
        .example("ebs:\n  /dev/sdf: my-volume"),
    Key::new("raid", Map { key: "the array's device", value: &Object(RAID) }, Read, "Arrays of devices.")
        .example("raid:\n  /dev/md/data:\n    level: 0\n    devices: [/dev/xvdb, /dev/xvdc]"),
];

const MOUNT: &[Key] = &[
    Key::new("partition", Text(Grammar::NotEmpty), Read, "The device, or `none` for tmpfs. Without it the directory is bound only.").example("partition: /dev/xvdf"),
    Key::new("filesystem", Choice(&["ext4", "ext3", "ext2", "xfs", "tmpfs"]), Read, "What is on the device, or will be.")
        .default("ext4")
        .example("filesystem: xfs"),
    Key::new("erase_on_boot", StrictFlag, Read, "true formats it once for each instance and volume, false never. A string or a number is an error: a quoted \"false\" once wiped a volume.")
        .default("the volume's tag decides; a blank device is formatted")
        .example("erase_on_boot: false"),
    Key::new("options", Text(Grammar::Any), Read, "Mount options.").example("options: noatime,nodiratime"),
];

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "volumes",
        Object(VOLUMES),
        Refused(DATA),
        "Volumes to attach and arrays to assemble before the container starts.",
    )
    .taupage("The same; waited 20 minutes for a volume, longer than CloudFormation.")
    .ours("Not available in this version, so a file that asks for them is refused.")
    .example("volumes:\n  ebs:\n    /dev/sdf: my-volume"),
    Key::new(
        "mounts",
        Map {
            key: "the path in the container",
            value: &Object(MOUNT),
        },
        Refused(DATA),
        "What is mounted into the container.",
    )
    .taupage("The same; formatted on the word of a string.")
    .ours("Not available in this version, so a file that asks for them is refused.")
    .example("mounts:\n  /data:\n    partition: /dev/xvdf\n    filesystem: ext4"),
];

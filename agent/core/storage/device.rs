//! Names of devices: what a person writes, what EC2 attaches as, and what the kernel calls it.

use crate::config::Storage;

/// Whether two names mean the same device: `/dev/sdf`, `/dev/xvdf` and `xvdf` do. A partition is a device of its own.
pub fn same_device(a: &str, b: &str) -> bool {
    bare(a) == bare(b)
}

/// `/dev/sdf` is `xvdf`, as the kernel of a Xen instance calls what EC2 attaches as `sdf`.
fn bare(name: &str) -> String {
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
    let parts = match parts.split_first() {
        Some((&"dev", rest)) if !rest.is_empty() => rest,
        _ => &parts,
    };
    match parts {
        [one] => match one.strip_prefix("sd") {
            Some(letters) => format!("xvd{letters}"),
            None => (*one).to_owned(),
        },
        several => several.join("/"),
    }
}

/// A name taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    /// The whole disk, in the spelling it came in.
    pub device: String,
    /// The partition on it.
    pub partition: Option<u32>,
}

/// Takes a name apart: `/dev/xvdf1` is partition 1 of `/dev/xvdf`, `nvme1n1p1` of `nvme1n1`. Names below directories (`/dev/md/data`,
/// `/dev/mapper/x`) are whole devices, except udev's `-part1`.
pub fn split_partition(name: &str) -> Resolve {
    let whole = || Resolve {
        device: name.to_owned(),
        partition: None,
    };
    let disk = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let Some(Ok(number)) = name.get(disk.len()..).map(str::parse::<u32>) else {
        return whole();
    };
    let part = |device: &str| Resolve {
        device: device.to_owned(),
        partition: Some(number),
    };
    let ends_in_digit = |name: &str| name.ends_with(|c: char| c.is_ascii_digit());
    let (directory, last) = match disk.rsplit_once('/') {
        Some((directory, last)) => (directory.trim_end_matches('/'), last),
        None => ("/dev", disk),
    };
    if directory.starts_with("/dev/disk/") {
        return disk.strip_suffix("-part").map_or_else(whole, part);
    }
    if number == 0 || !matches!(directory, "/dev" | "") {
        return whole();
    }
    let lettered = ["sd", "xvd", "vd", "hd"].iter().any(|prefix| {
        last.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase()))
    });
    let numbered = ["nvme", "md", "loop", "mmcblk", "nbd"]
        .iter()
        .any(|prefix| last.starts_with(prefix));
    match disk.strip_suffix('p') {
        _ if lettered => part(disk),
        Some(device) if numbered && ends_in_digit(device) => part(device),
        _ => whole(),
    }
}

/// The partition's own name: `/dev/nvme1n1p1`, `/dev/xvdf1`, `/dev/disk/by-id/x-part1`.
pub fn partition_path(disk: &str, number: u32) -> String {
    let between = if disk.starts_with("/dev/disk/") {
        "-part"
    } else if disk.ends_with(|c: char| c.is_ascii_digit()) {
        "p"
    } else {
        ""
    };
    format!("{disk}{between}{number}")
}

/// Where the device of a mount, or of an array, comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A volume that the file attaches.
    Ebs {
        /// As `volumes.ebs` names it.
        device: String,
        /// The partition on it.
        partition: Option<u32>,
    },
    /// An array that the file assembles.
    Raid {
        /// As `volumes.raid` names it.
        device: String,
    },
    /// The machine's own: instance store, or attached by whoever launched it.
    Machine {
        /// As the file names it.
        device: String,
        /// The partition on it.
        partition: Option<u32>,
    },
}

impl Origin {
    /// Where a device of the file comes from. A whole name is looked for first, since EC2 attaches disks as `/dev/sdf1`, too.
    pub fn of(storage: &Storage, name: &str) -> Self {
        if let Some(raid) = storage.raid.iter().find(|raid| same_device(&raid.device, name)) {
            return Self::Raid {
                device: raid.device.clone(),
            };
        }
        let ebs = |name: &str| {
            storage
                .ebs
                .iter()
                .find(|volume| same_device(&volume.device, name))
                .map(|volume| volume.device.clone())
        };
        if let Some(device) = ebs(name) {
            return Self::Ebs {
                device,
                partition: None,
            };
        }
        let Resolve { device, partition } = split_partition(name);
        match ebs(&device) {
            Some(device) => Self::Ebs { device, partition },
            None => Self::Machine { device, partition },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EbsVolume, Raid, RaidLevel};

    #[test]
    fn one_device_has_several_names() {
        for (a, b) in [
            ("/dev/sdf", "/dev/xvdf"),
            ("xvdf", "/dev/sdf"),
            ("/dev//xvdf", "/dev/xvdf"),
            ("sdf", "/dev/sdf"),
            ("/dev/sda1", "/dev/xvda1"),
            ("/dev/nvme1n1", "nvme1n1"),
        ] {
            assert!(same_device(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("/dev/sdf", "/dev/sdg"),
            ("/dev/sdf", "/dev/sdf1"),
            ("/dev/md/sda", "/dev/md/xvda"),
            ("/dev/nvme1n1", "/dev/nvme1n1p1"),
            ("/dev/disk/by-id/sdf", "/dev/sdf"),
        ] {
            assert!(!same_device(a, b), "{a} {b}");
        }
    }

    #[test]
    fn partitions_are_found_in_a_name() {
        for (name, device, number) in [
            ("/dev/xvdf1", "/dev/xvdf", 1),
            ("/dev/sdf15", "/dev/sdf", 15),
            ("/dev/nvme1n1p1", "/dev/nvme1n1", 1),
            ("nvme10n2p12", "nvme10n2", 12),
            ("/dev/md0p2", "/dev/md0", 2),
            ("/dev/loop0p1", "/dev/loop0", 1),
            (
                "/dev/disk/by-id/nvme-Amazon_vol1-part3",
                "/dev/disk/by-id/nvme-Amazon_vol1",
                3,
            ),
        ] {
            let taken = split_partition(name);
            assert_eq!(
                (taken.device.as_str(), taken.partition),
                (device, Some(number)),
                "{name}"
            );
            assert_eq!(partition_path(device, number), name);
        }
        for name in [
            "/dev/xvdf",
            "/dev/nvme1n1",
            "/dev/md0",
            "/dev/md127",
            "/dev/loop7",
            "/dev/md/data1",
            "/dev/mapper/x1",
            "/dev/dm-1",
            "/dev/disk/by-id/nvme-Amazon_vol1",
            "/dev/xvdf0",
            "/dev/sdf99999999999",
            "/dev/",
            "1",
            "",
        ] {
            let whole = split_partition(name);
            assert_eq!((whole.device.as_str(), whole.partition), (name, None), "{name}");
        }
    }

    #[test]
    fn where_a_device_comes_from() {
        let mut storage = Storage::default();
        for device in ["/dev/sdf", "/dev/sdh1"] {
            storage.ebs.push(EbsVolume {
                device: device.to_owned(),
                name_tag: "x".to_owned(),
            });
        }
        storage.raid.push(Raid {
            device: "/dev/md/data".to_owned(),
            level: RaidLevel::Raid0,
            members: vec!["/dev/xvdb".to_owned(), "/dev/xvdc".to_owned()],
        });
        let ebs = |device: &str, partition| Origin::Ebs {
            device: device.to_owned(),
            partition,
        };
        assert_eq!(Origin::of(&storage, "/dev/xvdf"), ebs("/dev/sdf", None));
        assert_eq!(Origin::of(&storage, "/dev/xvdf2"), ebs("/dev/sdf", Some(2)));
        assert_eq!(Origin::of(&storage, "/dev/xvdh1"), ebs("/dev/sdh1", None));
        assert_eq!(
            Origin::of(&storage, "/dev/md/data"),
            Origin::Raid {
                device: "/dev/md/data".to_owned()
            }
        );
        assert_eq!(
            Origin::of(&storage, "/dev/nvme0n1p1"),
            Origin::Machine {
                device: "/dev/nvme0n1".to_owned(),
                partition: Some(1)
            }
        );
    }
}

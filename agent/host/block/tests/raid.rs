//! Arrays: what superblocks of real ones say; and, where the kernel has md, arrays of loop devices.

use std::path::{Path, PathBuf};

use monopod_core::config::{Raid, RaidLevel};
use monopod_core::storage::{Content, RaidAction, RaidRefusal, decide_raid};

use super::super::testing::{Loop, Temporary, sh};
use super::super::{BlockError, active_arrays, content, ensure_array, in_use, members};
use super::recorded::{self, MIB};
use crate::host::{Class, Classified as _};

fn raid(level: RaidLevel, devices: &[PathBuf]) -> Raid {
    Raid {
        device: "/dev/md/monopod-test".to_owned(),
        level,
        members: devices.iter().map(|one| one.display().to_string()).collect(),
    }
}

#[tokio::test]
async fn a_member_says_what_it_is_part_of_whatever_the_format_of_its_superblock() {
    let directory = Temporary::new();
    for (name, uuid, level, devices, array) in [
        ("md-0.90", "acaf5b05:dfcc99b5:0002fec5:13a5c7d1", "raid1", 2, None),
        (
            "md-1.0",
            "dcc9e28d:65cca1d9:c5aa0e59:9bb462bd",
            "raid1",
            2,
            Some("any:m10"),
        ),
        (
            "md-1.1",
            "6478e633:c0e0ee8d:d79ff560:b1842b05",
            "raid0",
            2,
            Some("any:m11"),
        ),
        (
            "md-1.2",
            "d1bbfca4:9adfbd04:ed3ae5b5:5e52b099",
            "raid5",
            3,
            Some("any:m12"),
        ),
    ] {
        let file = recorded::one(name).file(&directory);
        let found = members(std::slice::from_ref(&file)).await.unwrap();
        let member = found.first().unwrap();
        assert_eq!(Path::new(&member.path), file.canonicalize().unwrap());
        let part = member.array.as_ref().unwrap();
        assert_eq!(part.array_uuid, uuid, "{name}");
        assert_eq!((part.level.as_str(), part.devices), (level, devices), "{name}");
        assert_eq!(part.name.as_deref(), array, "{name}");
    }
}

#[tokio::test]
async fn only_what_has_a_superblock_is_a_member() {
    let directory = Temporary::new();
    for name in ["ext4", "xfs", "gpt", "mbr", "luks2", "lvm"] {
        let file = recorded::one(name).file(&directory);
        assert_eq!(members(&[file]).await.unwrap()[0].array, None, "{name}");
    }
    let blank = directory.sparse("blank", 16 * MIB);
    let found = members(&[blank]).await.unwrap();
    assert_eq!((&found[0].content, &found[0].array), (&Content::Blank, &None));
    let error = members(&["/dev/no-such-disk".into()]).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error}");
}

#[tokio::test]
async fn two_of_three_devices_start_an_array_and_one_with_data_starts_none() {
    let directory = Temporary::new();
    let first = recorded::one("md-1.2").file(&directory);
    let second = recorded::one("md-1.2-second").file(&directory);
    let blank = directory.sparse("blank", 16 * MIB);
    let devices = [first.clone(), second.clone(), blank];
    let found = members(&devices).await.unwrap();
    let action = decide_raid(&raid(RaidLevel::Raid5, &devices), &found, &[]);
    assert!(
        matches!(&action, RaidAction::Assemble { members, degraded: true, .. } if members.len() == 2),
        "{action:?}"
    );

    let devices = [first, second, recorded::one("ext4").file(&directory)];
    let found = members(&devices).await.unwrap();
    let asked = raid(RaidLevel::Raid5, &devices);
    let action = decide_raid(&asked, &found, &[]);
    assert!(
        matches!(&action, RaidAction::Refuse(RaidRefusal::Data { .. })),
        "{action:?}"
    );
    let error = ensure_array(&asked, &action, &found).await.unwrap_err();
    assert!(matches!(error, BlockError::RefusedArray { .. }), "{error}");
    assert_eq!(error.class(), Class::Permanent);
}

#[tokio::test]
async fn a_device_that_got_data_since_the_decision_is_not_made_a_member() {
    let directory = Temporary::new();
    let devices = [
        directory.sparse("one", 16 * MIB),
        directory.sparse("two", 16 * MIB),
    ];
    let found = members(&devices).await.unwrap();
    sh(&format!("mkfs.ext4 -q -F {}", devices[1].display()));
    let before = content(&devices[1]).await.unwrap();
    let done = ensure_array(&raid(RaidLevel::Raid1, &devices), &RaidAction::Create, &found).await;
    let error = done.unwrap_err();
    assert!(matches!(error, BlockError::Changed { .. }), "{error}");
    assert_eq!(content(&devices[1]).await.unwrap(), before);
    assert_eq!(content(&devices[0]).await.unwrap(), Content::Blank);
}

/// Stops a test's arrays, however it ends.
struct Stopped;

impl Drop for Stopped {
    fn drop(&mut self) {
        let stop = "mdadm --stop /dev/md/monopod-test /dev/md/monopod-other 2>/dev/null";
        drop(std::process::Command::new("sh").args(["-c", stop]).status());
    }
}

/// From two blank disks to an array that survives a reboot, by another name, and the loss of a disk.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "a test that did nothing says so")]
async fn an_array_is_made_once_and_found_again() {
    if !Path::new("/proc/mdstat").exists() {
        eprintln!("this kernel has no md: nothing was tried");
        return;
    }
    let directory = Temporary::new();
    let disks = ["one", "two", "three"].map(|name| Loop::new(&directory.sparse(name, 32 * MIB)));
    let devices: Vec<_> = disks.iter().map(|disk| disk.path().to_owned()).collect();
    let _stopped = Stopped;
    let asked = raid(RaidLevel::Raid1, &devices[..2]);

    let look = async || {
        let found = members(&devices[..2]).await.unwrap();
        let active = active_arrays().await.unwrap();
        (decide_raid(&asked, &found, &active), found)
    };
    let (action, found) = look().await;
    assert_eq!(action, RaidAction::Create);
    let path = ensure_array(&asked, &action, &found).await.unwrap();
    assert!(path.starts_with("/dev/md127"), "{path:?}");
    sh(&format!(
        "mdadm --wait {0} || true; mkfs.ext4 -q {0}",
        path.display()
    ));
    let kept = content(&path).await.unwrap();
    let who = in_use(&devices[0]).await.unwrap();
    assert_eq!(
        who.unwrap(),
        "loop0 is part of /dev/md127".replace("loop0", &name_of(&devices[0]))
    );

    let (action, found) = look().await;
    assert!(
        matches!(&action, RaidAction::Use { degraded: false, .. }),
        "{action:?}"
    );
    assert_eq!(ensure_array(&asked, &action, &found).await.unwrap(), path);

    // Somebody else's name for it.
    sh("mdadm --stop /dev/md/monopod-test");
    let both = format!("{} {}", devices[0].display(), devices[1].display());
    sh(&format!("mdadm --assemble /dev/md/monopod-other {both}"));
    let (action, found) = look().await;
    assert!(matches!(&action, RaidAction::Use { .. }), "{action:?}");
    let other = ensure_array(&asked, &action, &found).await.unwrap();
    assert_eq!(content(&other).await.unwrap(), kept);
    sh("mdadm --stop /dev/md/monopod-other");

    // Put together in part, by udev: it does not run and holds its device.
    sh(&format!("mdadm --incremental {}", devices[0].display()));
    let (action, found) = look().await;
    assert!(
        matches!(&action, RaidAction::Assemble { degraded: false, .. }),
        "{action:?}"
    );
    let path = ensure_array(&asked, &action, &found).await.unwrap();
    assert_eq!(content(&path).await.unwrap(), kept);
    sh(&format!("mdadm --stop {}", path.display()));

    // A disk was replaced.
    let asked = raid(RaidLevel::Raid1, &devices[1..]);
    let found = members(&devices[1..]).await.unwrap();
    let action = decide_raid(&asked, &found, &active_arrays().await.unwrap());
    assert!(
        matches!(&action, RaidAction::Assemble { degraded: true, .. }),
        "{action:?}"
    );
    let path = ensure_array(&asked, &action, &found).await.unwrap();
    assert_eq!(content(&path).await.unwrap(), kept);
    let active = active_arrays().await.unwrap();
    assert!(active.iter().any(|array| array.degraded), "{active:?}");
    assert_eq!(content(&devices[2]).await.unwrap(), Content::Blank);
}

fn name_of(device: &Path) -> String {
    device.file_name().unwrap().to_string_lossy().into_owned()
}

#[tokio::test]
async fn where_nothing_can_be_started_mdadm_says_why() {
    let directory = Temporary::new();
    let devices = [
        directory.sparse("one", 16 * MIB),
        directory.sparse("two", 16 * MIB),
    ];
    let found = members(&devices).await.unwrap();
    // Files are no devices, and some kernels have no md at all.
    let done = ensure_array(&raid(RaidLevel::Raid1, &devices), &RaidAction::Create, &found).await;
    let error = done.unwrap_err();
    assert!(matches!(error, BlockError::Tool { .. }), "{error}");
    assert_eq!(error.to_string(), "cannot make the array /dev/md/monopod-test");
    assert_eq!(content(&devices[0]).await.unwrap(), Content::Blank);
}

//! File systems on loop devices: made, checked, grown, and left alone while somebody has them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use monopod_core::config::Filesystem;
use monopod_core::storage::{Action, Content, Orders, decide, erased_uuid};

use super::super::hold::{Exclusive, Locked};
use super::super::testing::{Loop, Mounted, Temporary, sh};
use super::super::{
    BlockError, Checked, Made, check, content, ensure_action, ensure_formatted, grow, in_use, is_mounted,
};
use super::recorded::MIB;
use crate::host::{Class, Classified as _};

const EXTS: [Filesystem; 3] = [Filesystem::Ext2, Filesystem::Ext3, Filesystem::Ext4];
/// mkfs.xfs makes no smaller one.
const XFS_SIZE: u64 = 300 * MIB;

fn shell(script: &str, device: &Path) -> String {
    sh(&script.replace("DEV", &device.display().to_string()))
}

#[tokio::test]
async fn a_blank_device_gets_the_file_system_that_was_asked_for() {
    let directory = Temporary::new();
    for filesystem in [
        Filesystem::Ext2,
        Filesystem::Ext3,
        Filesystem::Ext4,
        Filesystem::Xfs,
    ] {
        let file = directory.sparse("disk", XFS_SIZE);
        let device = Loop::new(&file);
        let seen = content(device.path()).await.unwrap();
        assert_eq!(in_use(device.path()).await.unwrap(), None);
        let action = decide(&seen, Orders::Tag { set: false }, filesystem, false, "none");
        let made = ensure_action(device.path(), &seen, &action, filesystem)
            .await
            .unwrap();
        assert_eq!(made, Made::Formatted);
        let now = content(device.path()).await.unwrap();
        assert!(
            matches!(&now, Content::Filesystem { kind, .. } if kind == filesystem.word()),
            "{now:?}"
        );

        // Again, as after a reboot: it is used.
        let action = decide(&now, Orders::Tag { set: false }, filesystem, false, "none");
        let made = ensure_action(device.path(), &now, &action, filesystem)
            .await
            .unwrap();
        assert_eq!(made, Made::Kept { filesystem });
        assert_eq!(content(device.path()).await.unwrap(), now);

        // An order to erase, with the UUID that records it: once.
        let uuid = erased_uuid("i-0123", "vol-0123");
        let action = decide(&now, Orders::Erase, filesystem, false, &uuid);
        ensure_action(device.path(), &now, &action, filesystem)
            .await
            .unwrap();
        let erased = content(device.path()).await.unwrap();
        let expected = Content::Filesystem {
            kind: filesystem.word().to_owned(),
            uuid: Some(uuid.clone()),
        };
        assert_eq!(erased, expected);
        assert_eq!(
            decide(&erased, Orders::Erase, filesystem, false, &uuid),
            Action::Use { filesystem }
        );
    }
}

#[tokio::test]
async fn what_changed_since_the_decision_is_not_formatted() {
    let directory = Temporary::new();
    let file = directory.sparse("disk", 16 * MIB);
    let device = Loop::new(&file);
    shell("mkfs.ext4 -q DEV", device.path());
    let now = content(device.path()).await.unwrap();
    let done = ensure_formatted(device.path(), Filesystem::Ext4, None, &Content::Blank).await;
    let error = done.unwrap_err();
    assert!(matches!(error, BlockError::Changed { .. }), "{error}");
    assert_eq!(error.class(), Class::Permanent);
    assert_eq!(content(device.path()).await.unwrap(), now);
}

#[tokio::test]
async fn a_mkfs_that_fails_says_why() {
    let directory = Temporary::new();
    let file = directory.sparse("disk", MIB);
    let device = Loop::new(&file);
    let done = ensure_formatted(device.path(), Filesystem::Xfs, None, &Content::Blank).await;
    let error = chain(&done.unwrap_err());
    assert!(
        error.starts_with("cannot make a file system on /dev/loop"),
        "{error}"
    );
    assert!(error.contains("mkfs.xfs -q -f -K /dev/loop"), "{error}");
    assert!(error.contains("exit code 1"), "{error}");
}

fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", chain(cause)));
    format!("{error}{}", cause.unwrap_or_default())
}

/// Somebody who has a device as long as it lives, in a mount namespace of their own.
struct Elsewhere(Child);

impl Elsewhere {
    fn new(device: &Path, place: &Path) -> Self {
        let script = format!(
            "mount {} {}; echo mounted; cat",
            device.display(),
            place.display()
        );
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-ec", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.as_mut().unwrap());
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n");
        Self(child)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn a_device_that_somebody_has_is_theirs() {
    let directory = Temporary::new();
    let file = directory.sparse("disk", 16 * MIB);
    let device = Loop::new(&file);
    let name = device.path().file_name().unwrap().to_str().unwrap();
    shell("mkfs.ext4 -q DEV", device.path());
    let place = directory.path().join("place");

    let mounted = Mounted::new(device.path(), place.clone(), "");
    let who = in_use(device.path()).await.unwrap().unwrap();
    assert_eq!(who, format!("{name} is mounted at {}", place.display()));
    assert_eq!(
        is_mounted(&place.to_string_lossy()).unwrap().as_deref(),
        device.path().to_str()
    );
    refused(device.path(), "is mounted at").await;
    drop(mounted);

    let elsewhere = Elsewhere::new(device.path(), &place);
    let who = in_use(device.path()).await.unwrap().unwrap();
    assert!(who.contains("another mount namespace"), "{who}");
    refused(device.path(), "another mount namespace").await;
    drop(elsewhere);
    assert_eq!(in_use(device.path()).await.unwrap(), None);

    shell("mkswap -q -f DEV; swapon DEV", device.path());
    let who = in_use(device.path()).await;
    refused(device.path(), "is swap space").await;
    shell("swapoff DEV", device.path());
    assert_eq!(who.unwrap().unwrap(), format!("{name} is swap space"));
}

/// Whatever was decided, nothing is written.
async fn refused(device: &Path, why: &str) {
    let seen = content(device).await.unwrap();
    let done = ensure_formatted(device, Filesystem::Ext4, None, &seen).await;
    let error = done.unwrap_err();
    assert!(
        matches!(&error, BlockError::InUse { by, .. } if by.contains(why)),
        "{error}"
    );
    assert_eq!(error.class(), Class::Transient);
    assert_eq!(content(device).await.unwrap(), seen);
}

#[tokio::test]
async fn a_disk_is_in_use_where_one_of_its_partitions_is_and_not_the_other_way_round() {
    let directory = Temporary::new();
    let file = directory.sparse("disk", 32 * MIB);
    shell("printf 'size=16M\\n+\\n' | sfdisk -q --label gpt DEV", &file);
    let device = Loop::partitioned(&file);
    let partition = |number: u32| format!("{}p{number}", device.path().display());
    let (first, second) = (partition(1), partition(2));
    sh(&format!("mkfs.ext4 -q {first}"));
    let mounted = Mounted::new(Path::new(&first), directory.path().join("place"), "");
    let who = in_use(device.path()).await.unwrap().unwrap();
    assert!(who.contains("p1 is mounted at"), "{who}");
    assert_eq!(in_use(Path::new(&second)).await.unwrap(), None);
    // A partition is locked by its disk's lock, and made by its own name.
    ensure_formatted(Path::new(&second), Filesystem::Ext4, None, &Content::Blank)
        .await
        .unwrap();
    drop(mounted);
    assert_eq!(in_use(device.path()).await.unwrap(), None);
}

#[tokio::test]
async fn a_lock_is_the_disks_and_is_taken_once_for_all_of_its_partitions() {
    let directory = Temporary::new();
    let file = directory.sparse("disk", 32 * MIB);
    shell("printf 'size=16M\\n+\\n' | sfdisk -q --label gpt DEV", &file);
    let device = Loop::partitioned(&file);
    let partition = |number: u32| format!("{}p{number}", device.path().display());
    let (first, second) = (partition(1), partition(2));
    let locked = Locked::take(&[Path::new(&first), Path::new(&second)])
        .await
        .unwrap();
    let try_lock = || {
        Command::new("flock")
            .args(["--nonblock"])
            .arg(device.path())
            .arg("true")
            .status()
            .unwrap()
    };
    assert!(!try_lock().success());
    drop(locked);
    assert!(try_lock().success());
}

#[tokio::test]
async fn only_a_block_device_can_be_asked_who_uses_it() {
    let error = in_use(Path::new("/dev/null")).await.unwrap_err();
    assert!(matches!(error, BlockError::NoDevice { .. }), "{error}");
    assert_eq!(error.class(), Class::Permanent);
    let error = in_use(Path::new("/dev/no-such-disk")).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error}");
}

#[tokio::test]
async fn an_exclusive_open_keeps_a_mount_out() {
    let directory = Temporary::new();
    let file = directory.sparse("disk", 16 * MIB);
    let device = Loop::new(&file);
    shell("mkfs.ext4 -q DEV", device.path());
    let exclusive = Exclusive::open(device.path()).await.unwrap();
    let place = directory.path().join("place");
    std::fs::create_dir(&place).unwrap();
    let mount = Command::new("mount")
        .arg(device.path())
        .arg(&place)
        .output()
        .unwrap();
    assert!(!mount.status.success());
    drop(exclusive);
    drop(Mounted::new(device.path(), place, ""));
}

#[tokio::test]
async fn a_check_mends_what_it_can_and_names_what_it_cannot() {
    let directory = Temporary::new();
    for filesystem in EXTS {
        let file = directory.sparse("disk", 16 * MIB);
        shell(&format!("mkfs.{filesystem} -q -F DEV"), &file);
        assert_eq!(check(&file, filesystem).await.unwrap(), Checked::Clean);

        let spoil = "debugfs -w -R 'set_super_value free_blocks_count 5' DEV; debugfs -w -R 'set_super_value state 0' DEV";
        shell(spoil, &file);
        let checked = check(&file, filesystem).await.unwrap();
        assert!(
            matches!(&checked, Checked::Repaired { words } if words.contains("files")),
            "{checked:?}"
        );
        assert_eq!(check(&file, filesystem).await.unwrap(), Checked::Clean);

        shell(
            "debugfs -w -R 'clri <2>' DEV; debugfs -w -R 'set_super_value state 0' DEV",
            &file,
        );
        let error = check(&file, filesystem).await.unwrap_err();
        assert!(
            matches!(&error, BlockError::Damaged { words, .. } if words.contains("RUN fsck MANUALLY")),
            "{error}"
        );
        assert_eq!(error.class(), Class::Permanent);
    }
    let file = directory.sparse("disk", 16 * MIB);
    assert_eq!(check(&file, Filesystem::Xfs).await.unwrap(), Checked::LeftToMount);
}

#[tokio::test]
async fn what_cannot_be_checked_at_all_is_no_damage() {
    let directory = Temporary::new();
    let file = directory.sparse("disk", 16 * MIB);
    let error = check(&file, Filesystem::Ext4).await.unwrap_err();
    assert!(matches!(error, BlockError::Tool { .. }), "{error}");
}

#[tokio::test]
async fn a_mounted_xfs_takes_the_room_its_volume_got() {
    let directory = Temporary::new();
    let file = directory.sparse("disk", XFS_SIZE);
    let device = Loop::new(&file);
    shell("mkfs.xfs -q DEV", device.path());
    let mounted = Mounted::new(device.path(), directory.path().join("place"), "");
    let same = grow(device.path(), mounted.path(), Filesystem::Xfs)
        .await
        .unwrap();
    assert!(!same.has_grown(), "{same:?}");

    enlarge(&file, &device, 2 * XFS_SIZE);
    let grown = grow(device.path(), mounted.path(), Filesystem::Xfs)
        .await
        .unwrap();
    assert!(grown.after > grown.before + XFS_SIZE / 2, "{grown:?}");
    let again = grow(device.path(), mounted.path(), Filesystem::Xfs)
        .await
        .unwrap();
    assert_eq!((again.before, again.after), (grown.after, grown.after));
}

fn enlarge(file: &Path, device: &Loop, size: u64) {
    std::fs::File::options()
        .write(true)
        .open(file)
        .unwrap()
        .set_len(size)
        .unwrap();
    shell("losetup --set-capacity DEV", device.path());
}

/// The kernel wants this of whoever enlarges a mounted ext.
const SYS_RESOURCE: u32 = 24;

fn has_capability(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap() & (1 << number) != 0
}

#[tokio::test]
async fn a_mounted_ext_takes_the_room_its_volume_got() {
    let directory = Temporary::new();
    for filesystem in EXTS {
        let file = directory.sparse("disk", 16 * MIB);
        let device = Loop::new(&file);
        shell(&format!("mkfs.{filesystem} -q DEV"), device.path());
        let place = directory.path().join("place");
        let mounted = Mounted::new(device.path(), place, &format!("-t {filesystem}"));
        if !has_capability(SYS_RESOURCE) {
            // Then it is an error that says so, and the volume stays as it is.
            enlarge(&file, &device, 48 * MIB);
            let error = grow(device.path(), mounted.path(), filesystem).await.unwrap_err();
            assert_eq!(error.class(), Class::Permanent);
            assert!(chain(&error).contains("Permission denied to resize"), "{error}");
            continue;
        }
        let same = grow(device.path(), mounted.path(), filesystem).await.unwrap();
        assert!(!same.has_grown(), "{same:?}");
        enlarge(&file, &device, 48 * MIB);
        let grown = grow(device.path(), mounted.path(), filesystem).await.unwrap();
        assert!(grown.after > grown.before + 20 * MIB, "{filesystem}: {grown:?}");
        drop(mounted);
        assert_eq!(check(device.path(), filesystem).await.unwrap(), Checked::Clean);
    }
}

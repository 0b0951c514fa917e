//! What a device carries, by example.

use std::fs;
use std::path::Path;

use monopod_core::storage::Content;

use super::super::testing::{Loop, Temporary, sh};
use super::super::{BlockError, content};
use super::recorded::{self, MIB, stamp};
use crate::host::{Class, Classified as _};

fn other(what: &[&str]) -> Content {
    let what = what.iter().map(|&one| one.to_owned()).collect();
    Content::Other { what }
}

fn kind(found: &Content) -> Option<&str> {
    match found {
        Content::Filesystem { kind, uuid } => uuid.as_ref().map(|_| kind.as_str()),
        Content::Blank | Content::Other { .. } => None,
    }
}

const RAID: &str = "a member of a RAID array";
const GPT: &str = "a partition table (GPT)";
const MBR: &str = "a partition table (MBR)";
const UNKNOWN: &str = "bytes of no known format";

#[tokio::test]
async fn every_format_is_known_by_what_its_own_tool_wrote() {
    let directory = Temporary::new();
    for disk in recorded::all() {
        let found = content(&disk.file(&directory)).await.unwrap();
        let expected = match disk.name {
            "iso" => Some("iso9660"),
            "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "vfat" => Some(disk.name),
            // It has no UUID.
            "squashfs" => {
                assert!(matches!(&found, Content::Filesystem { kind, uuid: None } if kind == "squashfs"));
                None
            }
            "luks1" | "luks2" => {
                assert_eq!(found, other(&["an encrypted volume (LUKS)"]));
                None
            }
            "lvm" => {
                assert_eq!(found, other(&["a physical volume of LVM"]));
                None
            }
            "gpt" => {
                assert_eq!(found, other(&[GPT, MBR]));
                None
            }
            "mbr" => {
                assert_eq!(found, other(&[MBR]));
                None
            }
            "swap" => {
                assert_eq!(found, other(&["swap space"]));
                None
            }
            _ => {
                assert_eq!(found, other(&[RAID]), "{}", disk.name);
                None
            }
        };
        assert_eq!(kind(&found), expected, "{}: {found:?}", disk.name);
    }
}

#[tokio::test]
async fn a_uuid_is_the_file_systems_own() {
    let directory = Temporary::new();
    let file = directory.sparse("disk", 8 * MIB);
    let uuid = "0b7f6f0e-3f5a-8c11-9a2b-0123456789ab";
    sh(&format!("mkfs.ext4 -q -F -U {uuid} {}", file.display()));
    let expected = Content::Filesystem {
        kind: "ext4".to_owned(),
        uuid: Some(uuid.to_owned()),
    };
    assert_eq!(content(&file).await.unwrap(), expected);
    // The kernel's name for it says the same.
    let device = Loop::new(&file);
    assert_eq!(content(device.path()).await.unwrap(), expected);
}

#[tokio::test]
async fn a_backup_at_the_end_counts_as_much_as_what_is_in_front() {
    let directory = Temporary::new();
    for (name, what) in [("gpt", GPT), ("md-1.0", RAID), ("md-0.90", RAID)] {
        let disk = recorded::one(name);
        let file = directory.sparse("end", disk.size);
        stamp(&file, disk.size - MIB, &disk.tail);
        assert_eq!(content(&file).await.unwrap(), other(&[what]), "{name}");
    }
}

#[tokio::test]
async fn several_at_once_are_no_file_system() {
    let directory = Temporary::new();
    // A mirror whose superblock is at its end shows the file system in front.
    let (ext, raid) = (recorded::one("ext4"), recorded::one("md-1.0"));
    let file = ext.file(&directory);
    stamp(&file, raid.size - MIB, &raid.tail);
    assert_eq!(content(&file).await.unwrap(), other(&[RAID, "ext4"]));

    // The backup of a partition table, and a file system over the rest of it.
    let (gpt, xfs) = (recorded::one("gpt"), recorded::one("xfs"));
    let file = directory.sparse("mixed", gpt.size);
    stamp(&file, 0, &xfs.head);
    stamp(&file, gpt.size - MIB, &gpt.tail);
    let found = content(&file).await.unwrap();
    assert!(
        matches!(&found, Content::Other { what } if what.contains(&GPT.to_owned())),
        "{found:?}"
    );

    let lvm = recorded::one("lvm");
    let file = ext.file(&directory);
    stamp(&file, 0, &lvm.head);
    let found = content(&file).await.unwrap();
    assert!(
        matches!(&found, Content::Other { what } if what.len() == 2),
        "{found:?}"
    );
}

#[tokio::test]
async fn one_byte_anywhere_in_the_first_or_last_mib_is_not_nothing() {
    let directory = Temporary::new();
    let size = 8 * MIB;
    for at in [0, 511, MIB - 1, size - MIB, size - 1] {
        let file = directory.sparse("disk", size);
        stamp(&file, at, &[7]);
        assert_eq!(content(&file).await.unwrap(), other(&[UNKNOWN]), "{at}");
    }
    let file = directory.sparse("disk", size);
    assert_eq!(content(&file).await.unwrap(), Content::Blank);
}

#[tokio::test]
async fn small_devices_are_read_whole() {
    let directory = Temporary::new();
    for size in [
        512,
        4096,
        65_536,
        MIB - 512,
        MIB,
        MIB + 512,
        2 * MIB - 512,
        2 * MIB,
    ] {
        let file = directory.sparse("disk", size);
        assert_eq!(content(&file).await.unwrap(), Content::Blank, "{size}");
        for at in [0, size / 2, size - 1] {
            let file = directory.sparse("disk", size);
            stamp(&file, at, &[1]);
            assert_eq!(content(&file).await.unwrap(), other(&[UNKNOWN]), "{at} of {size}");
        }
    }
}

#[tokio::test]
async fn a_damaged_superblock_is_not_nothing() {
    let directory = Temporary::new();
    let disk = recorded::one("ext4");
    let file = disk.file(&directory);
    // Its magic number.
    stamp(&file, 1024 + 56, &[0xff]);
    assert_eq!(content(&file).await.unwrap(), other(&[UNKNOWN]));
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_an_error_and_never_blank() {
    let directory = Temporary::new();
    let error = content(Path::new("/dev/no-such-disk")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read /dev/no-such-disk");
    assert_eq!(error.class(), Class::Transient);

    let empty = directory.sparse("disk", 0);
    let error = content(&empty).await.unwrap_err();
    assert!(matches!(error, BlockError::NoSize { .. }), "{error}");
    assert_eq!(error.class(), Class::Transient);

    fs::create_dir(directory.path().join("directory")).unwrap();
    let error = content(&directory.path().join("directory")).await.unwrap_err();
    assert!(matches!(error, BlockError::Device { .. }), "{error}");
}

//! What is on a device, and what follows from it.
//!
//! | on the device | `true` | `false` | left out, no tag | left out, tag |
//! |---|---|---|---|---|
//! | nothing | format | refuse | format | remove the tag, format |
//! | the file system of this instance's own erasure | use | use | use | remove the tag, format |
//! | a file system the mount can use | format | use | use | remove the tag, format |
//! | another file system | format | refuse | refuse | remove the tag, format |
//! | anything else | format | refuse | refuse | remove the tag, format |
//!
//! `true` and the tag are orders for the device that is named, whatever is on it: a partition table, an LVM or RAID member and
//! bytes nobody knows are erased, too, as Taupage's mkfs did. A device that is in use (mounted, part of an array that runs, held by
//! LVM) is refused before anybody asks here. A read-only mount is never formatted, whatever is ordered.
//!
//! ext2, ext3 and ext4 are one another's readers: the kernel's ext4 driver mounts all three, so one of them that is found where
//! another was asked for is mounted as what it is. Nothing converts a file system.

#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::config::Filesystem;

/// What a device carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// No signature that blkid or wipefs know, and the first and last MiB are zero.
    Blank,
    /// One file system and nothing else.
    Filesystem {
        /// blkid's word: `ext4`, `xfs`, `btrfs`.
        kind: String,
        /// blkid's UUID.
        uuid: Option<String>,
    },
    /// LUKS, LVM, a partition table, a RAID member, swap, several at once, or bytes of no known format.
    Other {
        /// In words, each of what was found.
        what: Vec<String>,
    },
}

/// What is said of bytes that are not zero and no format's.
pub const UNKNOWN_BYTES: &str = "bytes of no known format";

impl Content {
    /// Bytes, and not one signature among them: what a mkfs leaves that was cut off.
    pub fn is_unknown_bytes(&self) -> bool {
        matches!(self, Self::Other { what } if what.as_slice() == [UNKNOWN_BYTES])
    }
}

/// What the file, or the volume's tag, says about erasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orders {
    /// `erase_on_boot: true`.
    Erase,
    /// `erase_on_boot: false`.
    Never,
    /// Left out: the volume's tag decides.
    Tag {
        /// Whether the volume has it; false for a device that is no volume found by its tag.
        set: bool,
    },
}

impl Orders {
    /// What a mount says, with the tag of its volume.
    pub const fn new(erase_on_boot: Option<bool>, tag: bool) -> Self {
        match erase_on_boot {
            Some(true) => Self::Erase,
            Some(false) => Self::Never,
            None => Self::Tag { set: tag },
        }
    }
}

/// What to do with a device before it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a file system.
    Format {
        /// The UUID it gets, where that records an ordered erasure.
        uuid: Option<String>,
        /// For the journal.
        why: String,
    },
    /// Remove the tag, and make a file system only once EC2 has said that it is gone: a tag that stays would erase again.
    RemoveTagThenFormat {
        /// For the journal.
        why: String,
    },
    /// Check it and mount it.
    Use {
        /// As what: what was found, where that is another ext than was asked for.
        filesystem: Filesystem,
    },
    /// Neither write nor mount it. Permanent: a person has to look.
    Refuse(Refusal),
}

/// Why a device is left alone, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Nothing to mount, and nothing may be made.
    #[error(
        "it is blank, and `erase_on_boot: false` forbids to format it: leave erase_on_boot out, which formats a blank device, or make a file system on it"
    )]
    BlankForbidden,
    /// Nothing to mount, and nobody could write.
    #[error(
        "it is blank, and a read-only mount is never formatted: make a file system on it, or leave `ro` out of the options once"
    )]
    BlankReadOnly,
    /// An order to erase what is to be mounted read-only.
    #[error(
        "it is to be erased, and a read-only mount is never formatted: it carries {found}; take away the order to erase (`erase_on_boot: true`, or the volume's tag {tag}), or leave `ro` out of the options", tag = super::ERASE_TAG
    )]
    EraseReadOnly {
        /// In words.
        found: String,
    },
    /// A file system that is not the one asked for.
    #[error(
        "it carries {found} where the mount asks for {wanted}, and nothing here says that it may be erased: write `filesystem: {found}` if that is one of ext4, ext3, ext2 and xfs, choose another device, or order it erased with `erase_on_boot: true`"
    )]
    WrongKind {
        /// blkid's word.
        found: String,
        /// Of the mount.
        wanted: Filesystem,
    },
    /// It was erased for this instance, and the mount asks for another file system since.
    #[error(
        "it was erased for this instance already, as {found}, and the mount asks for {wanted} now: `erase_on_boot: true` erases once for each instance and volume; write `filesystem: {found}`, or launch a new instance"
    )]
    ErasedAsAnother {
        /// blkid's word.
        found: String,
        /// Of the mount.
        wanted: Filesystem,
    },
    /// Something that is no file system.
    #[error(
        "it carries {}, which cannot be mounted, and nothing here says that it may be erased: name the device that was meant, or order it erased with `erase_on_boot: true`", .what.join(" and ")
    )]
    NotAFilesystem {
        /// In words, each of what was found.
        what: Vec<String>,
    },
    /// A tmpfs has no device.
    #[error("a tmpfs has no device: write `partition: none`")]
    Memory,
}

/// Decides what happens to a device: pure, and the only place that says one may be formatted.
///
/// `uuid_if_erased` is [`erased_uuid`] of this instance and this disk: a file system that carries it was made by an ordered erase
/// and is used from then on, so that `true` erases once and not at every reboot.
pub fn decide(
    content: &Content,
    orders: Orders,
    wanted: Filesystem,
    read_only: bool,
    uuid_if_erased: &str,
) -> Action {
    if wanted == Filesystem::Tmpfs {
        return Action::Refuse(Refusal::Memory);
    }
    match orders {
        Orders::Erase => match content {
            Content::Filesystem {
                kind,
                uuid: Some(uuid),
            } if uuid.eq_ignore_ascii_case(uuid_if_erased) => match readable_as(kind, wanted) {
                Some(filesystem) => Action::Use { filesystem },
                None => Action::Refuse(Refusal::ErasedAsAnother {
                    found: kind.clone(),
                    wanted,
                }),
            },
            _ if read_only => Action::Refuse(of_read_only(content)),
            _ => Action::Format {
                uuid: Some(uuid_if_erased.to_owned()),
                why: format!(
                    "`erase_on_boot: true` says so, for the first time for this instance and this device; it carried {}",
                    words(content)
                ),
            },
        },
        Orders::Tag { set: true } if read_only => Action::Refuse(of_read_only(content)),
        Orders::Tag { set: true } => Action::RemoveTagThenFormat {
            why: format!(
                "the volume's tag {} says so; it carried {}",
                super::ERASE_TAG,
                words(content)
            ),
        },
        Orders::Never | Orders::Tag { set: false } => as_it_is(content, orders, wanted, read_only),
    }
}

/// Without an order only a blank device is written.
fn as_it_is(content: &Content, orders: Orders, wanted: Filesystem, read_only: bool) -> Action {
    match content {
        Content::Blank if read_only => Action::Refuse(Refusal::BlankReadOnly),
        Content::Blank if orders == Orders::Never => Action::Refuse(Refusal::BlankForbidden),
        Content::Blank => Action::Format {
            uuid: None,
            why: "it is blank".to_owned(),
        },
        Content::Filesystem { kind, .. } => match readable_as(kind, wanted) {
            Some(filesystem) => Action::Use { filesystem },
            None => Action::Refuse(Refusal::WrongKind {
                found: kind.clone(),
                wanted,
            }),
        },
        Content::Other { what } => Action::Refuse(Refusal::NotAFilesystem { what: what.clone() }),
    }
}

fn of_read_only(content: &Content) -> Refusal {
    match content {
        Content::Blank => Refusal::BlankReadOnly,
        Content::Filesystem { .. } | Content::Other { .. } => Refusal::EraseReadOnly {
            found: words(content),
        },
    }
}

/// As what a found file system is mounted where `wanted` was asked for; `None` where it is not.
fn readable_as(found: &str, wanted: Filesystem) -> Option<Filesystem> {
    let found = Filesystem::from_word(found)?;
    let ext = |one| matches!(one, Filesystem::Ext2 | Filesystem::Ext3 | Filesystem::Ext4);
    match (found, wanted) {
        (Filesystem::Tmpfs, _) => None,
        (found, wanted) if found == wanted || (ext(found) && ext(wanted)) => Some(found),
        _ => None,
    }
}

fn words(content: &Content) -> String {
    match content {
        Content::Blank => "nothing".to_owned(),
        Content::Filesystem { kind, .. } => format!("a file system, {kind}"),
        Content::Other { what } if what.is_empty() => "something unknown".to_owned(),
        Content::Other { what } => what.join(" and "),
    }
}

/// The UUID of a file system that an ordered erase makes: version 8, out of SHA-256 of the instance and the disk. The same
/// instance finds it again on the same disk; another instance, and another disk, have another.
///
/// `disk` is what names the disk for good: a volume's id, a serial number, an array's UUID, with the partition on it.
pub fn erased_uuid(instance_id: &str, disk: &str) -> String {
    let digest = Sha256::new()
        .chain_update(b"monopod erase_on_boot\0")
        .chain_update(instance_id.as_bytes())
        .chain_update([0])
        .chain_update(disk.as_bytes())
        .finalize();
    let mut uuid = String::with_capacity(36);
    for (at, byte) in digest.iter().take(16).enumerate() {
        let byte = match at {
            6 => (byte & 0x0f) | 0x80,
            8 => (byte & 0x3f) | 0x80,
            _ => *byte,
        };
        if matches!(at, 4 | 6 | 8 | 10) {
            uuid.push('-');
        }
        uuid.push_str(&format!("{byte:02x}"));
    }
    uuid
}

//! Disks, decided as values: which volume, which device, what is on it, and what follows from that.
//!
//! ```text
//! volumes.ebs ─► name_tag, choose ─► (attach) ─► device ─┐
//! volumes.raid ────────► decide_raid ─► (assemble) ──────┼─► decide ─► (format, check) ─► mount_unit ─► (mount) ─► container
//! mounts ────────────────────────────────────────────────┘
//! ```
//!
//! The rule above all: a device that carries anything is never written unless the file says `erase_on_boot: true` or the volume has
//! the tag. [`decide`] and [`decide_raid`] are the only places that say a device may be formatted or made a member, and both
//! answer "no" to whatever they do not know.
//!
//! It deliberately knows nothing of how a device is read or written: contents come in as [`Content`], and a device that is in use is
//! the caller's to refuse.

pub mod content;
pub mod device;
pub mod mount;
pub mod raid;
pub mod volume;

pub use content::{Action, Content, Orders, Refusal, decide, erased_uuid};
pub use device::{Origin, Resolve, partition_path, same_device, split_partition};
pub use mount::{MountUnit, is_mounted, is_read_only, mount_unit, unit_name};
pub use raid::{Active, ArrayMember, Member, RaidAction, RaidRefusal, decide_raid};
pub use volume::{
    Attachment, Choice, ERASE_TAG, ERASE_TAG_VALUE, MissingFact, Volume, VolumeState, Wanted, choose,
    name_tag,
};

use serde::{Deserialize, Serialize};

/// Where everything is mounted on the machine, as Taupage did.
pub const MOUNTS: &str = "/mounts";

/// Who the mounts belong to: the container's user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// As a number, since the machine need not know the name.
    pub uid: u32,
    /// The group that was written, else the number of the user.
    pub gid: u32,
}

impl Owner {
    /// Of `999` or `999:999`. `None` for root, who can write anywhere, and for a name, which only the image can resolve.
    pub fn parse(user: &str) -> Option<Self> {
        let (uid, gid) = user
            .split_once(':')
            .map_or((user, None), |(uid, gid)| (uid, Some(gid)));
        let uid: u32 = uid.parse().ok()?;
        // To chown(2) the highest number means nobody at all.
        if matches!(uid, 0 | u32::MAX) {
            return None;
        }
        let gid = match gid {
            Some(gid) => gid.parse().ok()?,
            None => uid,
        };
        Some(Self { uid, gid })
    }
}

/// The parts of a path that mean something: no empty ones, no `.`, and no `..`, which the checks refuse and which must never
/// lead out of a directory.
pub fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "." | ".."))
}

/// Where a mount is on the machine: `/data` is at `/mounts/data`.
pub fn place(path: &str) -> String {
    parts(path).fold(MOUNTS.to_owned(), |mut place, part| {
        place.push('/');
        place.push_str(part);
        place
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_lies_below_mounts_whatever_its_path_says() {
        assert_eq!(place("/data"), "/mounts/data");
        assert_eq!(place("/var//lib/./x/"), "/mounts/var/lib/x");
        assert_eq!(place("/../../etc"), "/mounts/etc");
    }

    #[test]
    fn the_owner_is_the_user_as_numbers() {
        assert_eq!(Owner::parse("999"), Some(Owner { uid: 999, gid: 999 }));
        assert_eq!(Owner::parse("1000:7"), Some(Owner { uid: 1000, gid: 7 }));
        assert_eq!(Owner::parse("1000:0"), Some(Owner { uid: 1000, gid: 0 }));
        assert_eq!(Owner::parse("0"), None);
        assert_eq!(Owner::parse("0:999"), None);
        assert_eq!(Owner::parse("www-data"), None);
        assert_eq!(Owner::parse("999:staff"), None);
    }
}

//! Whose a mounted file system is. Taupage made every mount writable for everybody (0777); here it belongs to the
//! container's user.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use monopod_core::storage::Owner;

/// What a directory that somebody works in allows them: write and search.
const WORK: u32 = 0o3;
const OWNERS: u32 = 0o700;
/// Of a file system that was just made.
const FRESH: u32 = 0o755;

/// Gives the top directory of a mount to its owner. A `fresh` file system's is theirs alone to write; one that was
/// there keeps its owner and mode, unless the owner could not write to it. What lies below is never touched: it may
/// be millions of files, and they are the application's. Says whether anything was changed. Not for a read-only mount.
pub fn ensure_owned(place: &Path, owner: Owner, fresh: bool) -> io::Result<bool> {
    let found = fs::metadata(place)?;
    let mode = found.mode() & 0o7777;
    let is_theirs = found.uid() == owner.uid && found.gid() == owner.gid;
    let wanted = if fresh {
        FRESH
    } else if can_work(&found, owner) {
        return Ok(false);
    } else {
        mode | OWNERS
    };
    if is_theirs && mode == wanted {
        return Ok(false);
    }
    if !is_theirs {
        chown(place, Some(owner.uid), Some(owner.gid))?;
    }
    // After chown, which takes set-id bits away.
    fs::set_permissions(place, Permissions::from_mode(wanted))?;
    Ok(true)
}

/// Whether the bits that count for the owner allow it; the kernel looks at one class of them only.
fn can_work(found: &fs::Metadata, owner: Owner) -> bool {
    if owner.uid == 0 {
        return true;
    }
    let shift = if found.uid() == owner.uid {
        6
    } else if found.gid() == owner.gid {
        3
    } else {
        0
    };
    (found.mode() >> shift) & WORK == WORK
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: Owner = Owner { uid: 999, gid: 998 };

    fn directory(uid: u32, gid: u32, mode: u32) -> tempdir::Temporary {
        let made = tempdir::Temporary::new();
        chown(made.path(), Some(uid), Some(gid)).unwrap();
        fs::set_permissions(made.path(), Permissions::from_mode(mode)).unwrap();
        made
    }

    fn state(path: &Path) -> (u32, u32, u32) {
        let found = fs::metadata(path).unwrap();
        (found.uid(), found.gid(), found.mode() & 0o7777)
    }

    use super::super::testing as tempdir;

    #[test]
    fn a_fresh_file_system_is_its_owners_and_nobody_elses_to_write() {
        let made = directory(0, 0, 0o777);
        assert!(ensure_owned(made.path(), APPLICATION, true).unwrap());
        assert_eq!(state(made.path()), (999, 998, 0o755));
        assert!(!ensure_owned(made.path(), APPLICATION, true).unwrap());
    }

    #[test]
    fn one_that_the_owner_can_write_to_is_left_as_it_is() {
        for (uid, gid, mode) in [
            (0, 0, 0o777),
            (999, 0, 0o700),
            (0, 998, 0o2775),
            (999, 998, 0o300),
        ] {
            let made = directory(uid, gid, mode);
            assert!(
                !ensure_owned(made.path(), APPLICATION, false).unwrap(),
                "{mode:o}"
            );
            assert_eq!(state(made.path()), (uid, gid, mode));
        }
    }

    #[test]
    fn one_that_the_owner_cannot_write_to_becomes_theirs_and_nothing_below_it() {
        for (uid, gid, mode, then) in [
            (0, 0, 0o755, 0o755),
            (999, 0, 0o577, 0o777),
            (0, 998, 0o757, 0o757),
            (1000, 1000, 0o2750, 0o2750),
            (0, 0, 0o766, 0o766),
        ] {
            let made = directory(uid, gid, mode);
            let file = made.path().join("file");
            fs::write(&file, "").unwrap();
            assert!(ensure_owned(made.path(), APPLICATION, false).unwrap(), "{mode:o}");
            assert_eq!(state(made.path()), (999, 998, then));
            assert_eq!(fs::metadata(&file).unwrap().uid(), 0);
            assert!(!ensure_owned(made.path(), APPLICATION, false).unwrap());
        }
    }

    #[test]
    fn root_can_write_anywhere() {
        let made = directory(1000, 1000, 0o700);
        let root = Owner { uid: 0, gid: 0 };
        assert!(!ensure_owned(made.path(), root, false).unwrap());
    }
}

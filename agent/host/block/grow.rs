//! A volume that was enlarged: its file system follows.

use std::path::Path;

use monopod_core::config::Filesystem;

use super::super::command::Command;
use super::{BlockError, MAKE, failed, tool};

/// The sizes of a file system, as df tells them, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grown {
    /// Found.
    pub before: u64,
    /// Left.
    pub after: u64,
}

impl Grown {
    /// Whether there was anything to do.
    pub fn has_grown(self) -> bool {
        self.after > self.before
    }
}

/// Makes a mounted file system as large as its device, if it is not. Mounted, because the kernel does it in steps
/// that a power cut does not break. Not for a read-only mount.
pub async fn grow(device: &Path, place: &Path, filesystem: Filesystem) -> Result<Grown, BlockError> {
    let before = size(place)?;
    let command = match filesystem {
        Filesystem::Ext2 | Filesystem::Ext3 | Filesystem::Ext4 => Command::new("resize2fs", MAKE).arg(device),
        Filesystem::Xfs => Command::new("xfs_growfs", MAKE).arg("-d").arg(place),
        Filesystem::Tmpfs => {
            return Ok(Grown {
                before,
                after: before,
            });
        }
    };
    let done = command.succeed().await;
    done.map_err(tool("enlarge the file system on", device))?;
    Ok(Grown {
        before,
        after: size(place)?,
    })
}

fn size(place: &Path) -> Result<u64, BlockError> {
    nix::sys::statvfs::statvfs(place)
        .map(|found| found.blocks().saturating_mul(found.fragment_size()))
        .map_err(|errno| failed("ask for the size of", place)(errno.into()))
}

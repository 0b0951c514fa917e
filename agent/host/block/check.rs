//! Checking a file system before it is mounted.

use std::path::Path;

use monopod_core::config::Filesystem;

use super::super::command::{Command, Ended};
use super::{BlockError, CHECK, tool};

/// Errors were found and mended.
const CORRECTED: i32 = 1;
/// The machine should be restarted, where the file system is mounted: ours is not.
const RESTART: i32 = 2;
/// Errors are left.
const UNCORRECTED: i32 = 4;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Nothing, or a journal to replay.
    Clean,
    /// Errors, and they are mended.
    Repaired {
        /// e2fsck's last words.
        words: String,
    },
    /// The kernel does it: xfs replays its log when it is mounted, and refuses to mount what is damaged.
    LeftToMount,
}

impl Checked {
    /// For people, where somebody should know.
    pub fn described(&self) -> Option<String> {
        match self {
            Self::Repaired { words } => {
                Some(format!("its file system had errors, which were mended: {words}"))
            }
            Self::Clean | Self::LeftToMount => None,
        }
    }
}

/// Checks a file system that is not mounted, and mends what can be mended without losing anything. Not for a read-only
/// mount: this writes.
///
/// A file system that was unmounted cleanly, or whose journal says all, takes a moment (no `-f`, unlike Taupage): a
/// whole check of a large volume takes longer than a boot may. One that the kernel found errors in is checked whole.
pub async fn check(device: &Path, filesystem: Filesystem) -> Result<Checked, BlockError> {
    match filesystem {
        Filesystem::Ext2 | Filesystem::Ext3 | Filesystem::Ext4 => {}
        Filesystem::Xfs | Filesystem::Tmpfs => return Ok(Checked::LeftToMount),
    }
    let command = Command::new("e2fsck", CHECK).arg("-p").arg(device);
    let ended = command.run().await.map_err(tool("check", device))?;
    read(device, &ended)
}

/// e2fsck's exit code is a sum.
fn read(device: &Path, ended: &Ended) -> Result<Checked, BlockError> {
    if ended.code == 0 {
        return Ok(Checked::Clean);
    }
    if ended.code & !(CORRECTED | RESTART) == 0 {
        return Ok(Checked::Repaired {
            words: ended.last_words(),
        });
    }
    if ended.code & !(CORRECTED | RESTART | UNCORRECTED) == 0 {
        return Err(BlockError::Damaged {
            device: device.to_owned(),
            // What it did comes on stdout, why it gave up on either.
            words: ended.last_words(),
        });
    }
    Err(tool("check", device)(ended.failure()))
}

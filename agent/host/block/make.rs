//! Making a file system: what somebody decided, on what was seen, and on nothing else.

use std::path::Path;

use monopod_core::config::Filesystem;
use monopod_core::storage::{Action, Content};

use super::super::command::{Command, CommandError};
use super::hold::{Exclusive, Locked};
use super::{BlockError, MAKE, content, tool, words};

/// How often mkfs is started where somebody has the device for a moment.
const ATTEMPTS: u32 = 5;

/// What became of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It has a new file system, and nothing else.
    Formatted,
    /// It keeps what it had.
    Kept {
        /// As what it is mounted.
        filesystem: Filesystem,
    },
}

/// Carries out what was decided on what was `seen`. Whoever has to remove a tag first did so before.
pub async fn ensure_action(
    device: &Path,
    seen: &Content,
    action: &Action,
    wanted: Filesystem,
) -> Result<Made, BlockError> {
    let uuid = match action {
        Action::Format { uuid, .. } => uuid.as_deref(),
        // The tag is gone, which records it: a UUID that says so would make a later `erase_on_boot: true` do nothing.
        Action::RemoveTagThenFormat { .. } => None,
        Action::Use { filesystem } => {
            return Ok(Made::Kept {
                filesystem: *filesystem,
            });
        }
        Action::Refuse(refusal) => {
            return Err(BlockError::Refused {
                device: device.to_owned(),
                refusal: refusal.clone(),
            });
        }
    };
    ensure_formatted(device, wanted, uuid, seen).await?;
    Ok(Made::Formatted)
}

/// Makes a file system, if the device still carries what was `seen` when that was decided and nobody uses it.
pub async fn ensure_formatted(
    device: &Path,
    filesystem: Filesystem,
    uuid: Option<&str>,
    seen: &Content,
) -> Result<(), BlockError> {
    let _locked = Locked::take(&[device]).await?;
    let mut attempt = 1;
    loop {
        // mkfs wants the device for itself, so our exclusive open ends before it: the lock keeps us and udev apart from
        // there on, and mkfs refuses what somebody has taken in between, before it writes anything.
        ensure_unchanged(device, seen).await?;
        match mkfs(device, filesystem, uuid).succeed().await {
            Ok(_) => break,
            Err(error) if attempt < ATTEMPTS && is_taken(&error) => attempt += 1,
            Err(error) => return Err(tool("make a file system on", device)(error)),
        }
    }
    let now = content(device).await?;
    let is_made = matches!(&now, Content::Filesystem { kind, uuid: found }
        if kind == filesystem.word() && (uuid.is_none() || found.as_deref() == uuid));
    if is_made {
        return Ok(());
    }
    Err(BlockError::NotMade {
        program: format!("mkfs.{}", filesystem.word()),
        device: device.to_owned(),
        now: words(&now),
    })
}

/// Under an exclusive open, which fails while anybody has the device mounted, as swap or in an array.
pub(super) async fn ensure_unchanged(device: &Path, seen: &Content) -> Result<(), BlockError> {
    let _exclusive = Exclusive::open(device).await?;
    let now = content(device).await?;
    if now == *seen {
        return Ok(());
    }
    Err(BlockError::Changed {
        device: device.to_owned(),
        before: words(seen),
        now: words(&now),
    })
}

/// By somebody who has it for a moment; one who stays is named by the next look.
fn is_taken(error: &CommandError) -> bool {
    matches!(error, CommandError::Failed { words, .. }
        if ["in use", "busy", "contains a mounted"].iter().any(|one| words.contains(one)))
}

fn mkfs(device: &Path, filesystem: Filesystem, uuid: Option<&str>) -> Command {
    let command = Command::new(format!("mkfs.{}", filesystem.word()), MAKE);
    let command = match filesystem {
        Filesystem::Xfs => {
            // -f: what is there was seen and is to go. -K: discarding a whole volume takes minutes and gains nothing.
            let command = command.args(["-q", "-f", "-K"]);
            match uuid {
                Some(uuid) => command.args(["-m", &format!("uuid={uuid}")]),
                None => command,
            }
        }
        Filesystem::Ext2 | Filesystem::Ext3 | Filesystem::Ext4 | Filesystem::Tmpfs => {
            // One -F overrides what is there; only two would override that it is mounted.
            let command = command.args(["-q", "-F", "-E", "nodiscard"]);
            match uuid {
                Some(uuid) => command.args(["-U", uuid]),
                None => command,
            }
        }
    };
    command.arg(device)
}

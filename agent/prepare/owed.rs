//! What has to be known of a device after a power cut: an order to erase that was taken off its volume and is not carried out yet,
//! and a file system that was being made.
//!
//! The tag goes first, so that it is never carried out twice; a machine that loses its power between the two would leave a volume
//! that was to be erased as it was, with no trace of the order. And a mkfs that was cut off leaves bytes that are no file system, on a device
//! that was blank or to be erased: without a note they would be somebody's data for ever.
//!
//! Invariants: a note is on the disk before what it is about begins, and its removal is on the disk before the device is mounted, so one that is
//! there means that nobody here wrote to the device since. What is owed holds as long as what is on the device is what was there then; a cut-off mkfs is
//! only ever bytes without a signature. So a note that stayed never costs anybody a file system.

use std::path::{Path, PathBuf};

use monopod_core::storage::Content;

use crate::host::files::{self, FileError};

/// The notes on one device.
pub(super) struct Owed {
    erasure: PathBuf,
    making: PathBuf,
}

impl Owed {
    /// In prepare's own state directory; `name` is the device's own, which it keeps.
    pub(super) fn new(state: &Path, name: &str) -> Self {
        let name: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        Self {
            erasure: state.join(format!("erase-{name}")),
            making: state.join(format!("making-{name}")),
        }
    }

    /// Whether an erasure of just this content is owed.
    pub(super) fn covers(&self, content: &Content) -> Result<bool, FileError> {
        Ok(files::read(&self.erasure)?.is_some_and(|noted| noted == described(content)))
    }

    /// Before the order is taken off.
    pub(super) fn note_erasure(&self, content: &Content) -> Result<(), FileError> {
        files::ensure_durable_content(&self.erasure, &described(content))
    }

    /// Before a file system is made.
    pub(super) fn note_making(&self) -> Result<(), FileError> {
        files::ensure_durable_content(&self.making, b"a file system was being made\n")
    }

    /// Whether these are bytes that a mkfs of ours left when it was cut off.
    pub(super) fn was_cut_off(&self, content: &Content) -> Result<bool, FileError> {
        Ok(content.is_unknown_bytes() && files::read(&self.making)?.is_some())
    }

    /// Before the device is mounted.
    pub(super) fn settle(&self) -> Result<(), FileError> {
        files::ensure_durably_gone(&self.erasure)?;
        files::ensure_durably_gone(&self.making)
    }
}

fn described(content: &Content) -> Vec<u8> {
    format!("{content:?}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("monopod-owed-{name}-{}", std::process::id()));
        files::ensure_directory(&directory).unwrap();
        directory
    }

    fn filesystem(uuid: &str) -> Content {
        Content::Filesystem {
            kind: "ext4".to_owned(),
            uuid: Some(uuid.to_owned()),
        }
    }

    #[test]
    fn an_erasure_is_owed_to_what_was_there_and_nothing_else() {
        let directory = directory("erasure");
        let owed = Owed::new(&directory, "vol-1");
        assert!(!owed.covers(&filesystem("a")).unwrap());
        owed.note_erasure(&filesystem("a")).unwrap();
        assert!(owed.covers(&filesystem("a")).unwrap());
        assert!(
            !owed.covers(&filesystem("b")).unwrap(),
            "somebody formatted it meanwhile"
        );
        assert!(!Owed::new(&directory, "vol-2").covers(&filesystem("a")).unwrap());
        owed.settle().unwrap();
        assert!(!owed.covers(&filesystem("a")).unwrap());
        owed.settle().unwrap();
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_mkfs_that_was_cut_off_is_known_by_its_note_and_its_bytes() {
        let directory = directory("making");
        let unknown = Content::Other {
            what: vec![monopod_core::storage::content::UNKNOWN_BYTES.to_owned()],
        };
        let owed = Owed::new(&directory, "md/data");
        assert!(!owed.was_cut_off(&unknown).unwrap(), "somebody else's bytes");
        owed.note_making().unwrap();
        assert!(owed.was_cut_off(&unknown).unwrap());
        assert!(
            !owed.was_cut_off(&filesystem("a")).unwrap(),
            "a file system is never taken for it"
        );
        owed.settle().unwrap();
        assert!(!owed.was_cut_off(&unknown).unwrap());
        std::fs::remove_dir_all(directory).unwrap();
    }
}

//! What has to be known of a device after a power cut, and later: an order to erase that was taken off its volume and is not carried
//! out yet, a file system that is being made, and that the device was erased for this instance.
//!
//! The tag goes first, so that it is never carried out twice; a machine that loses its power between that and the format would leave a volume
//! that was to be erased as it was, with no trace of the order. And a mkfs that was cut off leaves bytes that are no file system, on a device
//! that was blank or to be erased: without a note they would be somebody's data for ever.
//!
//! Invariants: a note is this instance's, or nobody's. An erasure is owed only once EC2 has said that its tag is gone, and only to what was on
//! the device then. A note of a file system in the making is on the disk before mkfs and gone from it before the device is mounted, and holds for bytes without a
//! signature alone. So a note that stayed never costs anybody a file system.

use std::path::{Path, PathBuf};

use monopod_core::storage::Content;

use crate::host::files::{self, FileError};

/// The notes on one device.
pub(super) struct Owed<'a> {
    instance: &'a str,
    erasure: PathBuf,
    making: PathBuf,
    erased: PathBuf,
}

impl<'a> Owed<'a> {
    /// In prepare's own state directory; `name` is the device's own, which it keeps.
    pub(super) fn new(state: &Path, instance: &'a str, name: &str) -> Self {
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
        let path = |what: &str| state.join(format!("{what}-{name}"));
        Self {
            instance,
            erasure: path("erase"),
            making: path("making"),
            erased: path("erased"),
        }
    }

    /// Whether an erasure of just this content is owed.
    pub(super) fn covers(&self, content: &Content) -> Result<bool, FileError> {
        self.says(&self.erasure, &described(content))
    }

    /// Once the order is taken off.
    pub(super) fn note_erasure(&self, content: &Content) -> Result<(), FileError> {
        self.note(&self.erasure, &described(content))
    }

    /// Before a file system is made.
    pub(super) fn note_making(&self) -> Result<(), FileError> {
        self.note(&self.making, MAKING)
    }

    /// Whether a mkfs of ours was cut off on this device. What it left has no signature, or is an xfs that says so itself.
    pub(super) fn was_making(&self) -> Result<bool, FileError> {
        self.says(&self.making, MAKING)
    }

    /// mkfs wrote nothing.
    pub(super) fn not_made(&self) -> Result<(), FileError> {
        files::ensure_durably_gone(&self.making)
    }

    /// Whether `erase_on_boot: true` was carried out for this instance, whatever became of the file system since.
    pub(super) fn was_erased(&self) -> Result<bool, FileError> {
        self.says(&self.erased, ERASED)
    }

    /// Before the device is mounted.
    pub(super) fn settle(&self, was_ordered: bool) -> Result<(), FileError> {
        if was_ordered {
            self.note(&self.erased, ERASED)?;
        }
        files::ensure_durably_gone(&self.erasure)?;
        files::ensure_durably_gone(&self.making)
    }

    fn note(&self, path: &Path, what: &str) -> Result<(), FileError> {
        files::ensure_durable_content(path, self.text(what).as_bytes())
    }

    fn says(&self, path: &Path, what: &str) -> Result<bool, FileError> {
        Ok(files::read(path)?.is_some_and(|noted| noted == self.text(what).as_bytes()))
    }

    fn text(&self, what: &str) -> String {
        format!("{}: {what}\n", self.instance)
    }
}

const MAKING: &str = "a file system is being made";
const ERASED: &str = "erased as `erase_on_boot: true` says";

fn described(content: &Content) -> String {
    format!("{content:?}")
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
        let owed = Owed::new(&directory, "i-1", "vol-1");
        assert!(!owed.covers(&filesystem("a")).unwrap());
        owed.note_erasure(&filesystem("a")).unwrap();
        assert!(owed.covers(&filesystem("a")).unwrap());
        assert!(
            !owed.covers(&filesystem("b")).unwrap(),
            "somebody formatted it meanwhile"
        );
        assert!(
            !Owed::new(&directory, "i-1", "vol-2")
                .covers(&filesystem("a"))
                .unwrap()
        );
        assert!(
            !Owed::new(&directory, "i-2", "vol-1")
                .covers(&filesystem("a"))
                .unwrap(),
            "a copied disk"
        );
        owed.settle(false).unwrap();
        assert!(!owed.covers(&filesystem("a")).unwrap());
        owed.settle(false).unwrap();
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_mkfs_that_was_cut_off_and_an_erasure_are_known_by_their_notes() {
        let directory = directory("making");
        let owed = Owed::new(&directory, "i-1", "md/data");
        assert!(!owed.was_making().unwrap());
        owed.note_making().unwrap();
        assert!(owed.was_making().unwrap());
        assert!(!Owed::new(&directory, "i-2", "md/data").was_making().unwrap());
        owed.not_made().unwrap();
        assert!(!owed.was_making().unwrap());
        owed.note_making().unwrap();
        assert!(!owed.was_erased().unwrap());
        owed.settle(true).unwrap();
        assert!(owed.was_erased().unwrap() && !owed.was_making().unwrap());
        std::fs::remove_dir_all(directory).unwrap();
    }
}

//! An order to erase that was taken off its volume and is not carried out yet.
//!
//! The tag goes first, so that it is never carried out twice; a machine that loses its power between the two would leave a volume
//! that was to be erased as it was, with no trace of the order. What is owed is on the disk before the tag goes. It holds for this volume
//! as long as what is on it is what was there then, so a note that stayed can never cost anybody's data.

use std::fs;
use std::io;
use std::path::PathBuf;

use monopod_core::storage::Content;

use crate::host::files::{self, FileError};

/// What is owed to one volume.
pub(super) struct Owed {
    path: PathBuf,
}

impl Owed {
    /// In prepare's own state directory.
    pub(super) fn new(state: &std::path::Path, volume: &str) -> Self {
        Self {
            path: state.join(format!("erase-{volume}")),
        }
    }

    /// Whether an erasure of just this content is owed.
    pub(super) fn covers(&self, content: &Content) -> Result<bool, FileError> {
        Ok(files::read(&self.path)?.is_some_and(|noted| noted == described(content)))
    }

    /// Before the order is taken off.
    pub(super) fn note(&self, content: &Content) -> Result<(), FileError> {
        files::ensure_durable_content(&self.path, &described(content))
    }

    /// After the device was formatted.
    pub(super) fn settle(&self) -> Result<(), FileError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FileError::new("remove", &self.path, error))
            }
            _ => Ok(()),
        }
    }
}

fn described(content: &Content) -> Vec<u8> {
    format!("{content:?}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_for_what_was_there_and_nothing_else() {
        let directory = std::env::temp_dir().join(format!("monopod-owed-{}", std::process::id()));
        files::ensure_directory(&directory).unwrap();
        let filesystem = |uuid: &str| Content::Filesystem {
            kind: "ext4".to_owned(),
            uuid: Some(uuid.to_owned()),
        };
        let owed = Owed::new(&directory, "vol-1");
        assert!(!owed.covers(&filesystem("a")).unwrap());
        owed.note(&filesystem("a")).unwrap();
        assert!(owed.covers(&filesystem("a")).unwrap());
        assert!(
            !owed.covers(&filesystem("b")).unwrap(),
            "somebody formatted it meanwhile"
        );
        assert!(!Owed::new(&directory, "vol-2").covers(&filesystem("a")).unwrap());
        owed.settle().unwrap();
        assert!(!owed.covers(&filesystem("a")).unwrap());
        owed.settle().unwrap();
        fs::remove_dir_all(directory).unwrap();
    }
}

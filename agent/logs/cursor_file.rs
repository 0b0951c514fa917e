//! The file a cursor lives in, one for each sink: `<sink>.cursor`.
//!
//! Written beside, synced, renamed: a kill or a power cut leaves the old one or the new one. A cursor that can't be
//! read, or that a newer release wrote, is kept under another name for whoever wonders, and reading starts over:
//! lines twice rather than lines lost.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use monopod_core::logs::Cursor;

/// A cursor's place on disk.
#[derive(Clone, Debug)]
pub(crate) struct CursorFile {
    path: PathBuf,
}

impl CursorFile {
    pub(crate) fn new(directory: &Path, sink: &str) -> Self {
        Self {
            path: directory.join(format!("{sink}.cursor")),
        }
    }

    /// What was saved, or a cursor that stands nowhere.
    pub(crate) fn load(&self) -> io::Result<Cursor> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::info!(cursor = %self.path.display(), "No log cursor yet, reading from the oldest file");
                return Ok(Cursor::default());
            }
            Err(error) => return Err(error),
        };
        match Cursor::from_json(&bytes) {
            Ok(cursor) => Ok(cursor),
            Err(error) => {
                let (cursor, aside) = (self.path.display(), self.path.with_extension("unreadable"));
                tracing::warn!(
                    %cursor, %error, kept = %aside.display(),
                    "Log cursor can't be used, reading from the oldest file: lines may be shipped twice"
                );
                std::fs::rename(&self.path, aside)?;
                Ok(Cursor::default())
            }
        }
    }

    pub(crate) fn save(&self, cursor: &Cursor) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(&cursor.to_json())?;
        file.sync_data()?;
        std::fs::rename(&beside, &self.path)?;
        // The rename is in the directory, which has to reach the disk as well.
        self.path
            .parent()
            .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::TempDir;

    #[test]
    fn torn_and_unknown_ones_start_over_and_are_kept() {
        let dir = TempDir::new();
        let file = CursorFile::new(dir.path(), "x");
        let mut cursor = file.load().unwrap();
        assert_eq!(cursor, Cursor::default());
        cursor.last_time = Some("t".into());
        file.save(&cursor).unwrap();
        assert_eq!(file.load().unwrap().last_time, cursor.last_time);
        let json = std::fs::read(dir.path().join("x.cursor")).unwrap();
        std::fs::write(dir.path().join("x.cursor"), &json[..json.len() - 3]).unwrap();
        assert_eq!(file.load().unwrap(), Cursor::default());
        assert!(dir.path().join("x.unreadable").exists());
    }
}

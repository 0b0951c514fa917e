//! Files that are whole after a power cut: written beside their place, flushed, renamed, and the directory flushed.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::host::files::FileError;

/// What is not yet in its place ends so. No name of a copy has a dot.
const UNFINISHED: &str = "new";

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    move |source| FileError::new(verb, path, source)
}

/// Nobody else lists it.
pub(super) fn ensure_private_directory(path: &Path) -> Result<(), FileError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(failed("create the directory", path))
}

/// Replaces a file for good; a reader, and a machine that loses power, has the old one or the new one.
pub(super) fn ensure_durable_content(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let unfinished = unfinished(path);
    // One left by a kill, maybe with other permissions.
    remove(&unfinished).map_err(failed("remove", &unfinished))?;
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        flush_directory(path)
    };
    write().map_err(failed("write", path))
}

/// Its bytes; `None` if there is none. Of one that is larger than that, the beginning.
pub(super) fn read(path: &Path, largest: u64) -> Result<Option<Vec<u8>>, FileError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(largest).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Removes a file, with what was to replace it.
pub(super) fn ensure_absent(path: &Path) -> Result<(), FileError> {
    for path in [path, &unfinished(path)] {
        remove(path).map_err(failed("remove", path))?;
    }
    flush_directory(path).map_err(failed("remove", path))
}

/// Removes all files of a directory.
pub(super) fn ensure_empty(directory: &Path) -> Result<(), FileError> {
    for path in files(directory)? {
        ensure_absent(&path)?;
    }
    Ok(())
}

/// Whether a directory has no file, those aside that are not in their place.
pub(super) fn is_empty(directory: &Path) -> Result<bool, FileError> {
    let files = files(directory)?;
    Ok(files
        .iter()
        .all(|path| path.extension() == Some(OsStr::new(UNFINISHED))))
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    let all = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    };
    all().map_err(failed("read", directory))
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(UNFINISHED);
    PathBuf::from(name)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A rename is on the disk when its directory is.
fn flush_directory(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

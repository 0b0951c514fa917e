//! Removes a directory that somebody else has filled, however deep it is.
//!
//! A descent would need a descriptor, a stack or a path for each level, and whoever filled it chose how many there are. So
//! nothing goes further down than two levels: directories of directories are moved up to the top until none is left.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// A directory is gone, with all that is in it. Its parent has to be ours; links are removed, never followed.
///
/// What cannot be removed, a mount for example, stays, and is the error; everything else is gone then all the same.
pub(super) fn ensure_no_tree(top: &Path) -> io::Result<()> {
    match fs::symlink_metadata(top) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(meta) if !meta.is_dir() => return Err(io::ErrorKind::NotADirectory.into()),
        Ok(_) => {}
    }
    // From here on nobody else changes what is in it: what was a directory a moment ago is no link now.
    ensure_ours(top)?;
    let mut number = 0;
    loop {
        let mut removed = 0_u64;
        let mut stays = None;
        for entry in fs::read_dir(top)? {
            let entry = entry?;
            let outcome = if entry.file_type()?.is_dir() {
                remove_inner(top, &entry.path(), &mut number)
            } else {
                fs::remove_file(entry.path())
            };
            match outcome {
                Ok(()) => removed += 1,
                Err(error) => stays = Some(error),
            }
        }
        match stays {
            Some(error) if removed == 0 => return Err(error),
            None if removed == 0 => return fs::remove_dir(top),
            _ => {}
        }
    }
}

/// Removes a directory of the top one: what is no directory with it, directories to the top.
fn remove_inner(top: &Path, inner: &Path, number: &mut u64) -> io::Result<()> {
    match fs::remove_dir(inner) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        // Gone; or somebody's mount, which is not what the user left.
        outcome => return outcome,
    }
    ensure_ours(inner)?;
    let mut stays = None;
    for entry in fs::read_dir(inner)? {
        let entry = entry?;
        let outcome = if entry.file_type()?.is_dir() {
            fs::rename(entry.path(), unused(top, number)?)
        } else {
            fs::remove_file(entry.path())
        };
        stays = outcome.err().or(stays);
    }
    match (fs::remove_dir(inner), stays) {
        (Err(_), Some(error)) => Err(error),
        (outcome, _) => outcome,
    }
}

/// A name that nothing at the top has: who filled it may have guessed ours.
fn unused(top: &Path, number: &mut u64) -> io::Result<PathBuf> {
    loop {
        let path = top.join(format!(".gone-{number}"));
        *number += 1;
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
}

/// Whoever has it open cannot add to it any more.
fn ensure_ours(directory: &Path) -> io::Result<()> {
    lchown(directory, Some(geteuid().as_raw()), None)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn temporary_directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("monopod-flat-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// From the bottom up, as no path leads down there: 3,000 levels of two hundred characters.
    fn deep(directory: &Path, levels: usize) -> PathBuf {
        let name = "d".repeat(200);
        let (top, next) = (directory.join("top"), directory.join("next"));
        fs::create_dir(&top).unwrap();
        fs::write(top.join("file"), "").unwrap();
        for _ in 0..levels {
            fs::create_dir(&next).unwrap();
            fs::rename(&top, next.join(&name)).unwrap();
            fs::rename(&next, &top).unwrap();
        }
        top
    }

    #[test]
    fn no_depth_is_too_deep() {
        let directory = temporary_directory("deep");
        let top = deep(&directory, 3000);
        // Names of our own, which somebody took.
        fs::write(top.join(".gone-0"), "").unwrap();
        fs::create_dir_all(top.join(".gone-1/full/er")).unwrap();
        ensure_no_tree(&top).unwrap();
        assert!(!top.exists());
        ensure_no_tree(&top).unwrap();
        fs::remove_dir(directory).unwrap();
    }

    #[test]
    fn what_a_link_leads_to_stays() {
        let directory = temporary_directory("links");
        let (top, other) = (directory.join("top"), directory.join("other"));
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("file"), "").unwrap();
        for link in ["link", "a/link", "a/b/link"] {
            symlink(&other, top.join(link)).unwrap();
        }
        fs::set_permissions(top.join("a"), Permissions::from_mode(0o000)).unwrap();
        ensure_no_tree(&top).unwrap();
        assert!(!top.exists() && other.join("file").exists());
        // Nor is a link in its place one.
        symlink(&other, &top).unwrap();
        let error = ensure_no_tree(&top).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        assert!(other.join("file").exists());
        fs::remove_dir_all(directory).unwrap();
    }
}

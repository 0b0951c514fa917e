//! A person's file with new content: whole or not at all, as theirs as before.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::files::FileError;

/// Why a file has not its new content.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Somebody else wrote it in the meantime.
    #[error("{path} was changed by somebody else in the meantime and was left alone; start again")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file system.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Replaces what was read of a file by rename, with its mode and owner. A link is followed: the file it names is
/// replaced, and the link stays.
pub fn ensure_rewritten(path: &Path, before: &[u8], after: &[u8]) -> Result<(), RewriteError> {
    let failed = |verb, path: &Path| {
        let path = path.to_owned();
        move |source| FileError::new(verb, &path, source)
    };
    let path = fs::canonicalize(path).map_err(failed("find", path))?;
    let meta = fs::metadata(&path).map_err(failed("read", &path))?;
    let mut temporary = path.clone().into_os_string();
    temporary.push(format!(".monopod-{}", std::process::id()));
    let temporary = Temporary(PathBuf::from(temporary));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary.0)?;
        file.write_all(after)?;
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (meta.uid(), meta.gid()) {
            fchown(&file, Some(meta.uid()), Some(meta.gid()))?;
        }
        // Last: a change of owner takes bits away.
        file.set_permissions(Permissions::from_mode(meta.mode() & 0o7777))?;
        file.sync_all()
    };
    write().map_err(failed("write", &temporary.0))?;
    if fs::read(&path).map_err(failed("read", &path))? != before {
        return Err(RewriteError::Changed { path });
    }
    fs::rename(&temporary.0, &path).map_err(failed("replace", &path))?;
    if let Some(directory) = path.parent() {
        let sync = File::open(directory).and_then(|directory| directory.sync_all());
        sync.map_err(failed("write", directory))?;
    }
    Ok(())
}

/// Gone with the attempt, whatever became of it.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _renamed_or_never_made = fs::remove_file(&self.0).is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("monopod-rewrite-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn files(&self) -> usize {
            fs::read_dir(&self.0).unwrap().count()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0).is_ok();
        }
    }

    #[test]
    fn mode_owner_and_link_stay() {
        let folder = Folder::new("mode");
        let (file, link) = (folder.0.join("a.yaml"), folder.0.join("link.yaml"));
        fs::write(&file, "one").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o664)).unwrap();
        let given_away = std::os::unix::fs::chown(&file, Some(1234), Some(2345)).is_ok();
        std::os::unix::fs::symlink("a.yaml", &link).unwrap();
        ensure_rewritten(&link, b"one", b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        let meta = fs::metadata(&file).unwrap();
        assert_eq!(meta.mode() & 0o7777, 0o664);
        if given_away {
            assert_eq!((meta.uid(), meta.gid()), (1234, 2345));
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(folder.files(), 2, "no temporary file is left");
    }

    #[test]
    fn what_somebody_else_wrote_is_kept() {
        let folder = Folder::new("changed");
        let file = folder.0.join("a.yaml");
        fs::write(&file, "other").unwrap();
        let error = ensure_rewritten(&file, b"one", b"two").unwrap_err();
        assert!(matches!(error, RewriteError::Changed { .. }), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"other");
        assert_eq!(folder.files(), 1, "no temporary file is left");
    }
}

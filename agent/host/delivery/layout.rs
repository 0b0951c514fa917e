//! What lies where the application reads: its group, its mode, its place in memory.
//!
//! The agent has no capability to change owners: the group comes from a setgid directory laid out by tmpfiles. Where the
//! agent may, it lays that out itself.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, fchown,
};
use std::path::{Path, PathBuf};

use monopod_core::secret::Secret;

use crate::host::{Class, Classified};

/// Who may read them: the group of the container's default user, by number.
pub const GROUP: u32 = 999;

pub(in crate::host) const FILE_MODE: u32 = 0o440;
const SETGID: u32 = 0o2000;

/// Files could not be put in place.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// Something about a file or directory of ours.
    #[error("cannot {verb} {path}, which the container is to find")]
    File {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The directory gives its files another group, and the agent may not change that.
    #[error(
        "{path} does not belong to group {GROUP} with the setgid bit, so the application could not read what is below; install systemd/tmpfiles-monopod.conf as /usr/lib/tmpfiles.d/monopod.conf, and `systemd-tmpfiles --create` lays it out now"
    )]
    Layout {
        /// The directory.
        path: PathBuf,
        /// Why it was not changed.
        #[source]
        source: io::Error,
    },
}

impl Classified for DeliveryError {
    fn class(&self) -> Class {
        match self {
            Self::Layout { .. } => Class::Permanent,
            // A full tmpfs, most likely.
            Self::File { .. } => Class::Transient,
        }
    }
}

pub(in crate::host) fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DeliveryError {
    let path = path.to_owned();
    move |source| DeliveryError::File { verb, path, source }
}

/// A directory whose files get the group: as tmpfiles laid it out, or made here where that is allowed.
pub(in crate::host) fn ensure_layout(path: &Path) -> Result<(), DeliveryError> {
    make_directory(path)?;
    let is_right = |metadata: &fs::Metadata| metadata.gid() == GROUP && metadata.mode() & SETGID != 0;
    let metadata = fs::metadata(path).map_err(failed("look at", path))?;
    if is_right(&metadata) {
        return Ok(());
    }
    chown(path, None, Some(GROUP))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(SETGID | 0o750)))
        .map_err(|source| DeliveryError::Layout {
            path: path.to_owned(),
            source,
        })?;
    // The kernel takes the bit away without a word from somebody who is not in the group.
    match fs::metadata(path) {
        Ok(metadata) if is_right(&metadata) => Ok(()),
        Ok(_) => Err(DeliveryError::Layout {
            path: path.to_owned(),
            source: io::ErrorKind::PermissionDenied.into(),
        }),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

/// A directory below the layout: one that was made before the layout was right is made again.
pub(in crate::host) fn ensure_group(path: &Path) -> Result<(), DeliveryError> {
    make_directory(path)?;
    let group = fs::metadata(path).map_err(failed("look at", path))?.gid();
    if group == GROUP {
        return Ok(());
    }
    fs::remove_dir_all(path).map_err(failed("remove", path))?;
    make_directory(path)
}

/// With mkdir's own mode: a chmod afterwards would lose the inherited setgid bit.
pub(in crate::host) fn make_directory(path: &Path) -> Result<(), DeliveryError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(path)
        .map_err(failed("make", path))
}

pub(in crate::host) fn is_as_wanted(path: &Path, content: &Secret) -> bool {
    let read = || -> io::Result<bool> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let wanted = content.expose().as_bytes();
        if metadata.gid() != GROUP
            || metadata.mode() & 0o7777 != FILE_MODE
            || metadata.len() != wanted.len() as u64
        {
            return Ok(false);
        }
        let mut found = Vec::with_capacity(wanted.len());
        file.read_to_end(&mut found)?;
        Ok(found == wanted)
    };
    read().unwrap_or(false)
}

/// Of what lies in `root` everything but `kept`: only one container is ours, so all else is left over. What can't be
/// removed is in nobody's way.
pub(in crate::host) fn ensure_others_gone(root: &Path, kept: Option<&str>) {
    let left = |error: io::Error, path: &Path| {
        tracing::warn!(
            "{} is left over and was not removed, ignoring: {error}",
            path.display()
        );
    };
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return left(error, root),
    };
    for entry in entries.flatten() {
        if kept.is_some_and(|kept| entry.file_name() == kept) {
            continue;
        }
        let path = entry.path();
        if let Err(error) = remove(&path) {
            left(error, &path);
        }
    }
}

/// Whatever it is.
pub(in crate::host) fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// By rename: a container that runs keeps what it has mounted, and no reader sees half a file.
pub(in crate::host) fn write(path: &Path, content: &Secret) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // One that was left by a killed agent can't be opened for writing: its mode forbids it to its owner, too.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(&temporary, content)?;
    fs::rename(&temporary, path)
}

/// A file that is not there yet, with its group and mode.
pub(in crate::host) fn write_new(path: &Path, content: &Secret) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)?;
    file.write_all(content.expose().as_bytes())?;
    if file.metadata()?.gid() != GROUP {
        fchown(&file, None, Some(GROUP))?;
    }
    // Whatever the umask took away.
    file.set_permissions(fs::Permissions::from_mode(FILE_MODE))
}

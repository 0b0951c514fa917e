//! A user's files: the records that make it one, its home, its key.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};

use monopod_core::access::{Account, Grant, UserName, authorized_keys};
use nix::unistd::{Group, User};

use super::{Places, flat};
use crate::host::files::{self, FileError};

/// Whether somebody else has this name, or a group has.
pub(super) fn is_taken(user: &UserName, uid: Option<u32>) -> Result<bool, io::Error> {
    let name = user.as_str();
    let account = User::from_name(name)?.map(|found| found.uid.as_raw());
    let group = Group::from_name(name)?.map(|found| found.gid.as_raw());
    Ok([account, group]
        .into_iter()
        .flatten()
        .any(|found| Some(found) != uid))
}

/// Whether a number is somebody's.
pub(super) fn is_used(uid: u32) -> Result<bool, io::Error> {
    let user = User::from_uid(uid.into())?;
    let group = Group::from_gid(uid.into())?;
    Ok(user.is_some() || group.is_some())
}

/// Makes the directories that are everybody's, with modes of their own whatever the mask is.
pub(super) fn ensure_directories(places: &Places) -> Result<(), FileError> {
    for (path, mode) in [
        (places.directory.clone(), 0o755),
        (places.directory.join("home"), 0o711),
        (state(places), 0o700),
        (places.userdb.clone(), 0o755),
    ] {
        files::ensure_directory(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))
            .map_err(|source| FileError::new("set the mode of", &path, source))?;
    }
    Ok(())
}

pub(super) fn state(places: &Places) -> PathBuf {
    places.directory.join("state")
}

pub(super) fn home(places: &Places, user: &UserName) -> PathBuf {
    places.directory.join("home").join(user.as_str())
}

/// The user is one of the machine's: records, then home.
pub(super) fn ensure_user(places: &Places, grant: &Grant) -> Result<(), FileError> {
    let home = home(places, &grant.user);
    let account = Account::of(grant, &home.display().to_string());
    for (name, content) in &account.files {
        ensure_public(&places.userdb.join(name), content.as_bytes())?;
    }
    for (name, target) in &account.links {
        let path = places.userdb.join(name);
        if fs::read_link(&path).is_ok_and(|found| found == Path::new(target)) {
            continue;
        }
        files::ensure_gone(&path)?;
        symlink(target, &path).map_err(|source| FileError::new("make the link", &path, source))?;
    }
    let made = fs::DirBuilder::new().mode(0o700).create(&home);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(FileError::new("create the directory", &home, error));
        }
        _ => {}
    }
    // Of the directory itself, never of what a link leads to; what lies in it is the user's own affair.
    lchown(&home, Some(grant.uid), Some(grant.uid))
        .map_err(|source| FileError::new("give its user", &home, source))
}

/// The user may log in from here on. The end is said in the wall clock's time, as that goes now.
pub(super) fn ensure_key(places: &Places, grant: &Grant, until: u64) -> Result<(), FileError> {
    let path = places.directory.join(grant.user.as_str());
    ensure_public(&path, authorized_keys(grant, until).as_bytes())
}

/// Nobody logs in from here on.
pub(super) fn ensure_no_key(places: &Places, user: &UserName) -> Result<(), FileError> {
    files::ensure_gone(&places.directory.join(user.as_str()))
}

/// Who has a key. Files of our own have a dot in their names, which no user has.
pub(super) fn keys(places: &Places) -> Result<Vec<UserName>, FileError> {
    let names = files::names(&places.directory)?.into_iter();
    let is_file =
        |name: &str| fs::symlink_metadata(places.directory.join(name)).is_ok_and(|meta| meta.is_file());
    Ok(names
        .filter(|name| is_file(name))
        .filter_map(|name| UserName::parse(&name).ok())
        .collect())
}

/// The machine knows no such user any more.
pub(super) fn ensure_no_user(places: &Places, user: &UserName, uid: u32) -> Result<(), FileError> {
    for name in Account::names(user, uid) {
        files::ensure_gone(&places.userdb.join(name))?;
    }
    Ok(())
}

/// Its files are gone; nobody who could add to them is there any more.
pub(super) fn ensure_no_home(places: &Places, user: &UserName) -> Result<(), FileError> {
    let home = home(places, user);
    flat::ensure_no_tree(&home).map_err(|source| FileError::new("remove", &home, source))
}

/// Whole or not at all, and for everybody to read: sshd looks as the user, the name service as anybody.
fn ensure_public(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let write = || -> io::Result<()> {
        let mut file: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| FileError::new("write", path, source))
}

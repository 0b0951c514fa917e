//! The cloud image's own users: who was let in by the key that the instance was launched with.
//!
//! Only the file that cloud-init writes is removed, as Taupage did; the users stay, and so does root's file. It is gone for
//! good once cloud-init has written it, so this is done again until then.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use monopod_core::machine::cloud_init::{homes, is_past_keys};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::files::{self, FileError};
use super::{Class, Classified};

/// A user can still log in.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// Who there is.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that is still there.
    #[error("cannot remove {path}; its user can still log in")]
    StillThere {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Classified for AccountsError {
    fn class(&self) -> Class {
        Class::Transient
    }
}

/// Removes the authorized_keys of the cloud image's own users below `root`, and says whose.
pub fn ensure_keys_removed(root: &Path) -> Result<Vec<String>, AccountsError> {
    let text = |path: &str| -> Result<String, FileError> {
        let bytes = files::read(&root.join(path))?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let users = homes(&text("etc/passwd")?, &text("etc/sudoers.d/90-cloud-init-users")?);
    let mut removed = Vec::new();
    for (name, home) in users {
        let home = root.join(home.trim_start_matches('/'));
        match remove(&home) {
            Ok(()) => removed.push(name),
            Err(Errno::ENOENT) => {}
            Err(errno) => {
                return Err(AccountsError::StillThere {
                    path: home.join(".ssh/authorized_keys"),
                    source: errno.into(),
                });
            }
        }
    }
    Ok(removed)
}

/// Whether cloud-init, if it runs here, has written all keys it ever will.
pub fn are_keys_written(root: &Path) -> Result<bool, FileError> {
    let place = root.join("run/cloud-init");
    let status = files::read(&place.join("status.json"))?;
    let status = status.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let enabled = fs::symlink_metadata(place.join("enabled")).is_ok();
    Ok(is_past_keys(enabled, status.as_deref()))
}

/// Its user owns the directory, and could have made a link of it to somebody else's.
fn remove(home: &Path) -> Result<(), Errno> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let home: OwnedFd = open(home, flags, Mode::empty())?;
    let ssh: OwnedFd = openat(&home, ".ssh", flags, Mode::empty())?;
    unlinkat(&ssh, "authorized_keys", UnlinkatFlags::NoRemoveDir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::temporary_directory;

    fn machine(name: &str) -> PathBuf {
        let root = temporary_directory(name);
        for directory in ["etc/sudoers.d", "home/admin/.ssh", "home/alice/.ssh", "root/.ssh"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let passwd = "root:x:0:0::/root:/bin/sh\nadmin:x:1000:1000::/home/admin:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\n";
        fs::write(root.join("etc/passwd"), passwd).unwrap();
        for home in ["home/admin", "home/alice", "root"] {
            fs::write(root.join(home).join(".ssh/authorized_keys"), "ssh-ed25519 A").unwrap();
        }
        root
    }

    #[test]
    fn the_image_s_user_and_nobody_else() {
        let root = machine("accounts");
        let key = |home: &str| root.join(home).join(".ssh/authorized_keys").exists();
        assert_eq!(ensure_keys_removed(&root).unwrap(), ["admin"]);
        assert!(!key("home/admin"));
        assert!(key("home/alice") && key("root"));
        assert!(ensure_keys_removed(&root).unwrap().is_empty(), "again");
        fs::write(
            root.join("etc/sudoers.d/90-cloud-init-users"),
            "alice ALL=(ALL) NOPASSWD:ALL\n",
        )
        .unwrap();
        assert_eq!(ensure_keys_removed(&root).unwrap(), ["alice"]);
        assert!(key("root"));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_link_leads_to_nobody_else_s() {
        let root = machine("accounts-link");
        fs::remove_dir_all(root.join("home/admin/.ssh")).unwrap();
        std::os::unix::fs::symlink(root.join("root/.ssh"), root.join("home/admin/.ssh")).unwrap();
        let error = ensure_keys_removed(&root).unwrap_err();
        assert!(
            error.to_string().contains("home/admin/.ssh/authorized_keys"),
            "{error}"
        );
        assert!(root.join("root/.ssh/authorized_keys").exists());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn cloud_init_is_asked_by_its_files() {
        let root = machine("accounts-cloud-init");
        assert!(are_keys_written(&root).unwrap(), "there is none");
        let place = root.join("run/cloud-init");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("enabled"), "").unwrap();
        assert!(!are_keys_written(&root).unwrap(), "it has not begun");
        fs::write(
            place.join("status.json"),
            "{\"v1\":{\"init\":{\"finished\":1.5}}}",
        )
        .unwrap();
        assert!(are_keys_written(&root).unwrap());
        fs::remove_dir_all(root).unwrap();
    }
}

//! An encrypted copy of secret files on the disk, for a reboot while AWS is away.
//!
//! ```text
//! <state directory>
//!   ├─ seal.key            0600: whose it is, and 32 random bytes
//!   └─ sealed/             0700
//!        └─ credentials    0600: whose it is, a nonce, AES-256-GCM of the files, padded to 256 bytes
//! ```
//!
//! What it protects against: a secret found by searching the disk; a backup, a support bundle or an attached volume that
//! carries a copy and not the key; a copy changed, cut short, given another's name, or carried to another machine. The
//! machine is the instance id: on one made from this disk's image there is no copy, and its first own one
//! renews the key and forgets the others.
//!
//! What it does not protect against: whoever has the whole disk, or is root on it, has the key too. EBS encryption is
//! for that. Who can write to the state directory can put an older copy of the same name back. Removing a file does not
//! wipe the blocks it lay on.
//!
//! Nothing better is to be had without hardware: the agent has to open a copy at a boot where it can ask nobody, so
//! whatever it opens it with is on that disk as well. A TPM could keep the key. `systemd-creds encrypt --with-key=auto`
//! would use one where it is, as a child process with devices and directories that the unit is denied; without a
//! NitroTPM, which an image has to be registered for, it is a key in `/var/lib/systemd/credential.secret`: the same as
//! here, in another file. So the key is ours for now; the version in each file leaves room for another.

mod disk;
mod form;
mod key;

use std::path::{Path, PathBuf};

use monopod_core::secret::Secret;

use self::form::Opening;
use self::key::{Key, KeyFile};
use super::files::FileError;
use super::{Class, Classified};

const DIRECTORY: &str = "sealed";
const KEY: &str = "seal.key";

/// Why a copy was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// Something about a file or directory of ours.
    #[error("the encrypted copy of secrets cannot be used")]
    File(#[from] FileError),
    /// The key is there and is none.
    #[error(
        "{path} is not a key of ours, so the encrypted copies of secrets cannot be opened; the next copy makes a new one"
    )]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// There are copies and no key.
    #[error(
        "{path} is missing, so the encrypted copies of secrets cannot be opened; the next copy makes a new one"
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Torn, changed, of another version, or of another key.
    #[error("the encrypted copy {path} is damaged and is not used; the next one replaces it")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// It would be a file somewhere else.
    #[error("{name:?} is no name for an encrypted copy: use lower-case letters and dashes")]
    Name {
        /// What was given.
        name: String,
    },
    /// The cryptography failed, which takes a machine that has no random numbers.
    #[error("secrets could not be encrypted: {what}")]
    Cryptography {
        /// What it was about to do.
        what: &'static str,
    },
}

impl Classified for SealedError {
    fn class(&self) -> Class {
        match self {
            // A full disk, most likely.
            Self::File(_) | Self::Cryptography { .. } => Class::Transient,
            Self::Key { .. } | Self::NoKey { .. } | Self::Damaged { .. } | Self::Name { .. } => {
                Class::Permanent
            }
        }
    }
}

/// What a copy held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The files by their names, in the order they were given.
    pub files: Vec<(String, Secret)>,
    /// When they were fetched, in milliseconds since 1970.
    pub fetched_at_millis: u64,
}

/// The copies of one machine. It keeps no key in memory: a copy is written every few minutes at most.
#[derive(Debug)]
pub struct Sealed {
    directory: PathBuf,
    key: KeyFile,
}

impl Sealed {
    /// Whether there can be a copy below this state directory.
    pub fn is_there(state: &Path) -> bool {
        state.join(DIRECTORY).exists()
    }

    /// Below the state directory, which a reboot keeps. The key is made with the first copy: only then it is known whose.
    pub fn open(state: &Path) -> Result<Self, SealedError> {
        let directory = state.join(DIRECTORY);
        disk::ensure_private_directory(&directory)?;
        Ok(Self {
            directory,
            key: KeyFile::new(state.join(KEY)),
        })
    }

    /// Replaces the copy of this name. On another machine than the last one's, the key is renewed and all other
    /// copies are forgotten; so they are where the key is damaged.
    pub fn ensure_copy(
        &self,
        name: &str,
        instance_id: &str,
        files: &[(String, Secret)],
        fetched_at_millis: u64,
    ) -> Result<(), SealedError> {
        let path = self.path(name)?;
        let key = self.ensure_key(instance_id)?;
        let bytes = form::seal(&key, name, files, fetched_at_millis)?;
        disk::ensure_durable_content(&path, &bytes)?;
        Ok(())
    }

    /// The copy of this name, if this machine made one. A damaged one is an error that is as good as none.
    pub fn copy(&self, name: &str, instance_id: &str) -> Result<Option<Copy>, SealedError> {
        let path = self.path(name)?;
        let Some(bytes) = disk::read(&path, form::LARGEST)? else {
            return Ok(None);
        };
        if form::owner(&bytes).is_some_and(|owner| owner != instance_id.as_bytes()) {
            return Ok(None);
        }
        let key = match self.key.read()? {
            Some(key) if key.owner() == instance_id => key,
            Some(_) => return Ok(None),
            None => {
                let path = self.key.path().to_owned();
                return Err(SealedError::NoKey { path });
            }
        };
        match form::open(&key, name, bytes) {
            Opening::Copy(copy) => Ok(Some(copy)),
            Opening::Damaged => Err(SealedError::Damaged { path }),
        }
    }

    /// Removes the copy of this name, and the key with the last one.
    pub fn ensure_forgotten(&self, name: &str) -> Result<(), SealedError> {
        disk::ensure_absent(&self.path(name)?)?;
        if disk::is_empty(&self.directory)? {
            disk::ensure_absent(self.key.path())?;
        }
        Ok(())
    }

    /// The key of this machine; the copies of another one go before it comes.
    fn ensure_key(&self, instance_id: &str) -> Result<Key, SealedError> {
        match self.key.read() {
            Ok(Some(key)) if key.owner() == instance_id => return Ok(key),
            Ok(_) | Err(SealedError::Key { .. }) => {}
            Err(error) => return Err(error),
        }
        disk::ensure_empty(&self.directory)?;
        self.key.renew(instance_id)
    }

    fn path(&self, name: &str) -> Result<PathBuf, SealedError> {
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        if plain && !name.is_empty() {
            Ok(self.directory.join(name))
        } else {
            Err(SealedError::Name {
                name: name.to_owned(),
            })
        }
    }
}

#[cfg(test)]
mod tests;

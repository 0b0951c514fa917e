//! The key, and whose it is.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::{SealedError, disk};

/// The file begins so; 32 bytes follow, and the instance's id to the end.
const HEAD: &[u8] = b"monopod seal key 1\n";
const LENGTH: usize = 32;
/// No instance's id comes near it.
const LARGEST: u64 = 4096;

/// Where the key is.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
}

/// A key in memory.
pub(super) struct Key {
    secret: Zeroizing<[u8; LENGTH]>,
    owner: String,
}

impl KeyFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The key, if there is one.
    pub(super) fn read(&self) -> Result<Option<Key>, SealedError> {
        let Some(bytes) = disk::read(&self.path, LARGEST)? else {
            return Ok(None);
        };
        let bytes = Zeroizing::new(bytes);
        match parse(&bytes) {
            Some(key) => Ok(Some(key)),
            None => Err(SealedError::Key {
                path: self.path.clone(),
            }),
        }
    }

    /// Makes a new one in the place of whatever is there.
    pub(super) fn renew(&self, owner: &str) -> Result<Key, SealedError> {
        let mut secret = Zeroizing::new([0; LENGTH]);
        rand::fill(secret.as_mut()).map_err(|_| SealedError::Cryptography {
            what: "there are no random bytes for a key",
        })?;
        let content = Zeroizing::new([HEAD, secret.as_slice(), owner.as_bytes()].concat());
        disk::ensure_durable_content(&self.path, &content)?;
        Ok(Key {
            secret,
            owner: owner.to_owned(),
        })
    }
}

fn parse(bytes: &[u8]) -> Option<Key> {
    let (secret, owner) = bytes.strip_prefix(HEAD)?.split_first_chunk::<LENGTH>()?;
    Some(Key {
        secret: Zeroizing::new(*secret),
        owner: str::from_utf8(owner).ok()?.to_owned(),
    })
}

impl Key {
    /// The instance it was made on.
    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// For one copy.
    pub(super) fn cipher(&self) -> Result<LessSafeKey, SealedError> {
        // It wipes what it holds.
        let key = UnboundKey::new(&AES_256_GCM, self.secret.as_slice());
        let key = key.map_err(|_| SealedError::Cryptography {
            what: "the key was not taken",
        })?;
        Ok(LessSafeKey::new(key))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<key of {}>", self.owner)
    }
}

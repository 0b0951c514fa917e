//! Texts on the disk, by their hash.

use std::path::{Path, PathBuf};

use monopod_core::config::Include;

use super::{FetchError, LARGEST_ANSWER};
use crate::host::files::{self, FileError};

/// Where fetched texts are kept. A file's name is the hash of its bytes, and is checked whenever it is
/// read, so a torn or changed one is as good as none. Only the latest is kept.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// Below the state directory, which a reboot keeps.
    pub fn new(state: &Path) -> Self {
        Self {
            directory: state.join("include"),
        }
    }

    /// The text, if it is here and whole.
    pub fn get(&self, include: &Include) -> Result<Option<Vec<u8>>, FileError> {
        let bytes = files::read(&self.directory.join(include.hash()))?;
        Ok(bytes.filter(|bytes| include.verify(bytes).is_ok()))
    }

    /// Forgets them all: nothing is included any more.
    pub fn ensure_empty(&self) -> Result<(), FileError> {
        if self.directory.is_dir() {
            files::ensure_only(&self.directory, "")?;
        }
        Ok(())
    }

    /// Keeps it, and forgets the others: after a change of the user data nobody asks for them.
    pub fn put(&self, include: &Include, bytes: &[u8]) -> Result<(), FileError> {
        files::ensure_directory(&self.directory)?;
        files::ensure_private_content(&self.directory.join(include.hash()), bytes)?;
        files::ensure_only(&self.directory, &include.hash())
    }
}

/// The body of an answer, as it comes.
pub(super) struct Body<'p> {
    place: &'p str,
    bytes: Vec<u8>,
}

impl<'p> Body<'p> {
    pub(super) fn new(place: &'p str) -> Self {
        Self {
            place,
            bytes: Vec::new(),
        }
    }

    /// Refuses what is too much.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), FetchError> {
        if self.bytes.len() + chunk.len() > LARGEST_ANSWER {
            return Err(FetchError::TooLarge {
                place: self.place.to_owned(),
            });
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    pub(super) fn whole(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use monopod_core::config::included;

    use super::*;

    /// The hash of `hello\n`, and of nothing else.
    const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

    fn include(hash: &str) -> Include {
        let text = format!("#include s3://bucket/key sha256:{hash}");
        included(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn what_is_whole_is_given_back_and_the_rest_is_forgotten() {
        let state = std::env::temp_dir().join(format!("monopod-include-{}", std::process::id()));
        let (cache, hello) = (Cache::new(&state), include(HELLO));
        assert!(cache.get(&hello).unwrap().is_none(), "there is no directory");
        cache.ensure_empty().unwrap();
        cache.put(&include(&"0".repeat(64)), b"another").unwrap();
        cache.put(&hello, b"hello\n").unwrap();
        assert_eq!(cache.get(&hello).unwrap().unwrap(), b"hello\n");
        let path = state.join("include").join(HELLO);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(state.join("include")).unwrap().count(), 1);
        fs::write(&path, "hell").unwrap();
        assert!(cache.get(&hello).unwrap().is_none(), "it is torn");
        cache.ensure_empty().unwrap();
        assert_eq!(fs::read_dir(state.join("include")).unwrap().count(), 0);
        fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn an_answer_has_an_end() {
        let mut body = Body::new("https://x.example/");
        body.push(&[0; LARGEST_ANSWER]).unwrap();
        assert!(matches!(body.push(b"x"), Err(FetchError::TooLarge { .. })));
        assert_eq!(body.whole().len(), LARGEST_ANSWER);
    }
}

//! The token that opens the credentials' endpoint, in a file that the container alone can read.
//!
//! ```text
//! <runtime directory>/identity     root:999 2750, laid out by tmpfiles; mounted read-only
//!   └─ token                       root:999 0440, replaced by rename whenever the container is started
//! ```
//!
//! An agent that was restarted reads it back: the container that runs has it, and nobody told it of another.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use monopod_core::identity::TOKEN_FILE;
use monopod_core::secret::Secret;

use super::layout::{DeliveryError, ensure_layout, ensure_others_gone, failed, write};

const DIRECTORY: &str = "identity";
const BYTES: usize = 32;

/// Where it lies.
#[derive(Clone, Debug)]
pub struct TokenFile {
    directory: PathBuf,
}

impl TokenFile {
    /// Below the runtime directory; touches nothing.
    pub fn new(runtime: &Path) -> Self {
        Self {
            directory: runtime.join(DIRECTORY),
        }
    }

    /// What is mounted.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The token that lies there, if it is one of ours.
    pub fn recall(&self) -> Option<Secret> {
        let token = Secret::new(fs::read_to_string(self.path()).ok()?);
        let text = token.expose();
        (text.len() == 2 * BYTES && text.bytes().all(|b| b.is_ascii_hexdigit())).then_some(token)
    }

    /// The directory is as it has to be, before anything else is touched for it.
    pub fn ensure_layout(&self) -> Result<(), DeliveryError> {
        ensure_layout(&self.directory)
    }

    /// Another token in the place of the one before.
    pub fn renew(&self) -> Result<Secret, DeliveryError> {
        self.ensure_layout()?;
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes)
            .map_err(|_| std::io::Error::other("the kernel gave no random bytes"))
            .map_err(failed("make a token for", &self.path()))?;
        let token = Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        write(&self.path(), &token).map_err(failed("write", &self.path()))?;
        Ok(token)
    }

    /// There is none, where the container has no use for it.
    pub fn ensure_none(&self) {
        ensure_others_gone(&self.directory, None);
    }

    fn path(&self) -> PathBuf {
        self.directory.join(TOKEN_FILE)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn each_token_is_another_and_is_read_back() {
        let runtime = std::env::temp_dir().join(format!("monopod-token-{}", std::process::id()));
        fs::create_dir_all(&runtime).unwrap();
        let file = TokenFile::new(&runtime);
        file.ensure_none();
        assert_eq!(file.recall(), None);
        let first = file.renew().unwrap();
        assert_eq!(file.recall().as_ref(), Some(&first));
        let second = file.renew().unwrap();
        assert_ne!(first, second);
        assert_eq!(TokenFile::new(&runtime).recall(), Some(second));
        let metadata = fs::metadata(file.path()).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.gid()), (0o440, 999));
        fs::remove_file(file.path()).unwrap();
        fs::write(file.path(), "somebody else's").unwrap();
        assert_eq!(file.recall(), None);
        file.ensure_none();
        assert!(!file.path().exists());
        fs::remove_dir_all(&runtime).unwrap();
    }
}

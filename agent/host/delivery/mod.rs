//! Files of the user data, written where the container finds them.
//!
//! ```text
//! <runtime directory>/files      root:999 2750, laid out by tmpfiles
//!   └─ <spec hash>               what is below has its group by the setgid bit
//!        ├─ 0                    root:999 0440, bind-mounted read-only at its path
//!        └─ 1
//! ```
//!
//! The runtime directory is a tmpfs, so the files never reach the disk and are gone after a reboot; they are
//! made again before every start, since a bind mount without a source ends it. The agent has no capability
//! to change owners: the group comes from the directory. Where the agent may, it lays that out itself.
//!
//! Invariants
//! - A content is in no error, event or hint: whoever reads about a file learns its number.
//! - The same spec gives the same names, whatever the order in the user data: a container made from them is started
//!   again with its mounts as they are.

pub(super) mod layout;
mod token;

use std::fs;
use std::path::{Path, PathBuf};

use monopod_core::config::{EnvValue, FileMount};
use monopod_core::plan::reconcile::SpecHash;
use monopod_core::secret::{Secret, SecretRef};
use serde::{Deserialize, Serialize};

pub use layout::{DeliveryError, GROUP};
use layout::{ensure_group, ensure_layout, ensure_others_gone, failed, is_as_wanted, write};
pub use token::TokenFile;

const FILES: &str = "files";

/// The files of one container. What is remembered of it in the hint is where they lie, how many there are and which of
/// them were fetched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Parent of all deliveries; empty when there never was one.
    root: PathBuf,
    name: String,
    count: usize,
    /// Those whose text is a secret: their numbers, and where the container finds them.
    #[serde(default)]
    fetched: Vec<(usize, String)>,
    #[serde(skip)]
    contents: Vec<Secret>,
}

impl Delivery {
    /// For these files of this spec; `value` knows what was fetched. A content that is not known leaves all of them
    /// unknown, until they are [recalled](Self::recall).
    pub fn new(
        runtime: &Path,
        spec: &SpecHash,
        files: &[FileMount],
        value: impl Fn(&SecretRef) -> Option<Secret>,
    ) -> Self {
        let files = by_path(files);
        let fetched = files
            .iter()
            .enumerate()
            .filter(|(_, file)| matches!(file.content, EnvValue::Secret(_)))
            .map(|(number, file)| (number, file.path.clone()))
            .collect();
        let content = |file: &&FileMount| match &file.content {
            EnvValue::Plain(text) => Some(Secret::new(text.clone())),
            EnvValue::Secret(reference) => value(reference),
        };
        Self {
            root: runtime.join(FILES),
            name: spec.as_str().to_owned(),
            count: files.len(),
            fetched,
            contents: files
                .iter()
                .map(content)
                .collect::<Option<_>>()
                .unwrap_or_default(),
        }
    }

    /// What was fetched and is known, with the name it is known by: to be redacted.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &Secret)> {
        self.fetched
            .iter()
            .filter_map(|(number, path)| Some((format!("files.{path}"), self.contents.get(*number)?)))
    }

    /// What is mounted where: pairs of source and target.
    pub fn mounts<'a>(&self, files: &'a [FileMount]) -> Vec<(PathBuf, &'a str)> {
        by_path(files)
            .into_iter()
            .enumerate()
            .map(|(number, file)| (self.source(number), file.path.as_str()))
            .collect()
    }

    /// For an agent that knows it from the hint only: whether the contents could be read back.
    pub fn recall(&mut self) -> bool {
        let read = |number| fs::read_to_string(self.source(number)).map(Secret::new);
        match (0..self.count).map(read).collect() {
            Ok(contents) => {
                self.contents = contents;
                true
            }
            Err(_) => false,
        }
    }

    /// Whether every content is known, so that the files can be made again.
    pub fn is_known(&self) -> bool {
        self.contents.len() == self.count
    }

    /// Every file is there, whole, and readable by the application; those of other specs are gone.
    pub fn ensure(&self) -> Result<(), DeliveryError> {
        ensure_others_gone(&self.root, (self.count > 0).then_some(self.name.as_str()));
        if self.contents.is_empty() {
            return Ok(());
        }
        ensure_layout(&self.root)?;
        let directory = self.directory();
        ensure_group(&directory)?;
        for (number, content) in self.contents.iter().enumerate() {
            let path = self.source(number);
            if !is_as_wanted(&path, content) {
                write(&path, content).map_err(failed("write", &path))?;
            }
        }
        Ok(())
    }

    /// The directory they will lie in is as it has to be, before anything else is touched for them.
    pub fn ensure_layout(&self) -> Result<(), DeliveryError> {
        if self.count == 0 {
            return Ok(());
        }
        ensure_layout(&self.root)
    }

    fn directory(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    fn source(&self, number: usize) -> PathBuf {
        self.directory().join(number.to_string())
    }
}

fn by_path(files: &[FileMount]) -> Vec<&FileMount> {
    let mut files: Vec<&FileMount> = files.iter().collect();
    files.sort_unstable();
    files
}

#[cfg(test)]
mod tests;

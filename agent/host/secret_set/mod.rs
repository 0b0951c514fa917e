//! A set of secret files that changes as a whole, in a directory the container has mounted.
//!
//! ```text
//! <runtime directory>/secrets      root:999 2750, laid out by tmpfiles
//!   └─ <spec hash>                 mounted read-only at /run/secrets
//!        ├─ ..3/db, ..3/token      the version before: whoever opened it reads on
//!        ├─ ..4/db, ..4/token      root:999 0440
//!        ├─ ..data -> ..4          replaced by rename: the one moment at which all files change
//!        ├─ db -> ..data/db
//!        └─ token -> ..data/token
//! ```
//!
//! Design: as Kubernetes mounts its secrets, so what was written to read those reads these. A reader that opens `..data`
//! once and reads its files below that has them of one version; one that opens files by their names has each whole.
//! Everything is on a tmpfs, so nothing is synced: what a crash of the machine takes, the reboot takes anyway.
//!
//! Invariants
//! - A version is never written to once `..data` has named it, and goes only when the one after the next is written.
//! - Killed at any point, the set is the old one or the new one; what is left over goes with the next [`SecretSet::ensure`].
//! - The directory itself stays the same one: a container that runs has it mounted.
//! - No value is in an error, an event or the hint.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use monopod_core::plan::reconcile::SpecHash;
use monopod_core::plan::sets::SetName;
use monopod_core::secret::Secret;
use serde::{Deserialize, Serialize};

use super::delivery::DeliveryError;
use super::delivery::layout::{
    GROUP, ensure_group, ensure_layout, ensure_others_gone, failed, is_as_wanted, make_directory, remove,
    write_new,
};

/// The version that counts.
const DATA: &str = "..data";
/// Before its rename.
const DATA_NEW: &str = "..data.new";
/// In front of a version's number. No file's name begins with a dot.
const VERSION: &str = "..";

/// Files by their names.
pub type Files = Vec<(String, Secret)>;

/// What [`SecretSet::ensure`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Nothing: it was so already.
    Unchanged,
    /// The set was swapped.
    Swapped,
}

/// Where one set of one container lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSet {
    set: SetName,
    root: PathBuf,
    spec: String,
}

impl SecretSet {
    /// For the container of this spec; touches nothing.
    pub fn new(runtime: &Path, set: SetName, spec: &SpecHash) -> Self {
        Self {
            set,
            root: runtime.join(set.word()),
            spec: spec.as_str().to_owned(),
        }
    }

    /// Which set it is.
    pub fn name(&self) -> SetName {
        self.set
    }

    /// What is mounted.
    pub fn directory(&self) -> PathBuf {
        self.root.join(&self.spec)
    }

    /// The directory it will lie in is as it has to be, before anything else is touched for it.
    pub fn ensure_layout(&self) -> Result<(), DeliveryError> {
        ensure_layout(&self.root)
    }

    /// The container finds exactly these files, each readable and whole; the sets of other specs are gone.
    pub fn ensure(&self, files: &[(String, Secret)]) -> Result<Delivered, DeliveryError> {
        ensure_others_gone(&self.root, Some(&self.spec));
        ensure_layout(&self.root)?;
        let directory = self.directory();
        ensure_group(&directory)?;
        let current = self.current();
        let delivered = match current {
            Some(version) if self.is(version, files) => Delivered::Unchanged,
            _ => {
                self.swap(current, files)?;
                Delivered::Swapped
            }
        };
        self.ensure_names(files)?;
        Ok(delivered)
    }

    /// No set of this name is left, where the container has none.
    pub fn ensure_none(runtime: &Path, set: SetName) {
        ensure_others_gone(&runtime.join(set.word()), None);
    }

    /// What the container finds; `None` unless it is whole: exactly the files of these names.
    pub fn recall(&self, names: &[&str]) -> Option<Files> {
        let version = self.version(self.current()?);
        let mut files: Files = fs::read_dir(&version)
            .ok()?
            .map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                Some((name, Secret::new(fs::read_to_string(entry.path()).ok()?)))
            })
            .collect::<Option<_>>()?;
        files.sort_by(|one, other| one.0.cmp(&other.0));
        let is_whole =
            files.len() == names.len() && files.iter().all(|(name, _)| names.contains(&name.as_str()));
        is_whole.then_some(files)
    }

    /// When the container got what it has now, in milliseconds since the epoch.
    pub fn delivered_at(&self) -> Option<u64> {
        let version = fs::metadata(self.version(self.current()?)).ok()?;
        let since = version.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        u64::try_from(since.as_millis()).ok()
    }

    fn version(&self, number: u64) -> PathBuf {
        self.directory().join(format!("{VERSION}{number}"))
    }

    /// The version that counts.
    fn current(&self) -> Option<u64> {
        let target = fs::read_link(self.directory().join(DATA)).ok()?;
        version_number(target.to_str()?)
    }

    /// Whether a version holds these files, no other, each as it has to be.
    fn is(&self, version: u64, files: &[(String, Secret)]) -> bool {
        let version = self.version(version);
        let Ok(entries) = fs::read_dir(&version) else {
            return false;
        };
        fs::metadata(&version).is_ok_and(|metadata| metadata.gid() == GROUP)
            && entries.count() == files.len()
            && files
                .iter()
                .all(|(name, content)| is_as_wanted(&version.join(name), content))
    }

    /// Writes the next version and lets `..data` name it.
    fn swap(&self, current: Option<u64>, files: &[(String, Secret)]) -> Result<(), DeliveryError> {
        let directory = self.directory();
        let mut newest = current.unwrap_or(0);
        // The one before the current, and what a killed agent left.
        for name in names_in(&directory)? {
            let number = version_number(&name);
            newest = newest.max(number.unwrap_or(0));
            if name == DATA_NEW || (number.is_some() && number != current) {
                let path = directory.join(&name);
                remove(&path).map_err(failed("remove", &path))?;
            }
        }
        let version = self.version(newest.saturating_add(1));
        make_directory(&version)?;
        for (name, content) in files {
            let path = version.join(name);
            write_new(&path, content).map_err(failed("write", &path))?;
        }
        let data = directory.join(DATA);
        let link = || -> io::Result<()> {
            symlink(version.file_name().unwrap_or_default(), directory.join(DATA_NEW))?;
            fs::rename(directory.join(DATA_NEW), &data)
        };
        link().map_err(failed("change", &data))
    }

    /// A link for each file, and for nothing else.
    fn ensure_names(&self, files: &[(String, Secret)]) -> Result<(), DeliveryError> {
        let directory = self.directory();
        let target = |name: &str| Path::new(DATA).join(name);
        for (name, _) in files {
            let link = directory.join(name);
            if fs::read_link(&link).is_ok_and(|found| found == target(name)) {
                continue;
            }
            match remove(&link) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &link)(error));
                }
                _ => {}
            }
            symlink(target(name), &link).map_err(failed("make", &link))?;
        }
        for name in names_in(&directory)? {
            if !name.starts_with(VERSION) && !files.iter().any(|(one, _)| *one == name) {
                let path = directory.join(&name);
                remove(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }
}

fn version_number(name: &str) -> Option<u64> {
    name.strip_prefix(VERSION)?.parse().ok()
}

/// What lies in a directory; a name that is not UTF-8 is not ours and is left alone.
fn names_in(directory: &Path) -> Result<Vec<String>, DeliveryError> {
    let entries = fs::read_dir(directory).map_err(failed("list", directory))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}

#[cfg(test)]
mod tests;

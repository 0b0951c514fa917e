//! What of this boot has been told already, and the records that wait.
//!
//! Both lie in a directory of the state: an agent that is started again, and a machine that boots again, go on where the
//! one before was. A record is what `status.json` is, without secrets; of every other payload only a mark is kept, since
//! it can be made again. A mark that is lost costs one payload sent twice.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use monopod_core::audit::Sender;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::host::files::{self, FileError};

const MARKS: &str = "marks.json";
const RECORD: &str = "record-";
const NOTICE: &str = "notice-";
/// More notices than these do not wait: what comes after them is told to the journal alone.
const MOST_NOTICES: usize = 500;
/// A receiver that is away for many boots is told of the newest.
pub(super) const MOST_RECORDS: usize = 16;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Marked {
    instance_id: String,
    boot_id: String,
    booted_at: u64,
    user_data: bool,
    outcomes: BTreeSet<String>,
}

/// A boot record that waits.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) sender: Sender,
    pub(super) record: Value,
}

/// The directory.
#[derive(Debug)]
pub(super) struct Marks {
    directory: PathBuf,
    marked: Marked,
}

impl Marks {
    /// Those of this boot; what is unreadable is as if there were none. `booted_at` counts if this boot has none yet, so
    /// that all of its payloads say the same time, whatever happens to the clock.
    pub(super) fn open(
        directory: PathBuf,
        instance_id: &str,
        boot_id: &str,
        booted_at: u64,
    ) -> Result<Self, FileError> {
        files::ensure_directory(&directory)?;
        let bytes = files::read(&directory.join(MARKS))?.unwrap_or_default();
        let marked = serde_json::from_slice::<Marked>(&bytes)
            .ok()
            .filter(|marked| marked.boot_id == boot_id && marked.instance_id == instance_id)
            .unwrap_or_else(|| Marked {
                instance_id: instance_id.to_owned(),
                boot_id: boot_id.to_owned(),
                booted_at,
                ..Marked::default()
            });
        let marks = Self { directory, marked };
        marks.save()?;
        Ok(marks)
    }

    pub(super) fn booted_at(&self) -> u64 {
        self.marked.booted_at
    }

    pub(super) fn boot_id(&self) -> &str {
        &self.marked.boot_id
    }

    pub(super) fn user_data_is_told(&self) -> bool {
        self.marked.user_data
    }

    pub(super) fn user_data_told(&mut self) -> Result<(), FileError> {
        self.marked.user_data = true;
        self.save()
    }

    pub(super) fn is_told(&self, outcome: &str) -> bool {
        self.marked.outcomes.contains(outcome)
    }

    /// Keeps a record until it is sent. The record first: a kill in between tells it twice rather than never. The paths
    /// of those that had to go for it.
    pub(super) fn keep(&mut self, outcome: &str, waiting: &Waiting) -> Result<usize, FileError> {
        let name = format!("{RECORD}{:012}-{outcome}.json", waiting.sender.booted_at);
        let json = serde_json::to_vec(waiting).unwrap_or_default();
        files::ensure_durable_content(&self.directory.join(name), &json)?;
        self.marked.outcomes.insert(outcome.to_owned());
        self.save()?;
        let records = self.records()?;
        let gone = records.len().saturating_sub(MOST_RECORDS);
        for path in records.iter().take(gone) {
            remove(path);
        }
        Ok(gone)
    }

    /// Keeps a notice until it is sent; false where too many wait already. The oldest stay: they say how it began.
    pub(super) fn keep_notice(&self, id: &str, waiting: &Waiting) -> Result<bool, FileError> {
        let hash = Sha256::digest(id.as_bytes());
        let mark: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let all = self.notices()?;
        let names = all.iter().filter_map(|path| path.file_name()?.to_str());
        let is_mark = |name: &str| name.ends_with(&format!("-{mark}.json"));
        if names.clone().any(is_mark) {
            return Ok(true);
        }
        if all.len() >= MOST_NOTICES {
            return Ok(false);
        }
        let mut names = names;
        let last = names
            .next_back()
            .and_then(|name| name.split('-').nth(1)?.parse::<u64>().ok());
        let number = last.unwrap_or_default() + 1;
        let json = serde_json::to_vec(waiting).unwrap_or_default();
        let path = self.directory.join(format!("{NOTICE}{number:012}-{mark}.json"));
        files::ensure_durable_content(&path, &json)?;
        Ok(true)
    }

    /// The notices that wait, the oldest first.
    pub(super) fn notices(&self) -> Result<Vec<PathBuf>, FileError> {
        self.waiting(NOTICE)
    }

    /// The records that wait, the oldest first.
    pub(super) fn records(&self) -> Result<Vec<PathBuf>, FileError> {
        self.waiting(RECORD)
    }

    fn waiting(&self, prefix: &str) -> Result<Vec<PathBuf>, FileError> {
        let mut all = files::names(&self.directory)?;
        all.retain(|name| name.starts_with(prefix) && name.ends_with(".json"));
        all.sort();
        Ok(all.iter().map(|name| self.directory.join(name)).collect())
    }

    /// What waits there; `None` for what is not ours to tell, which is removed: a torn file, or one that came with a disk
    /// that was copied from another machine.
    pub(super) fn record(&self, path: &Path) -> Result<Option<Waiting>, FileError> {
        let Some(bytes) = files::read(path)? else {
            return Ok(None);
        };
        let waiting = serde_json::from_slice::<Waiting>(&bytes)
            .ok()
            .filter(|waiting| waiting.sender.instance_id == self.marked.instance_id);
        if waiting.is_none() {
            remove(path);
        }
        Ok(waiting)
    }

    fn save(&self) -> Result<(), FileError> {
        let json = serde_json::to_vec(&self.marked).unwrap_or_default();
        files::ensure_content(&self.directory.join(MARKS), &json)
    }
}

/// What can't be removed is sent again.
pub(super) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(%error, "{} stays and will be sent again", path.display());
    }
}

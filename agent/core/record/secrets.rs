//! Sets of files in the record: names and sources, never a value.

use serde::{Deserialize, Serialize};

use super::BootRecord;
use crate::plan::sets::SetName;

/// A set of files that change together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRecord {
    /// Which.
    pub set: SetName,
    /// Its files.
    pub files: Vec<FileRecord>,
    /// When the container got what it has now, in milliseconds since the epoch; `None` where it has none yet.
    pub delivered_at: Option<u64>,
    /// When a fetch worked last, whether it brought anything new or not.
    pub fetched_at: Option<u64>,
    /// Why the last fetch did not work, if it did not.
    pub last_error: Option<String>,
    /// Since when fetches have not worked.
    pub stale_since: Option<u64>,
    /// That has been so for longer than `max_age` allows.
    pub unhealthy: bool,
}

/// One file of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its name.
    pub name: String,
    /// Where its value comes from, for people.
    pub source: String,
}

impl SetRecord {
    /// Changes every text in it. Each field is named here, so that a new one has to say whether it holds one.
    pub fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        let Self {
            set: _,
            files,
            delivered_at: _,
            fetched_at: _,
            last_error,
            stale_since: _,
            unhealthy: _,
        } = self;
        for FileRecord { name, source } in files {
            change(name);
            change(source);
        }
        last_error.iter_mut().for_each(change);
    }
}

impl BootRecord {
    pub(super) fn set_seen(&mut self, set: &SetRecord) {
        match self.secrets.iter_mut().find(|one| one.set == set.set) {
            Some(one) => one.clone_from(set),
            None => {
                self.secrets.push(set.clone());
                self.secrets.sort_by_key(|one| one.set);
            }
        }
    }
}

//! What was told of this boot, in the runtime directory: an agent that is started again goes on where the one before was.
//!
//! What is lost or unreadable is as if nothing was told: then it is told once more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use monopod_core::notice::access::Position;
use monopod_core::notice::files::Hashes;
use serde::{Deserialize, Serialize};

use crate::host::{chain, clock, files};

const FILE: &str = "notices.json";
/// More containers than an engine has at a time.
const MOST: usize = 200;

/// What is known.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    /// Of this boot of the machine.
    pub(super) boot_id: String,
    /// How it ended, as words.
    pub(super) outcomes: BTreeSet<String>,
    /// What it opens.
    pub(super) opt_outs: bool,
    /// What was judged of its image, by the notices' names.
    pub(super) verdicts: BTreeSet<String>,
    /// Containers that are not ours.
    pub(super) containers: BTreeSet<String>,
    /// Up to when the engine's events are told, in nanoseconds.
    pub(super) engine: Option<u64>,
    /// Fingerprints of health checks.
    pub(super) checks: BTreeSet<String>,
    /// Up to where the access record is told.
    pub(super) access: Position,
    /// The files as they were told last.
    pub(super) files: Option<Hashes>,
}

/// The file, and what is in it.
#[derive(Debug)]
pub struct Known {
    path: PathBuf,
    told: Mutex<Told>,
}

impl Known {
    /// What an earlier agent of this boot has left.
    pub fn load(runtime: &Path) -> Self {
        let path = runtime.join(FILE);
        let boot_id = files::boot_id().unwrap_or_default();
        let bytes = files::read(&path).ok().flatten().unwrap_or_default();
        let told = serde_json::from_slice::<Told>(&bytes)
            .ok()
            .filter(|told| told.boot_id == boot_id)
            .unwrap_or_else(|| Told {
                boot_id,
                ..Told::default()
            });
        Self {
            path,
            told: Mutex::new(told),
        }
    }

    pub(super) fn get(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it, in memory and in the file. After the telling: a kill in between tells once more rather than never.
    pub(super) fn note(&self, change: impl FnOnce(&mut Told)) {
        let json = {
            let mut told = self.get();
            change(&mut told);
            while told.containers.len() > MOST {
                told.containers.pop_first();
            }
            serde_json::to_vec(&*told).unwrap_or_default()
        };
        if let Err(error) = files::ensure_private_content(&self.path, &json) {
            tracing::debug!(
                "what was told is told again by a restarted agent: {}",
                chain(&error)
            );
        }
    }

    /// From when the engine's events are told; from now on where nothing is known.
    pub(super) fn engine_since(&self) -> u64 {
        if self.get().engine.is_none() {
            let now = clock::now_millis() * 1_000_000;
            self.note(|told| told.engine = Some(now));
        }
        self.get().engine.unwrap_or_default()
    }
}

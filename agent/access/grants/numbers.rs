//! Which number a user gets, each once a boot, and after a boot behind the last one's.
//!
//! What lies in /tmp and /var/tmp outlives a boot, with its owner's number: a file of one user must not be the next one's,
//! who may be an admin. So the last number that was given stands on the disk, and numbers go round the whole range.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use monopod_core::access::{UIDS, UserName};
use serde::{Deserialize, Serialize};

use crate::host::chain;
use crate::host::files::{self, FileError};

/// The numbers that were given in this boot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Numbers {
    pub(super) boot_id: String,
    pub(super) given: BTreeMap<UserName, u32>,
    /// The one that was given last.
    #[serde(default)]
    last: Option<u32>,
}

impl Numbers {
    /// What was given in this boot; nothing, where that can't be told.
    pub(super) fn read(path: &Path, boot_id: &str) -> Result<Self, FileError> {
        let numbers = files::read(path)?.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        let of_this_boot = numbers.filter(|numbers| numbers.boot_id == boot_id);
        Ok(of_this_boot.unwrap_or_else(|| Self {
            boot_id: boot_id.to_owned(),
            ..Self::default()
        }))
    }

    /// The numbers that nobody had in this boot, the next one first.
    pub(super) fn free(&self, mark: &Mark) -> Vec<u32> {
        let last = self
            .last
            .or(mark.last)
            .unwrap_or_else(|| somewhere(&self.boot_id));
        let had = |uid: &u32| self.given.values().any(|given| given == uid);
        let behind = UIDS.filter(|uid| *uid > last);
        let round = UIDS.filter(|uid| *uid <= last);
        behind.chain(round).filter(|uid| !had(uid)).collect()
    }

    /// The same with one more.
    pub(super) fn with(&self, user: &UserName, uid: u32) -> Self {
        let mut numbers = self.clone();
        numbers.given.insert(user.clone(), uid);
        numbers.last = Some(uid);
        numbers
    }
}

/// Where to begin when nobody knows who had which number: no two boots begin at the same one but by chance.
fn somewhere(boot_id: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    boot_id.hash(&mut hasher);
    let count = u64::try_from(UIDS.count()).unwrap_or(1);
    let offset = u32::try_from(hasher.finish() % count).unwrap_or(0);
    UIDS.start().saturating_add(offset)
}

/// The last number, on the disk. A thread of its own writes it: a disk that hangs keeps nobody's end waiting.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    last: Option<u32>,
    writer: Option<mpsc::Sender<u32>>,
}

impl Mark {
    /// What stands there, if it is one of ours.
    pub(super) fn read(directory: &Path) -> Self {
        let path = directory.join("last-uid");
        let bytes = files::read(&path).unwrap_or_else(|error| {
            tracing::warn!("numbers begin anywhere: {}", chain(&error));
            None
        });
        let last = bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse().ok());
        Self {
            path,
            last: last.filter(|uid| UIDS.contains(uid)),
            writer: None,
        }
    }

    /// Has it written, if that can be: who is let in does not wait for a disk.
    pub(super) fn keep(&mut self, uid: u32) {
        self.last = Some(uid);
        let writer = self.writer.get_or_insert_with(|| {
            let (sender, numbers) = mpsc::channel::<u32>();
            let path = self.path.clone();
            thread::spawn(move || {
                for uid in numbers {
                    if let Err(error) = files::ensure_durable_content(&path, format!("{uid}\n").as_bytes()) {
                        tracing::warn!(
                            "after the next boot numbers may begin at one that is somebody's: {}",
                            chain(&error)
                        );
                    }
                }
            });
            sender
        });
        let _it_writes = writer.send(uid).is_ok();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn user(name: &str) -> UserName {
        UserName::parse(name).unwrap()
    }

    #[test]
    fn numbers_begin_behind_the_last_boot_s_and_go_round() {
        let directory = std::env::temp_dir().join(format!("monopod-numbers-{}", std::process::id()));
        files::ensure_directory(&directory).unwrap();
        let boot = |id: &str| Numbers {
            boot_id: id.to_owned(),
            ..Numbers::default()
        };
        let mut mark = Mark::read(&directory);
        let anywhere = boot("one").free(&mark);
        assert_eq!(anywhere.len(), UIDS.count());
        assert_ne!(anywhere, boot("two").free(&mark));
        mark.keep(*UIDS.end() - 1);
        let deadline = Instant::now() + Duration::from_secs(10);
        while Mark::read(&directory).last.is_none() {
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
        let mark = Mark::read(&directory);
        let next = boot("three").free(&mark);
        assert_eq!(next[..2], [*UIDS.end(), *UIDS.start()]);
        let numbers = boot("three").with(&user("alice"), *UIDS.end());
        let next = numbers.free(&mark);
        assert_eq!((next[0], next.len()), (*UIDS.start(), UIDS.count() - 1));
        // Not one of ours.
        std::fs::write(directory.join("last-uid"), "0\n").unwrap();
        assert_eq!(Mark::read(&directory).last, None);
        std::fs::remove_dir_all(directory).unwrap();
    }
}

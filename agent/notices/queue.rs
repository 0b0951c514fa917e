//! Notices that wait for one receiver: a file each, in a directory of the state.
//!
//! Bounded: what does not fit is counted and not kept, the newest first, since the oldest says how it began. A boot's
//! result has some room of its own.

use std::collections::VecDeque;
use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::host::files::{self, FileError};

/// So many wait at most.
const MOST: usize = 1000;
/// And so many bytes.
const MOST_BYTES: usize = 1 << 20;
/// Beside them, for how boots ended.
const FOR_BOOTS: usize = 16;

/// What became of a notice that was to be kept.
#[derive(Debug)]
pub(super) enum Kept {
    /// It waits.
    Yes,
    /// It waits already.
    Already,
    /// There is no room.
    Full,
}

/// The directory.
#[derive(Debug)]
pub(super) struct Queue {
    directory: PathBuf,
    waiting: VecDeque<Waiting>,
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    name: String,
    bytes: usize,
    /// What could not be written: a disk that is full is what somebody should hear of.
    json: Option<Value>,
}

/// One that is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) json: Value,
}

impl Queue {
    /// What earlier agents have left. What another machine's disk brought with it is not ours to tell.
    pub(super) fn open(directory: PathBuf, instance_id: &str) -> Result<Self, FileError> {
        files::ensure_directory(&directory)?;
        let (mut names, left): (Vec<String>, Vec<String>) = files::names(&directory)?
            .into_iter()
            .partition(|name| name.ends_with(".json") && number(name).is_some());
        // An agent that was killed while it wrote.
        for name in left {
            files::ensure_gone(&directory.join(name))?;
        }
        names.sort();
        let mut queue = Self {
            directory,
            waiting: VecDeque::new(),
            bytes: 0,
            next: 1,
        };
        for name in names {
            let path = queue.directory.join(&name);
            let bytes = files::read(&path)?.unwrap_or_default();
            let is_ours = serde_json::from_slice::<Value>(&bytes)
                .is_ok_and(|json| json.get("instance_id").and_then(Value::as_str) == Some(instance_id));
            queue.next = queue.next.max(number(&name).unwrap_or_default() + 1);
            if is_ours && queue.waiting.len() < MOST + FOR_BOOTS {
                queue.bytes += bytes.len();
                queue.waiting.push_back(Waiting {
                    name,
                    bytes: bytes.len(),
                    json: None,
                });
            } else {
                files::ensure_gone(&path)?;
            }
        }
        Ok(queue)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Keeps one, on the disk when this returns; in memory alone where the disk takes nothing.
    pub(super) fn keep(&mut self, id: &str, json: &Value, is_boot: bool) -> Kept {
        let mark = mark(id);
        if self.waiting.iter().any(|one| one.name.ends_with(&mark)) {
            return Kept::Already;
        }
        let text = json.to_string();
        let (room, bytes) = match is_boot {
            true => (MOST + FOR_BOOTS, MOST_BYTES + (64 << 10)),
            false => (MOST, MOST_BYTES),
        };
        if self.waiting.len() >= room || self.bytes + text.len() > bytes {
            return Kept::Full;
        }
        let name = format!("{:012}-{mark}", self.next);
        let written = files::ensure_durable_content(&self.directory.join(&name), text.as_bytes());
        if let Err(error) = &written {
            tracing::debug!(%error, "a notice waits in memory");
        }
        self.next += 1;
        self.bytes += text.len();
        self.waiting.push_back(Waiting {
            name,
            bytes: text.len(),
            json: written.is_err().then(|| json.clone()),
        });
        Kept::Yes
    }

    /// The oldest, so many at most, and not more than so many bytes of them; one in any case.
    pub(super) fn oldest(&mut self, most: usize, most_bytes: usize) -> Vec<Item> {
        let (mut all, mut bytes, mut gone) = (Vec::new(), 0, Vec::new());
        for one in &self.waiting {
            if all.len() >= most || (!all.is_empty() && bytes + one.bytes > most_bytes) {
                break;
            }
            let on_disk = || {
                let read = files::read(&self.directory.join(&one.name)).ok().flatten()?;
                serde_json::from_slice(&read).ok()
            };
            match one.json.clone().or_else(on_disk) {
                Some(json) => {
                    bytes += one.bytes;
                    all.push(Item {
                        name: one.name.clone(),
                        json,
                    });
                }
                // Somebody took it away.
                None => gone.push(one.name.clone()),
            }
        }
        for name in gone {
            self.remove(&name);
        }
        all
    }

    /// It is taken, or given up. What can't be removed is sent again by the next agent.
    pub(super) fn remove(&mut self, name: &str) {
        if let Err(error) = files::ensure_gone(&self.directory.join(name)) {
            tracing::debug!(%error, "a notice stays and will be sent again");
        }
        if let Some(at) = self.waiting.iter().position(|one| one.name == name)
            && let Some(one) = self.waiting.remove(at)
        {
            self.bytes = self.bytes.saturating_sub(one.bytes);
        }
    }
}

/// `000000000012-0a1b2c3d4e5f.json`
fn number(name: &str) -> Option<u64> {
    name.split_once('-')?.0.parse().ok()
}

/// An id says paths and names: its hash is a file's name wherever it comes from.
fn mark(id: &str) -> String {
    let hash = Sha256::digest(id.as_bytes());
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{hash}.json")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("monopod-queue-{}-{name}", std::process::id()));
        let _fresh = std::fs::remove_dir_all(&path).is_ok();
        path
    }

    fn one(n: usize) -> Value {
        json!({"instance_id": "i-1", "n": n})
    }

    #[test]
    fn what_waits_is_there_for_the_next_agent_in_its_order() {
        let path = directory("order");
        let mut queue = Queue::open(path.clone(), "i-1").unwrap();
        for n in 0..12 {
            assert!(matches!(queue.keep(&n.to_string(), &one(n), false), Kept::Yes));
        }
        assert!(matches!(queue.keep("3", &one(3), false), Kept::Already));
        let mut queue = Queue::open(path.clone(), "i-1").unwrap();
        let oldest = queue.oldest(10, 1 << 20);
        assert_eq!(oldest.len(), 10);
        assert_eq!(
            (&oldest[0].json["n"], &oldest[9].json["n"]),
            (&json!(0), &json!(9))
        );
        queue.remove(&oldest[0].name);
        assert_eq!(queue.oldest(10, 1)[0].json["n"], json!(1));
        assert_eq!(queue.oldest(10, 1).len(), 1);
        assert!(matches!(queue.keep("x", &one(99), false), Kept::Yes));
        assert_eq!(Queue::open(path.clone(), "i-1").unwrap().len(), 12);
        assert_eq!(
            Queue::open(path.clone(), "i-2").unwrap().len(),
            0,
            "a copied disk"
        );
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn it_is_bounded_and_a_boot_has_room() {
        let path = directory("bounds");
        let mut queue = Queue::open(path.clone(), "i-1").unwrap();
        let large = json!({"instance_id": "i-1", "x": "x".repeat(100_000)});
        let kept = (0..20)
            .filter(|n| matches!(queue.keep(&n.to_string(), &large, false), Kept::Yes))
            .count();
        assert_eq!(kept, 10);
        assert!(matches!(queue.keep("b", &one(1), true), Kept::Yes));
        std::fs::write(path.join("000000000001-torn.json"), "{").unwrap();
        std::fs::write(path.join(".half"), "{").unwrap();
        assert_eq!(Queue::open(path.clone(), "i-1").unwrap().len(), 11);
        assert_eq!(
            std::fs::read_dir(&path).unwrap().count(),
            11,
            "nothing is left lying"
        );
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn where_the_disk_takes_nothing_it_waits_in_memory() {
        let path = directory("full");
        let mut queue = Queue::open(path.clone(), "i-1").unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::write(&path, "in the way").unwrap();
        assert!(matches!(queue.keep("1", &one(1), false), Kept::Yes));
        let oldest = queue.oldest(10, 1 << 20);
        assert_eq!(oldest[0].json["n"], json!(1));
        queue.remove(&oldest[0].name);
        assert_eq!(queue.len(), 0);
        std::fs::remove_file(path).unwrap();
    }
}

//! Watches what the agent goes by: `/etc/monopod` with all below it, and the agent's units and their drop-ins.
//!
//! What counts is what is in a file, against what was in it when the machine booted: a file that is written anew with
//! the same content is no news. Only paths are told.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::notice::files::{Hashes, changes, notices};
use sha2::{Digest as _, Sha256};

use super::tell;
use crate::context::Context;
use crate::host::changes::Tree;
use crate::host::clock;

/// Whoever changes several files at once is looked at once.
const SETTLED: Duration = Duration::from_millis(500);
/// Larger files are known by their beginning and their length.
const MOST_BYTES: u64 = 4 << 20;
/// More files are not looked at.
const MOST_FILES: usize = 1000;
/// Nor are directories deeper than this.
const DEEPEST: usize = 5;
/// Of the units directory only these.
const OURS: &str = "monopod";

/// As long as the agent lives.
pub(super) async fn follow(context: &Context) {
    let mut tree = match Tree::new() {
        Ok(tree) => tree,
        Err(error) => {
            let text = format!("changed files of the configuration are not told: no inotify: {error}");
            context.reporter.tell(Event::Warning { text });
            return std::future::pending().await;
        }
    };
    let units = context.directories.units.as_path();
    loop {
        // Watched first, then read: a change in between is seen by one or the other.
        let mut look = Look::default();
        look.watch(&mut tree, context);
        let (boot_id, before) = {
            let told = context.known.get();
            (told.boot_id.clone(), told.files.clone())
        };
        let changed = before.as_ref().map(|before| changes(before, &look.hashes));
        for notice in notices(
            changed.as_deref().unwrap_or_default(),
            &boot_id,
            clock::now_millis(),
        ) {
            tell(context, notice);
        }
        if before.as_ref() != Some(&look.hashes) {
            context.known.note(|told| told.files = Some(look.hashes));
        }
        tree.changed(|place, name| place != units || is_ours(name)).await;
        tokio::time::sleep(SETTLED).await;
    }
}

fn is_ours(name: &OsString) -> bool {
    name.as_encoded_bytes().starts_with(OURS.as_bytes())
}

/// What is there now.
#[derive(Default)]
struct Look {
    hashes: Hashes,
}

impl Look {
    fn watch(&mut self, tree: &mut Tree, context: &Context) {
        self.directory(tree, &context.directories.configuration, 0, &|_| true);
        self.directory(tree, &context.directories.units, 0, &is_ours);
    }

    fn directory(&mut self, tree: &mut Tree, path: &Path, depth: usize, ours: &dyn Fn(&OsString) -> bool) {
        if depth > DEEPEST {
            return;
        }
        if let Err(error) = tree.ensure(path) {
            // One that comes later is seen by who watches the directory above it.
            if depth == 0
                && let Some(parent) = path.parent()
            {
                let _nobody_watches = tree.ensure(parent).is_err();
            }
            tracing::debug!(%error, "{} is not watched", path.display());
        }
        let Ok(entries) = fs::read_dir(path) else { return };
        let mut paths: Vec<PathBuf> = entries
            .flatten()
            .filter(|entry| ours(&entry.file_name()))
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        for path in paths {
            let is_link = path.is_symlink();
            if path.is_dir() && !is_link {
                self.directory(tree, &path, depth + 1, &|_| true);
            } else if self.hashes.len() < MOST_FILES {
                self.hashes.insert(path.display().to_string(), hash(&path));
            }
        }
    }
}

/// Of what is in it, and of where it leads.
fn hash(path: &Path) -> String {
    let mut hash = Sha256::new();
    if let Ok(target) = fs::read_link(path) {
        hash.update(target.as_os_str().as_encoded_bytes());
        hash.update([0]);
    }
    let mut bytes = Vec::new();
    // A pipe or a device would be waited for.
    let is_file = fs::metadata(path).is_ok_and(|about| about.is_file());
    let read = match is_file {
        true => File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)),
        false => Ok(0),
    };
    match read {
        Ok(_) => hash.update(&bytes),
        Err(error) => hash.update(error.kind().to_string()),
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

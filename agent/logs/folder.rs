//! The files of a directory, each a source of its own from the moment it is there.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use monopod_core::logs::{Origin, Route};

use super::{Shared, locked, routes};

/// More files than this are not followed: each costs a task, a cursor and descriptors.
const FILES_MOST: usize = 64;
/// A directory that isn't there, or can't be read, is looked for again.
const AGAIN: Duration = Duration::from_secs(15);

/// Follows every `*.log` of it, now and later.
pub(super) fn watch(shared: &Arc<Shared>, route: &Route, directory: &Path) {
    let task = run(Arc::downgrade(shared), route.clone(), directory.to_owned());
    locked(&shared.tasks).spawn(task);
}

async fn run(shared: Weak<Shared>, route: Route, directory: PathBuf) {
    let Some(mut changes) = shared.upgrade().map(|shared| shared.changes.clone()) else {
        return;
    };
    let (mut followed, mut names, mut told) = (Vec::new(), None, false);
    loop {
        let watched = match shared.upgrade() {
            Some(shared) => shared.watcher.watch_folder(&directory).is_ok(),
            None => return,
        };
        let seen = changes.borrow_and_update().names;
        if names != Some(seen) || !watched {
            names = Some(seen);
            for path in logs_in(&directory) {
                if followed.contains(&path) {
                    continue;
                }
                if followed.len() >= FILES_MOST {
                    if !told {
                        tracing::warn!(
                            directory = %directory.display(), most = FILES_MOST,
                            "More log files than are followed: the lines of the others stay where they are"
                        );
                    }
                    told = true;
                    break;
                }
                let Some(shared) = shared.upgrade() else { return };
                let one = Route {
                    origin: Origin::File(path.display().to_string()),
                    ..route.clone()
                };
                if let Err(error) = routes::ship(&shared, &one).await {
                    tracing::warn!(file = %path.display(), %error, "A log file can't be followed");
                }
                followed.push(path);
            }
        }
        let again = tokio::time::sleep(if watched { Duration::from_secs(3600) } else { AGAIN });
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = again => {}
        }
    }
}

/// What is there now, in the order of names.
fn logs_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    found.sort();
    found
}

//! The files of a directory, each a source of its own from the moment it is there.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use monopod_core::logs::{Origin, Rotated, Route};

use super::{Shared, locked, routes};

/// More files than this are not followed: each costs a task, a cursor and descriptors.
const FILES_MOST: usize = 64;
/// A directory that isn't there, or can't be read, is looked for again.
const AGAIN: Duration = Duration::from_secs(15);

/// Follows every `*.log` of it, now and later.
pub(super) fn watch(shared: &Arc<Shared>, route: &Route, directory: &Path) {
    let task = run(Arc::downgrade(shared), route.clone(), directory.to_owned());
    locked(&shared.lookouts).spawn(task);
}

async fn run(shared: Weak<Shared>, route: Route, directory: PathBuf) {
    let Some(mut changes) = shared.upgrade().map(|shared| shared.changes.clone()) else {
        return;
    };
    let (mut followed, mut names, mut told) = (Vec::new(), None, false);
    let mut refused: Vec<PathBuf> = Vec::new();
    loop {
        let watched = match shared.upgrade() {
            Some(shared) => shared.watcher.watch_folder(&directory).is_ok(),
            None => return,
        };
        let seen = changes.borrow_and_update().files.names;
        let mut again_soon = !watched;
        if names != Some(seen) || !watched {
            names = Some(seen);
            if let Some(shared) = shared.upgrade() {
                followed.retain(|path: &PathBuf| path.exists() || !shared.leave(path));
            }
            for path in logs_in(&directory) {
                if followed.contains(&path) || followed.iter().any(|current| is_rotated(current, &path)) {
                    continue;
                }
                if !is_regular(&path) {
                    if refused.len() < FILES_MOST && !refused.contains(&path) {
                        tracing::warn!(
                            file = %path.display(),
                            "Not a regular file, so it is not followed: a link could lead to a file of the host"
                        );
                        refused.push(path);
                    }
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
                match routes::ship(&shared, &one).await {
                    Ok(()) => followed.push(path),
                    Err(error) => {
                        tracing::warn!(file = %path.display(), %error, "A log file can't be followed, trying again");
                        again_soon = true;
                    }
                }
            }
        }
        if again_soon {
            names = None;
        }
        let again = tokio::time::sleep(if again_soon {
            AGAIN
        } else {
            Duration::from_secs(3600)
        });
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
    // A file that another one was rotated to is read as that one's, and not as a log of its own.
    let all = found.clone();
    found.retain(|path| !all.iter().any(|current| is_rotated(current, path)));
    found.sort();
    found
}

/// Not a link either. What becomes one later is refused when it's opened.
fn is_regular(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Whether rotation made `path` of `current`.
fn is_rotated(current: &Path, path: &Path) -> bool {
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let (Some(current), Some(name)) = (name(current), name(path)) else {
        return false;
    };
    Rotated::parse(&current, &name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::TempDir;

    #[test]
    fn a_rotated_file_is_no_log_of_its_own_while_there_is_the_one_it_was() {
        let dir = TempDir::new();
        for name in [
            "x.log",
            "x-20261121.log",
            "x.1.log",
            "y-20261121.log",
            "x.log.1",
            "z.txt",
        ] {
            std::fs::write(dir.path().join(name), b"").unwrap();
        }
        // A program that names its files by the day has no `y.log`.
        let expected = ["x.log", "y-20261121.log"].map(|name| dir.path().join(name));
        assert_eq!(logs_in(dir.path()), expected);
    }

    #[test]
    fn a_link_is_no_log() {
        let dir = TempDir::new();
        let (file, link) = (dir.path().join("x.log"), dir.path().join("link.log"));
        std::fs::write(&file, b"").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(is_regular(&file) && !is_regular(&link) && !is_regular(dir.path()));
    }
}

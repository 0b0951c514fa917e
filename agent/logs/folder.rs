//! The files of a directory, each a source of its own from the moment it is there.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use monopod_core::logs::{Origin, Rotated, Route};

use super::{Shared, locked, routes};

/// More files than this are not followed: each costs a task, a cursor and descriptors.
const FILES_MOST: usize = 64;
/// More names than this are not looked at: whoever writes there must not keep us busy.
const NAMES_MOST: usize = 16 * FILES_MOST;
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
            let there = directory.clone();
            let look = tokio::task::spawn_blocking(move || logs_in(&there));
            let (found, mut more) = look.await.unwrap_or_default();
            for path in found {
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
                    more = true;
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
            if more && !told {
                tracing::warn!(
                    directory = %directory.display(), most = FILES_MOST,
                    "More log files than are followed: the lines of the others stay where they are"
                );
                told = true;
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

/// What is there now, in the order of names, and whether there is more than was looked at. It blocks.
fn logs_in(directory: &Path) -> (Vec<PathBuf>, bool) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return (Vec::new(), false);
    };
    let mut entries = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let mut found: Vec<PathBuf> = entries.by_ref().take(NAMES_MOST).collect();
    let more = entries.next().is_some();
    // A file that another one was rotated to is read as that one's, and not as a log of its own.
    let all: HashSet<PathBuf> = found.iter().cloned().collect();
    found.retain(|path| {
        !was_current(path).any(|current| all.contains(&current) && is_rotated(&current, path))
    });
    found.sort();
    (found, more)
}

/// The names it can have had before a rotation: what that adds before the extension has two separators at most.
fn was_current(path: &Path) -> impl Iterator<Item = PathBuf> {
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    stem.rmatch_indices(['.', '-'])
        .take(2)
        .filter_map(|(at, _)| stem.get(..at))
        .map(|before| path.with_file_name(format!("{before}.log")))
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
            "x-20261121-0304.log",
            "x-a.log",
            "x-a-20261121.log",
            "y-20261121.log",
            "x.log.1",
            "z.txt",
        ] {
            std::fs::write(dir.path().join(name), b"").unwrap();
        }
        // A program that names its files by the day has no `y.log`.
        let expected = ["x-a.log", "x.log", "y-20261121.log"].map(|name| dir.path().join(name));
        assert_eq!(logs_in(dir.path()), (expected.into(), false));
    }

    #[test]
    fn not_more_names_are_looked_at_than_is_good() {
        let dir = TempDir::new();
        for number in 0..=NAMES_MOST {
            std::fs::write(dir.path().join(format!("x{number}.log")), b"").unwrap();
        }
        let (found, more) = logs_in(dir.path());
        assert_eq!((found.len(), more), (NAMES_MOST, true));
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

//! Says when something in a directory is new: a file that was written and closed, or put in place by a rename.
//!
//! inotify wakes whoever waits; a tick stands behind it, for file systems that it does not see and machines that are out of
//! watches.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A directory that is watched.
#[derive(Debug)]
pub struct Changes {
    handle: Option<AsyncFd<Handle>>,
    alone: Duration,
}

#[derive(Debug)]
struct Handle(Inotify);

impl AsRawFd for Handle {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Changes {
    /// Without inotify every [`Self::next`] returns after `alone`.
    pub fn of(directory: &Path, alone: Duration) -> Self {
        let handle = Self::inotify(directory);
        if let Err(error) = &handle {
            tracing::debug!(%error, "no inotify for {}, looking at it from time to time", directory.display());
        }
        Self {
            handle: handle.ok(),
            alone,
        }
    }

    #[allow(
        deprecated,
        reason = "its successor is an unsafe function: it asks that the descriptor stays the same and open, which \
                  Inotify sees to, as the one owner of it"
    )]
    fn inotify(directory: &Path) -> io::Result<AsyncFd<Handle>> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let flags = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_ONLYDIR;
        inotify.add_watch(directory, flags)?;
        AsyncFd::with_interest(Handle(inotify), Interest::READABLE)
    }

    /// Returns when a name that is `ours` is new, after `tick` at the latest.
    pub async fn next(&self, tick: Duration, ours: impl Fn(&OsString) -> bool) {
        let Some(handle) = &self.handle else {
            return tokio::time::sleep(self.alone.min(tick)).await;
        };
        let seen = async {
            loop {
                let Ok(mut guard) = handle.readable().await else {
                    return tokio::time::sleep(self.alone).await;
                };
                match handle.get_ref().0.read_events() {
                    Ok(events) => {
                        // A name is missing where the queue was full.
                        if events.iter().any(|event| event.name.as_ref().is_none_or(&ours)) {
                            return;
                        }
                    }
                    Err(_empty) => guard.clear_ready(),
                }
            }
        };
        let _in_time = tokio::time::timeout(tick, seen).await.is_ok();
    }
}

/// Several directories that are watched, for whatever happens to a name in them: written, put in place, or gone.
#[derive(Debug)]
pub struct Tree {
    handle: AsyncFd<Handle>,
    watched: Vec<(WatchDescriptor, PathBuf)>,
}

impl Tree {
    /// Of no directory yet.
    #[allow(
        deprecated,
        reason = "its successor is an unsafe function: it asks that the descriptor stays the same and open, which \
                  Inotify sees to, as the one owner of it"
    )]
    pub fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Self {
            handle: AsyncFd::with_interest(Handle(inotify), Interest::READABLE)?,
            watched: Vec::new(),
        })
    }

    /// Watches it from now on, whatever was in its place before; an error where it is not there.
    pub fn ensure(&mut self, directory: &Path) -> io::Result<()> {
        let flags = AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR;
        let watch = self.handle.get_ref().0.add_watch(directory, flags)?;
        self.watched
            .retain(|(known, path)| *known != watch && path != directory);
        self.watched.push((watch, directory.to_owned()));
        Ok(())
    }

    /// Returns when something has happened to a name that is `ours` in its directory.
    pub async fn changed(&self, ours: impl Fn(&Path, &OsString) -> bool) {
        loop {
            let Ok(mut guard) = self.handle.readable().await else {
                return std::future::pending().await;
            };
            match self.handle.get_ref().0.read_events() {
                Ok(events) => {
                    let is_ours = |event: &InotifyEvent| {
                        let directory = self.watched.iter().find(|(watch, _)| *watch == event.wd);
                        match (directory, &event.name) {
                            (Some((_, directory)), Some(name)) => ours(directory, name),
                            // The queue was full, or the directory itself is gone.
                            _ => true,
                        }
                    };
                    if events.iter().any(is_ours) {
                        return;
                    }
                }
                Err(_empty) => guard.clear_ready(),
            }
        }
    }
}

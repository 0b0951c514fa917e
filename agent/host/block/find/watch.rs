//! Waits for something to appear in a directory.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::PathBuf;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Directories that are looked at. An event carries no truth here, it only says "look again".
#[derive(Debug)]
pub(super) struct Watch {
    /// None where there is no inotify: then only time passes.
    handle: Option<AsyncFd<Handle>>,
}

#[derive(Debug)]
struct Handle(Inotify);

impl AsRawFd for Handle {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Watch {
    pub(super) fn new() -> Self {
        let handle = inotify();
        if let Err(error) = &handle {
            tracing::debug!(%error, "No inotify for devices, looking now and then, ignoring");
        }
        Self { handle: handle.ok() }
    }

    /// Watches those that are there; the same ones again cost nothing.
    pub(super) fn arm(&self, directories: &[PathBuf]) {
        let Some(handle) = &self.handle else { return };
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ATTRIB;
        for directory in directories {
            match handle.get_ref().0.add_watch(directory, flags) {
                Ok(_) | Err(nix::Error::ENOENT) => {}
                Err(error) => {
                    tracing::debug!(%error, directory = %directory.display(), "Cannot be watched, ignoring");
                }
            }
        }
    }

    /// Returns when something has changed, or at this time.
    pub(super) async fn changed(&self, until: Instant) {
        let Some(handle) = &self.handle else {
            sleep_until(until).await;
            return;
        };
        match timeout_at(until, handle.readable()).await {
            Err(_elapsed) => {}
            Ok(Ok(mut guard)) => {
                while handle.get_ref().0.read_events().is_ok() {}
                guard.clear_ready();
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "inotify cannot be waited for, ignoring");
                sleep_until(until).await;
            }
        }
    }
}

#[allow(
    deprecated,
    reason = "its successor is an unsafe function: it asks that the descriptor stays the same and open, which Inotify sees to, \
              as the one owner of it"
)]
fn inotify() -> io::Result<AsyncFd<Handle>> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    AsyncFd::with_interest(Handle(inotify), Interest::READABLE)
}

//! Says when there may be a new file of the audit log. Only renames and files that are closed after writing wake us, not
//! every line that is written to `/var/log`.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::Path;
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Rotation makes a file an hour; this is for file systems that inotify does not see.
const TICK: Duration = Duration::from_secs(15 * 60);
/// Without inotify.
const TICK_ALONE: Duration = Duration::from_secs(2 * 60);

/// The directory.
#[derive(Debug)]
pub(super) struct Watch {
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
    pub(super) fn new(directory: &Path) -> Self {
        let handle = Self::inotify(directory);
        if let Err(error) = &handle {
            tracing::debug!(%error, "no inotify for the audit log, looking at it every two minutes");
        }
        Self { handle: handle.ok() }
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

    /// Returns when it is time to look.
    pub(super) async fn changed(&self) {
        let Some(handle) = &self.handle else {
            return tokio::time::sleep(TICK_ALONE).await;
        };
        let seen = async {
            loop {
                let Ok(mut guard) = handle.readable().await else {
                    return tokio::time::sleep(TICK_ALONE).await;
                };
                match handle.get_ref().0.read_events() {
                    Ok(events) => {
                        // A name is missing where the queue was full.
                        let ours =
                            |name: &std::ffi::OsString| name.as_encoded_bytes().starts_with(b"audit.log");
                        if events.iter().any(|event| event.name.as_ref().is_none_or(ours)) {
                            return;
                        }
                    }
                    Err(_empty) => guard.clear_ready(),
                }
            }
        };
        let _in_time = tokio::time::timeout(TICK, seen).await.is_ok();
    }
}

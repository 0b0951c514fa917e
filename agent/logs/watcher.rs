//! Tells the sinks' tasks that there may be something to read.
//!
//! inotify on the directory of the log, so that a write costs one wake-up and silence costs none. Events carry no
//! truth here: each one only says "look again", so an overflowing queue loses nothing, and a slow tick covers
//! whatever inotify misses.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// Four wake-ups a minute are what an idle machine pays.
const TICK: Duration = Duration::from_secs(15);
/// Without inotify the tick is all there is.
const TICK_ALONE: Duration = Duration::from_millis(500);
/// After an event the next is waited for this long: a writer at full speed costs a hundred wake-ups a second, and
/// the lines come in batches.
const PAUSE: Duration = Duration::from_millis(10);

/// How often something was seen to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Anything at all.
    pub(crate) any: u64,
    /// Files came, went or were renamed.
    pub(crate) names: u64,
}

/// Adds directories to what is watched.
#[derive(Clone, Debug)]
pub(crate) struct Watcher(Option<Arc<AsyncFd<Handle>>>);

#[derive(Debug)]
struct Handle(Inotify);

impl AsRawFd for Handle {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Watcher {
    /// Without inotify (its instances are limited by user) it still works, by looking twice a second.
    pub(crate) fn new() -> Self {
        match Self::inotify() {
            Ok(handle) => Self(Some(Arc::new(handle))),
            Err(error) => {
                tracing::warn!(%error, "No inotify for the log files, looking at them twice a second");
                Self(None)
            }
        }
    }

    #[allow(
        deprecated,
        reason = "its successor is an unsafe function: it asks that the descriptor stays the same and open, which \
                  Inotify sees to, as the one owner of it"
    )]
    fn inotify() -> io::Result<AsyncFd<Handle>> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        AsyncFd::with_interest(Handle(inotify), Interest::READABLE)
    }

    pub(crate) fn watch(&self, directory: &Path) -> io::Result<()> {
        let Some(handle) = &self.0 else { return Ok(()) };
        let names = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVE | AddWatchFlags::IN_DELETE;
        handle.get_ref().0.add_watch(
            directory,
            names | AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_ONLYDIR,
        )?;
        Ok(())
    }

    /// Runs until nobody listens.
    pub(crate) async fn run(self, changes: watch::Sender<Changes>) {
        loop {
            let seen = tokio::select! {
                seen = self.events() => seen,
                () = changes.closed() => return,
            };
            changes.send_modify(|changes| {
                changes.any = changes.any.wrapping_add(1);
                changes.names = changes.names.wrapping_add(u64::from(seen == Seen::Names));
            });
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn events(&self) -> Seen {
        let Some(handle) = &self.0 else {
            tokio::time::sleep(TICK_ALONE).await;
            return Seen::Names;
        };
        match tokio::time::timeout(TICK, handle.readable()).await {
            Err(_elapsed) => Seen::Names,
            Ok(Ok(mut guard)) => {
                let (seen, empty) = read_all(&handle.get_ref().0);
                if empty {
                    guard.clear_ready();
                }
                seen
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "inotify can't be waited for, ignoring");
                tokio::time::sleep(TICK_ALONE).await;
                Seen::Names
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Data,
    Names,
}

/// Reads what is queued, but not for ever: a fast writer must not keep us here. Also whether the queue is empty.
fn read_all(inotify: &Inotify) -> (Seen, bool) {
    let mut seen = Seen::Data;
    for _ in 0..64 {
        match inotify.read_events() {
            Ok(events) if events.iter().all(|event| event.mask == AddWatchFlags::IN_MODIFY) => {}
            Ok(_) => seen = Seen::Names,
            Err(Errno::EAGAIN) => return (seen, true),
            Err(_) => return (Seen::Names, true),
        }
    }
    (seen, false)
}

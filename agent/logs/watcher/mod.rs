//! Tells the sinks' tasks that there may be something to read.
//!
//! inotify on the directories of the logs, so that a write costs one wake-up and silence costs none. Events carry no
//! truth here: each one only says "look again", so an overflowing queue loses nothing: it is told as a change of names.
//!
//! In a directory that others write to, `/var/log` above all, only the files followed and what rotation makes of them
//! count: application.log, which we write ourselves, would wake us for ever. A directory that isn't there yet is waited
//! for in the nearest one that is.
//!
//! On a local file system inotify misses nothing, so an idle machine is woken once a minute, and that wakes no sink: a
//! slow tick compares what the files look like with the tick before. That covers file systems that others write to from
//! elsewhere, which inotify doesn't see.

mod interest;

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::inotify::{InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::Instant;

use interest::Interests;

/// One wake-up a minute is what an idle machine pays.
const TICK: Duration = Duration::from_secs(60);
/// Without inotify the tick is all there is.
const TICK_ALONE: Duration = Duration::from_millis(500);
/// After an event the next is waited for this long, so that lines come in batches.
const PAUSE: Duration = Duration::from_millis(10);
/// Where there is something new after every pause, each is longer than the one before, up to this: a writer that never
/// rests costs twenty wake-ups of each sink a second, and nobody waits a tenth of a second for a line.
const PAUSE_MOST: Duration = Duration::from_millis(50);

/// How often something was seen to happen, apart for those who read a container's log and those who read plain files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// In the directories of containers.
    pub(crate) container: Counts,
    /// Anywhere else.
    pub(crate) files: Counts,
}

impl Changes {
    fn add(&mut self, seen: &Sightings) {
        self.container.add(seen.container);
        self.files.add(seen.files);
    }
}

/// How often something was seen to happen in places of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Anything at all.
    pub(crate) any: u64,
    /// Files came, went or were renamed.
    pub(crate) names: u64,
}

impl Counts {
    fn add(&mut self, seen: Seen) {
        self.any = self.any.wrapping_add(u64::from(seen != Seen::Nothing));
        self.names = self.names.wrapping_add(u64::from(seen == Seen::Names));
    }
}

/// Adds directories and files to what is watched.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    /// None where there is no inotify.
    handle: Option<Arc<AsyncFd<Handle>>>,
    interests: Arc<Mutex<Interests>>,
    tick: Duration,
}

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
        Self::with_tick(TICK)
    }

    fn with_tick(tick: Duration) -> Self {
        let handle = Self::inotify().map(Arc::new);
        if let Err(error) = &handle {
            tracing::warn!(%error, "No inotify for the log files, looking at them twice a second");
        }
        Self {
            handle: handle.ok(),
            interests: Arc::default(),
            tick,
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

    fn interests(&self) -> MutexGuard<'_, Interests> {
        self.interests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything in this directory, which has to exist.
    pub(crate) fn watch(&self, directory: &Path) -> io::Result<()> {
        let Some(handle) = &self.handle else { return Ok(()) };
        self.interests().add_existing(&handle.get_ref().0, directory)
    }

    /// Everything in this directory, as soon as it's there: the files to follow are those found in it.
    pub(crate) fn watch_folder(&self, directory: &Path) -> io::Result<()> {
        let Some(handle) = &self.handle else { return Ok(()) };
        self.interests().add_folder(&handle.get_ref().0, directory)
    }

    /// This file and what rotation makes of it, as soon as they and their directory are there.
    pub(crate) fn watch_file(&self, path: &Path) -> io::Result<()> {
        let Some(handle) = &self.handle else { return Ok(()) };
        self.interests().add_file(&handle.get_ref().0, path)
    }

    /// This file is of no interest any more.
    pub(crate) fn leave_file(&self, path: &Path) {
        self.interests().remove_file(path);
    }

    /// Runs until nobody listens.
    pub(crate) async fn run(self, changes: watch::Sender<Changes>) {
        let mut tick = Instant::now() + self.tick;
        let mut pause = PAUSE;
        loop {
            let looked = Instant::now();
            let seen = tokio::select! {
                seen = self.events(tick) => seen,
                () = changes.closed() => return,
            };
            if Instant::now() >= tick {
                tick = Instant::now() + self.tick;
            }
            if seen != Sightings::default() {
                changes.send_modify(|changes| changes.add(&seen));
            }
            pause = next_pause(pause, seen.container.max(seen.files), looked.elapsed());
            tokio::time::sleep(pause).await;
        }
    }

    async fn events(&self, tick: Instant) -> Sightings {
        let Some(handle) = &self.handle else {
            tokio::time::sleep(TICK_ALONE).await;
            return Sightings::ALL;
        };
        match tokio::time::timeout_at(tick, handle.readable()).await {
            Err(_elapsed) => self.compare(handle).await,
            Ok(Ok(mut guard)) => {
                let (seen, empty) = self.interests().read_all(&handle.get_ref().0);
                if empty {
                    guard.clear_ready();
                }
                seen
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "inotify can't be waited for, ignoring");
                tokio::time::sleep(TICK_ALONE).await;
                Sightings::ALL
            }
        }
    }

    /// Looks, on a thread that may block, whether the files are as they were at the last tick.
    async fn compare(&self, handle: &Arc<AsyncFd<Handle>>) -> Sightings {
        let (handle, interests) = (Arc::clone(handle), Arc::clone(&self.interests));
        let changed = tokio::task::spawn_blocking(move || {
            let mut interests = interests.lock().unwrap_or_else(PoisonError::into_inner);
            let appeared = interests.arm(&handle.get_ref().0);
            interests.compare() || appeared
        });
        if changed.await.unwrap_or(true) {
            Sightings::ALL
        } else {
            Sightings::default()
        }
    }
}

/// How long to pause after something was seen, and had to be waited for so long. Files that are renamed are followed as
/// soon as ever: when they are small, the next ones are renamed as well.
fn next_pause(last: Duration, seen: Seen, waited: Duration) -> Duration {
    match seen {
        Seen::Data if waited < PAUSE => (last * 2).min(PAUSE_MOST),
        Seen::Data | Seen::Nothing | Seen::Names => PAUSE,
    }
}

/// What some events came to, the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    #[default]
    Nothing,
    Data,
    Names,
}

/// What some events came to, in each kind of places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sightings {
    container: Seen,
    files: Seen,
}

impl Sightings {
    const ALL: Self = Self {
        container: Seen::Names,
        files: Seen::Names,
    };

    fn and(self, other: Self) -> Self {
        Self {
            container: self.container.max(other.container),
            files: self.files.max(other.files),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{PlainLog, TempDir};

    /// What would be told to a sink, asked until it's what is waited for.
    struct Listener(watch::Receiver<Changes>);

    fn listen(watcher: &Watcher) -> Listener {
        let (sender, receiver) = watch::channel(Changes::default());
        tokio::spawn(watcher.clone().run(sender));
        Listener(receiver)
    }

    impl Listener {
        async fn wakes(&mut self) -> Counts {
            let changed = tokio::time::timeout(Duration::from_secs(10), self.0.changed()).await;
            changed.expect("nobody was woken").unwrap();
            self.0.borrow_and_update().files
        }
    }

    #[tokio::test]
    async fn a_write_to_a_file_followed_wakes_and_to_another_does_not() {
        let dir = TempDir::new();
        let mut log = PlainLog::new(dir.path());
        log.write("a");
        let watcher = Watcher::new();
        watcher.watch_file(log.path()).unwrap();
        let mut listener = listen(&watcher);
        for other in ["application.log", "x.log.1.gz", "x.logs"] {
            std::fs::write(dir.path().join(other), b"ours").unwrap();
        }
        log.write("b");
        // One write, and had the others counted, files would have come.
        assert_eq!(listener.wakes().await, Counts { any: 1, names: 0 });
        log.rename_to("x.log.1");
        assert_eq!(listener.wakes().await, Counts { any: 2, names: 1 });
        std::fs::OpenOptions::new()
            .append(true)
            .open(dir.path().join("x.log.1"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"late\n"))
            .unwrap();
        assert_eq!(listener.wakes().await, Counts { any: 3, names: 1 });
    }

    #[tokio::test]
    async fn a_container_wakes_no_reader_of_files_nor_a_file_the_container_s() {
        let dir = TempDir::new();
        let (logs, container) = (dir.path().join("logs"), dir.path().join("container"));
        std::fs::create_dir(&container).unwrap();
        let mut log = PlainLog::new(&logs);
        let watcher = Watcher::new();
        watcher.watch_file(log.path()).unwrap();
        watcher.watch(&container).unwrap();
        let mut listener = listen(&watcher);
        std::fs::write(container.join("x-json.log"), b"").unwrap();
        assert_eq!(listener.wakes().await, Counts::default());
        let seen = listener.0.borrow().container;
        assert_eq!(seen, Counts { any: 1, names: 1 });
        log.write("a");
        assert_eq!(listener.wakes().await, Counts { any: 1, names: 1 });
        assert_eq!(listener.0.borrow().container, seen);
    }

    #[tokio::test]
    async fn a_file_that_was_left_is_of_no_interest() {
        let dir = TempDir::new();
        let log = PlainLog::new(dir.path());
        let watcher = Watcher::new();
        watcher.watch_file(log.path()).unwrap();
        assert!(watcher.interests().wants(log.path()));
        watcher.leave_file(log.path());
        assert!(!watcher.interests().wants(log.path()));
    }

    #[test]
    fn pauses_grow_while_there_is_always_something_new() {
        let (at_once, later) = (Duration::ZERO, Duration::from_millis(200));
        let mut pause = PAUSE;
        for expected in [20, 40, 50, 50] {
            pause = next_pause(pause, Seen::Data, at_once);
            assert_eq!(pause, Duration::from_millis(expected));
        }
        assert_eq!(next_pause(pause, Seen::Data, later), PAUSE);
        assert_eq!(next_pause(pause, Seen::Names, at_once), PAUSE);
        assert_eq!(next_pause(pause, Seen::Nothing, at_once), PAUSE);
    }

    #[tokio::test]
    async fn a_directory_may_come_late_and_go_and_come_again() {
        let dir = TempDir::new();
        let folder = dir.path().join("not/there");
        let watcher = Watcher::new();
        watcher.watch_folder(&folder).unwrap();
        let mut listener = listen(&watcher);
        for round in 0..2 {
            std::fs::create_dir_all(&folder).unwrap();
            let mut log = PlainLog::new(&folder);
            log.write("a");
            while !{
                listener.wakes().await;
                watcher.interests().is_watched(&folder)
            } {}
            let names = listener.0.borrow_and_update().files.names;
            std::fs::write(folder.join("new.log"), b"").unwrap();
            assert!(listener.wakes().await.names > names, "round {round}");
            std::fs::remove_dir_all(dir.path().join("not")).unwrap();
            while watcher.interests().is_watched(&folder) {
                listener.wakes().await;
            }
        }
    }

    #[tokio::test]
    async fn a_tick_wakes_nobody_unless_inotify_has_missed_something() {
        let dir = TempDir::new();
        let mut log = PlainLog::new(dir.path());
        log.write("a");
        let watcher = Watcher::with_tick(Duration::from_millis(20));
        // Wanted, and not watched: as on a file system of another machine.
        watcher.interests().want_unseen(log.path());
        let mut listener = listen(&watcher);
        for _ in 0..5 {
            let ticks = watcher.interests().ticks();
            while watcher.interests().ticks() < ticks + 2 {
                tokio::task::yield_now().await;
            }
        }
        assert!(!listener.0.has_changed().unwrap());
        log.write("b");
        assert_eq!(listener.wakes().await, Counts { any: 1, names: 1 });
    }
}

//! Log shipping: the container's lines and those of plain files, from where they were written to every sink.
//!
//! ```text
//!                         ┌─ reader ─ pump ─ application_log ─► /var/log/application.log
//! X-json.log, .1, .2 … ───┼─ reader ─ pump ─ syslog ──────────► /dev/log
//!                         └─ reader ─ pump ─ s3 ──────────────► a bucket
//! /var/log/syslog, .1 … ──── reader ─ pump ─ cloudwatch ──────► a log group
//!      ▲                  watcher (inotify) ── wakes pumps      (and so on, as `routes` says)
//! ```
//!
//! The engine's json files are the spool: bounded by the engine, never blocking the application, there before we
//! start and after we're killed. Each sink has a task, a reader and a cursor of its own, so none can hold another,
//! and there is no queue between them that could grow.
//!
//! Invariants:
//! - The application never waits for the agent or for a sink.
//! - Acknowledged sinks get every line that is in the files; what isn't there any more is counted and told in the stream.
//!   Best effort sinks get every line handed over, at least once.
//! - Memory is bounded: a chunk, a batch, a sink's parcel and at most one unfinished event for each stream of each sink.
//! - Nothing here reads, writes or syncs a file on a thread of the runtime.
//!
//! The guarantee begins with the first byte in a json file. What the engine loses before (killed, disk full) the
//! shipper can't see: who notices it calls [`Shipper::record_gap`].
//!
//! Lines pass the redactor on their way to every sink where the user data says `redact_secrets`; the engine's own files
//! are the engine's and stay as they are.
//!
//! Deliberately absent: a second spool, in memory or on disk. A sink that is away for longer than the files last loses
//! lines, and they are counted.

mod cursor_file;
mod desk;
mod error;
mod files;
mod folder;
mod keys;
mod lock;
pub mod prove;
mod pump;
pub mod read;
mod reader;
mod redaction;
mod routes;
mod sinks;
mod status;
mod tail;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod watcher;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monopod_core::logs::{Attributes, Gap, GapReason, LogPlan, Origin, Source};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::desk::Command;
use self::lock::Lock;
use self::sinks::cloudwatch::Connection;
use self::status::Figures;
use self::watcher::{Changes, Watcher};

use crate::host::s3::Clients;

pub(crate) use files::numbered;

pub use error::{LogsError, Retry};
pub use keys::Keys;
pub use redaction::Redaction;
pub(crate) use sinks::otlp::Transport as OtlpTransport;
pub use status::{Drained, Guarantee, LogsStatus, SinkState, SinkStatus};

/// Orders wait here only while a task is busy reading, which is milliseconds.
const ORDERS: usize = 64;
/// A task that takes no order for so long is stuck: whoever gives one goes on with the others.
const ORDER_PATIENCE: Duration = Duration::from_secs(3);
/// How often a drain looks whether a best-effort sink is worth waiting for.
const GLANCE: Duration = Duration::from_millis(100);

/// Where lines come from and go to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the cursors live: it must survive a reboot.
    pub state_dir: PathBuf,
    /// `/var/log/application.log`, or none.
    pub application_log: Option<PathBuf>,
    /// `/dev/log`, or none.
    pub syslog_socket: Option<PathBuf>,
    /// What else is shipped, and how application.log looks.
    pub plan: LogPlan,
    /// Who lines are from.
    pub attributes: Attributes,
    /// Where the keys of log services come from.
    pub keys: Keys,
    /// Whether the lines pass the redactor.
    pub redaction: Redaction,
}

/// Ships lines to every sink. Dropped without [`stop`](Self::stop) it behaves as if it were killed.
#[derive(Debug)]
pub struct Shipper {
    shared: Arc<Shared>,
}

/// What the shipper and the tasks that add to it have in common.
#[derive(Debug)]
struct Shared {
    options: Options,
    /// Who lines are from, as far as is known by now.
    attributes: watch::Sender<Attributes>,
    feeds: Mutex<Vec<Feed>>,
    tasks: Mutex<JoinSet<()>>,
    /// Those that look for new files. They end with the shipper and have nothing to save.
    lookouts: Mutex<JoinSet<()>>,
    watcher: Watcher,
    changes: watch::Receiver<Changes>,
    lock: Arc<Lock>,
    /// Told when any figure may have changed.
    changed: Arc<Notify>,
    cloudwatch: Connection,
    s3: Clients,
    /// The container followed last.
    container: Mutex<Option<Source>>,
}

/// A sink's task, from outside.
#[derive(Clone, Debug)]
struct Feed {
    origin: Origin,
    orders: mpsc::Sender<Command>,
    figures: Figures,
}

impl Shipper {
    /// Loads the cursors and starts a task for each sink. Of a container nothing is read before the first
    /// [`follow`](Self::follow).
    pub async fn start(options: Options) -> Result<Self, LogsError> {
        Self::start_with(options, Clients::default()).await
    }

    async fn start_with(options: Options, s3: Clients) -> Result<Self, LogsError> {
        let directory = &options.state_dir;
        tokio::fs::create_dir_all(directory)
            .await
            .map_err(|source| state_dir(directory, source))?;
        let lock = Arc::new(Lock::take(directory).await?);
        let (changed, changes) = watch::channel(Changes::default());
        let shared = Arc::new(Shared {
            attributes: watch::Sender::new(options.attributes.clone()),
            options,
            feeds: Mutex::default(),
            tasks: Mutex::default(),
            lookouts: Mutex::default(),
            watcher: Watcher::new(),
            changes,
            lock,
            changed: Arc::default(),
            cloudwatch: Connection::default(),
            s3,
            container: Mutex::default(),
        });
        routes::start(&shared).await?;
        locked(&shared.tasks).spawn(shared.watcher.clone().run(changed));
        Ok(Self { shared })
    }

    /// Ships this container's log, `<id>-json.log` in its own directory, from where each sink's cursor stands. The
    /// directory has to exist, the file needn't yet. The log followed before is read to its end first. The same
    /// container started again just goes on.
    pub async fn follow(&self, container_id: &str, log_path: &Path) -> Result<(), LogsError> {
        let bad_path = || LogsError::LogPath {
            path: log_path.to_owned(),
        };
        let path = log_path
            .to_str()
            .filter(|_| log_path.file_name().is_some())
            .ok_or_else(bad_path)?;
        let directory = log_path.parent().ok_or_else(bad_path)?;
        self.shared
            .watcher
            .watch(directory)
            .map_err(|source| LogsError::Watch {
                path: directory.to_owned(),
                source,
            })?;
        let source = Source {
            container: Some(container_id.to_owned()),
            path: path.to_owned(),
        };
        let feeds = self.shared.feeds_of(|feed| feed.origin == Origin::Application);
        let deadline = Instant::now() + ORDER_PATIENCE;
        let mut told = Ok(());
        for feed in feeds {
            let order = feed.orders.send(Command::Follow(source.clone()));
            let this = match tokio::time::timeout_at(deadline, order).await {
                Ok(sent) => sent.map_err(|_closed| LogsError::Stopped),
                Err(_elapsed) => Err(LogsError::Stuck),
            };
            // One that can't be told keeps no other from its lines.
            told = told.and(this);
        }
        told?;
        *locked(&self.shared.container) = Some(source);
        Ok(())
    }

    /// More is known about who lines are from: for those that are read from now on, in sinks that have fields for it.
    pub fn learn(&self, attributes: &Attributes) {
        self.shared.attributes.send_if_modified(|known| {
            let is_news = known != attributes;
            known.clone_from(attributes);
            is_news
        });
    }

    /// Waits until every acknowledged sink has, durably, every whole line that is in the files now, and a
    /// best-effort sink too as long as it works.
    ///
    /// After `Behind` the container should stay. If it has to go, [`record_gap`](Self::record_gap) first: what is
    /// left of its files can then be lost.
    pub async fn drain(&self, deadline: Instant) -> Drained {
        let feeds = self.shared.feeds_of(|feed| feed.origin == Origin::Application);
        drained(&feeds, Patience::Whole, deadline).await
    }

    /// Brings out what there is of every stream, as far as that works before the deadline. A sink that is in trouble is
    /// not waited for: what it lacks is in the files and goes out after the next start.
    pub async fn flush(&self, deadline: Instant) -> Drained {
        let feeds = self.shared.feeds_of(|_| true);
        drained(&feeds, Patience::WhileItWorks, deadline).await
    }

    /// Writes into every stream of the container that lines may be lost, how many nobody knows: the engine died, for
    /// example.
    pub fn record_gap(&self, reason: &str) {
        let gap = Gap::unknown(GapReason::Other(reason.to_owned()));
        for feed in self.shared.feeds_of(|feed| feed.origin == Origin::Application) {
            if feed.orders.try_send(Command::Gap(gap.clone())).is_err() {
                feed.figures.lock().lost_exact = false;
                tracing::warn!(reason, "A gap in the logs can't be told in the stream, ignoring");
            }
        }
    }

    /// The figures since the start of the agent.
    pub fn status(&self) -> LogsStatus {
        let container = locked(&self.shared.container).clone();
        LogsStatus {
            container: container.and_then(|source| source.container),
            sinks: locked(&self.shared.feeds)
                .iter()
                .map(|feed| feed.figures.snapshot())
                .collect(),
        }
    }

    /// Told whenever the figures may have changed; whoever shows them needn't look before.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.shared.changed)
    }

    /// Ends every task with its cursor saved. Lines that are read are still delivered if that works before the
    /// deadline; all others are the next start's. For a machine that goes away, [`flush`](Self::flush) first.
    pub async fn stop(self, deadline: Instant) {
        for feed in self.shared.feeds_of(|_| true) {
            let sent = tokio::time::timeout_at(deadline, feed.orders.send(Command::Stop(deadline))).await;
            if !matches!(sent, Ok(Ok(()))) {
                tracing::debug!("A log sink had ended already or takes no orders, ignoring");
            }
        }
        let mut tasks = std::mem::take(&mut *locked(&self.shared.tasks));
        locked(&self.shared.lookouts).abort_all();
        // The watcher ends when nobody listens any more, the sinks by themselves.
        drop(self);
        // Saving the cursor begins at the deadline at the latest.
        let patience = deadline + Duration::from_secs(1);
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout_at(patience, ended).await.is_err() {
            tracing::warn!(
                "Log shipping didn't end in time, some lines may be shipped twice after the next start"
            );
        }
    }

    /// The last lines of a container's own log, for the reason of a failure. Works without following it.
    pub async fn tail(log_path: &Path, lines: usize) -> Vec<String> {
        let path = log_path.to_owned();
        tokio::task::spawn_blocking(move || tail::tail(&path, lines))
            .await
            .unwrap_or_default()
    }
}

impl Shared {
    fn feeds_of(&self, which: impl Fn(&Feed) -> bool) -> Vec<Feed> {
        let feeds = locked(&self.feeds);
        feeds.iter().filter(|feed| which(feed)).cloned().collect()
    }

    /// Stops following a file that is gone, once all of it is delivered. False while it is not.
    fn leave(&self, path: &Path) -> bool {
        let is_it = |feed: &Feed| matches!(&feed.origin, Origin::File(file) if Path::new(file) == path);
        let of_it = self.feeds_of(is_it);
        if of_it.iter().any(|feed| feed.figures.snapshot().behind_bytes > 0) {
            return false;
        }
        for feed in &of_it {
            // Its end saves the cursor.
            feed.orders.try_send(Command::Stop(Instant::now() + GLANCE)).ok();
        }
        locked(&self.feeds).retain(|feed| !is_it(feed));
        self.watcher.leave_file(path);
        true
    }
}

/// Which sinks are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// Acknowledged ones to the deadline, best-effort ones while they work.
    Whole,
    /// All while they work.
    WhileItWorks,
}

async fn drained(feeds: &[Feed], patience: Patience, deadline: Instant) -> Drained {
    let mut replies = Vec::new();
    for feed in feeds {
        let (reply, drained) = oneshot::channel();
        let sent = tokio::time::timeout_at(deadline, feed.orders.send(Command::Drain(reply))).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::debug!("A log sink takes no orders");
        }
        replies.push((feed, drained));
    }
    let mut behind = None;
    for (feed, reply) in replies {
        if !feed.drained(reply, patience, deadline).await {
            let status = feed.figures.snapshot();
            if status.guarantee == Guarantee::Acknowledged {
                behind.get_or_insert(Drained::Behind {
                    sink: status.name,
                    bytes: status.behind_bytes,
                });
            }
        }
    }
    behind.unwrap_or(Drained::Complete)
}

impl Feed {
    async fn drained(&self, mut reply: oneshot::Receiver<()>, patience: Patience, deadline: Instant) -> bool {
        loop {
            let glance = deadline.min(Instant::now() + GLANCE);
            if let Ok(reply) = tokio::time::timeout_at(glance, &mut reply).await {
                return reply.is_ok();
            }
            let status = self.figures.snapshot();
            let may_give_up = status.guarantee == Guarantee::BestEffort || patience == Patience::WhileItWorks;
            let hopeless = may_give_up && status.state != SinkState::Ok;
            if hopeless || Instant::now() >= deadline {
                return false;
            }
        }
    }
}

/// Nothing here is left half written by a panic elsewhere.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn state_dir(path: &Path, source: std::io::Error) -> LogsError {
    LogsError::StateDir {
        path: path.to_owned(),
        source,
    }
}

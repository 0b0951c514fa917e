//! Log shipping: the container's lines, from the engine's own files to every sink.
//!
//! ```text
//!                        ┌─ reader ─ pump ─ application_log ─► /var/log/application.log
//! X-json.log, .1, .2 … ──┤
//!        ▲               └─ reader ─ pump ─ syslog ──────────► /dev/log
//!     watcher (inotify) ── wakes each pump
//! ```
//!
//! The engine's json files are the spool: bounded by the engine, never blocking the application, there before we
//! start and after we're killed. Each sink has a task, a reader and a cursor of its own, so none can hold another,
//! and there is no queue between them that could grow.
//!
//! Invariants:
//! - The application never waits for the agent or for a sink.
//! - Acknowledged sinks (application.log) get every line that is in the files; what isn't there any more is counted
//!   and told in the stream. Best effort sinks (syslog) get every line handed over, at least once.
//! - Memory is bounded: a chunk, a batch and at most one unfinished line for each stream of each sink.
//! - Nothing here reads, writes or syncs a file on a thread of the runtime.
//!
//! The guarantee begins with the first byte in a json file. What the engine loses before (killed, disk full) the
//! shipper can't see: who notices it calls [`Shipper::record_gap`].
//!
//! Lines pass the redactor on their way to every sink where the user data says `redact_secrets`; the engine's own files
//! are the engine's and stay as they are.
//!
//! Deliberately absent: filters, formats but the bare one, sinks over the
//! network, other files than the container's.

mod cursor_file;
mod desk;
mod error;
mod files;
mod lock;
mod pump;
mod reader;
mod redaction;
mod sinks;
mod status;
mod tail;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod watcher;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use monopod_core::logs::{Gap, GapReason, RotationPolicy, Source};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::cursor_file::CursorFile;
use self::desk::Command;
use self::lock::Lock;
use self::pump::Pump;
use self::redaction::Filter;
use self::sinks::Sink;
use self::sinks::application_log::ApplicationLog;
use self::sinks::syslog::Syslog;
use self::status::Figures;
use self::watcher::{Changes, Watcher};

pub use error::{LogsError, Retry};
pub use redaction::Redaction;
pub use status::{Drained, Guarantee, LogsStatus, SinkState, SinkStatus};

/// Orders wait here only while a task is busy reading, which is milliseconds.
const ORDERS: usize = 64;
/// How often a drain looks whether a best-effort sink is worth waiting for.
const GLANCE: Duration = Duration::from_millis(100);

/// Where lines come from and go to.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tag of each line in syslog.
    pub application_id: String,
    /// Where the cursors live: it must survive a reboot.
    pub state_dir: PathBuf,
    /// `/var/log/application.log`, or none.
    pub application_log: Option<PathBuf>,
    /// `/dev/log`, or none.
    pub syslog_socket: Option<PathBuf>,
    /// Whether the lines pass the redactor.
    pub redaction: Redaction,
}

/// Ships a container's lines to every sink. Dropped without [`stop`](Self::stop) it behaves as if it were killed.
#[derive(Debug)]
pub struct Shipper {
    sinks: Vec<Feed>,
    watcher: Watcher,
    tasks: JoinSet<()>,
    redaction: Redaction,
    container: Mutex<Option<String>>,
}

/// A sink's task, from outside.
#[derive(Debug)]
struct Feed {
    orders: mpsc::Sender<Command>,
    figures: Figures,
}

impl Shipper {
    /// Loads the cursors and starts a task for each sink. Nothing is read before the first [`follow`](Self::follow).
    pub async fn start(options: Options) -> Result<Self, LogsError> {
        Self::start_with(options, RotationPolicy::default()).await
    }

    async fn start_with(options: Options, policy: RotationPolicy) -> Result<Self, LogsError> {
        let directory = &options.state_dir;
        tokio::fs::create_dir_all(directory)
            .await
            .map_err(|source| state_dir(directory, source))?;
        let lock = Arc::new(Lock::take(directory).await?);
        let (changed, changes) = watch::channel(Changes::default());
        let (sinks, container) = (Vec::new(), Mutex::new(None));
        let mut shipper = Self {
            sinks,
            watcher: Watcher::new(),
            tasks: JoinSet::new(),
            redaction: options.redaction.clone(),
            container,
        };
        if let Some(path) = &options.application_log {
            let sink = |figures| ApplicationLog::new(path, policy, figures, Arc::clone(&lock));
            shipper.add(sink, directory, &changes, &lock)?;
        }
        if let Some(path) = &options.syslog_socket {
            let sink = |figures| Syslog::new(path, &options.application_id, figures);
            shipper.add(sink, directory, &changes, &lock)?;
        }
        drop(changes);
        shipper.tasks.spawn(shipper.watcher.clone().run(changed));
        Ok(shipper)
    }

    fn add<S: Sink>(
        &mut self,
        sink: impl FnOnce(Figures) -> S,
        directory: &Path,
        changes: &watch::Receiver<Changes>,
        lock: &Arc<Lock>,
    ) -> Result<(), LogsError> {
        let figures = Figures::new(S::NAME, S::GUARANTEE);
        let (orders, commands) = mpsc::channel(ORDERS);
        let file = CursorFile::new(directory, S::NAME);
        let pump = Pump::new(
            sink(figures.clone()),
            file,
            figures.clone(),
            Filter::new(self.redaction.clone()),
            commands,
            changes.clone(),
            Arc::clone(lock),
        );
        self.tasks
            .spawn(pump.map_err(|source| state_dir(directory, source))?.run());
        self.sinks.push(Feed { orders, figures });
        Ok(())
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
        self.watcher.watch(directory).map_err(|source| LogsError::Watch {
            path: directory.to_owned(),
            source,
        })?;
        let source = Source {
            container: Some(container_id.to_owned()),
            path: path.to_owned(),
        };
        for sink in &self.sinks {
            sink.orders
                .send(Command::Follow(source.clone()))
                .await
                .map_err(|_closed| LogsError::Stopped)?;
        }
        *self.container.lock().unwrap_or_else(PoisonError::into_inner) = source.container;
        Ok(())
    }

    /// Waits until every acknowledged sink has, durably, every whole line that is in the files now, and a
    /// best-effort sink too as long as it works.
    ///
    /// After `Behind` the container should stay. If it has to go, [`record_gap`](Self::record_gap) first: what is
    /// left of its files can then be lost.
    pub async fn drain(&self, deadline: Instant) -> Drained {
        let mut replies = Vec::new();
        for sink in &self.sinks {
            let (reply, drained) = oneshot::channel();
            let sent = tokio::time::timeout_at(deadline, sink.orders.send(Command::Drain(reply))).await;
            if !matches!(sent, Ok(Ok(()))) {
                tracing::debug!("A log sink takes no orders");
            }
            replies.push((sink, drained));
        }
        let mut behind = None;
        for (sink, reply) in replies {
            if !sink.drained(reply, deadline).await {
                let status = sink.figures.snapshot();
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

    /// Writes into every stream that lines may be lost, how many nobody knows: the engine died, for example.
    pub fn record_gap(&self, reason: &str) {
        let gap = Gap::unknown(GapReason::Other(reason.to_owned()));
        for sink in &self.sinks {
            if sink.orders.try_send(Command::Gap(gap.clone())).is_err() {
                sink.figures.lock().lost_exact = false;
                tracing::warn!(reason, "A gap in the logs can't be told in the stream, ignoring");
            }
        }
    }

    /// The figures since the start of the agent.
    pub fn status(&self) -> LogsStatus {
        LogsStatus {
            container: self
                .container
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            sinks: self.sinks.iter().map(|sink| sink.figures.snapshot()).collect(),
        }
    }

    /// Ends every task with its cursor saved. Lines that are read are still delivered if that works before the
    /// deadline; all others are the next start's. For a machine that goes away, [`drain`](Self::drain) first.
    pub async fn stop(mut self, deadline: Instant) {
        for sink in &self.sinks {
            let sent = tokio::time::timeout_at(deadline, sink.orders.send(Command::Stop(deadline))).await;
            if !matches!(sent, Ok(Ok(()))) {
                tracing::debug!("A log sink had ended already or takes no orders, ignoring");
            }
        }
        // Saving the cursor begins at the deadline at the latest.
        let patience = deadline + Duration::from_secs(1);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
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

impl Feed {
    async fn drained(&self, mut reply: oneshot::Receiver<()>, deadline: Instant) -> bool {
        loop {
            let glance = deadline.min(Instant::now() + GLANCE);
            if let Ok(reply) = tokio::time::timeout_at(glance, &mut reply).await {
                return reply.is_ok();
            }
            let status = self.figures.snapshot();
            let hopeless = status.guarantee == Guarantee::BestEffort && status.state != SinkState::Ok;
            if hopeless || Instant::now() >= deadline {
                return false;
            }
        }
    }
}

fn state_dir(path: &Path, source: std::io::Error) -> LogsError {
    LogsError::StateDir {
        path: path.to_owned(),
        source,
    }
}

//! Log shipping (the interface; the body follows).

mod error;
mod status;

use std::path::{Path, PathBuf};

use tokio::time::Instant;

pub use error::{LogsError, Retry};
pub use status::{Drained, Guarantee, LogsStatus, SinkState, SinkStatus};

/// Where lines come from and go to.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tag of each line in syslog.
    pub application_id: String,
    /// For sinks that leave the machine; local syslog must not carry it.
    pub hostname: String,
    /// Where the cursors live: it must survive a reboot.
    pub state_dir: PathBuf,
    /// `/var/log/application.log`, or none.
    pub application_log: Option<PathBuf>,
    /// `/dev/log`, or none.
    pub syslog_socket: Option<PathBuf>,
}

/// Ships a container's lines to every sink.
#[derive(Debug)]
pub struct Shipper {}

impl Shipper {
    /// Loads the cursors and starts a task for each sink.
    pub async fn start(_options: Options) -> Result<Self, LogsError> {
        Ok(Self {})
    }

    /// Ships this container's log from where each sink's cursor stands.
    pub async fn follow(&self, _container_id: &str, _log_path: &Path) -> Result<(), LogsError> {
        Ok(())
    }

    /// Waits until every acknowledged sink has what is in the files now.
    pub async fn drain(&self, _deadline: Instant) -> Drained {
        Drained::Complete
    }

    /// Writes into every stream that an unknown number of lines was lost.
    pub fn record_gap(&self, _reason: &str) {}

    /// The figures.
    pub fn status(&self) -> LogsStatus {
        LogsStatus { container: None, sinks: Vec::new() }
    }

    /// Ends every task with its cursor written.
    pub async fn stop(self, _deadline: Instant) {}

    /// The last lines of a container's own log, for the reason of a failure.
    pub async fn tail(_log_path: &Path, _lines: usize) -> Vec<String> {
        Vec::new()
    }
}

//! What every part of a run shares: the engine, the reporter, the shipper, the directories.

use std::path::PathBuf;

use monopod_core::plan::Application;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::boot::BootError;
use crate::host::docker::Engine;
use crate::host::files;
use crate::logs;
use crate::report::Reporter;

/// Where files of ours lie.
#[derive(Clone, Debug)]
pub struct Directories {
    /// tmpfs, one boot: lock, hint, status.
    pub runtime: PathBuf,
    /// The disk: cursors.
    pub state: PathBuf,
}

/// Where facts and user data come from; `None` is the metadata service.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--facts`.
    pub facts: Option<PathBuf>,
    /// `--user-data`.
    pub user_data: Option<PathBuf>,
}

/// Where the container's lines go.
#[derive(Clone, Debug)]
pub struct LogTargets {
    /// The file the agent writes; `None` for no file.
    pub application_log: Option<PathBuf>,
    /// The local syslog socket; `None` for no syslog.
    pub syslog_socket: Option<PathBuf>,
}

/// One run of the agent.
pub struct Context {
    /// The container engine.
    pub engine: Engine,
    /// Who hears what happens.
    pub reporter: Reporter,
    /// Where files of ours lie.
    pub directories: Directories,
    /// Where facts and user data come from.
    pub sources: Sources,
    log_targets: LogTargets,
    shipper: Mutex<Option<logs::Shipper>>,
}

impl Context {
    /// Nothing is touched yet.
    pub fn new(
        engine: Engine,
        reporter: Reporter,
        directories: Directories,
        sources: Sources,
        log_targets: LogTargets,
    ) -> Self {
        Self { engine, reporter, directories, sources, log_targets, shipper: Mutex::new(None) }
    }

    /// The id of this boot of the machine.
    pub fn boot_id(&self) -> Result<String, BootError> {
        Ok(files::boot_id()?)
    }

    /// Starts log shipping for an application, unless it has begun.
    pub async fn start_shipping(&self, application: &Application) -> Result<(), BootError> {
        let mut shipper = self.shipper.lock().await;
        if shipper.is_none() {
            let options = logs::Options {
                application_id: application.id.clone(),
                hostname: files::hostname()?,
                state_dir: self.directories.state.clone(),
                application_log: self.log_targets.application_log.clone(),
                syslog_socket: self.log_targets.syslog_socket.clone(),
            };
            *shipper = Some(logs::Shipper::start(options).await?);
        }
        Ok(())
    }

    /// The shipper, once it has been started.
    pub async fn shipper(&self) -> MutexGuard<'_, Option<logs::Shipper>> {
        self.shipper.lock().await
    }

    /// Lets lines in flight leave, and remembers how far each sink is.
    pub async fn stop_shipping(&self, deadline: Instant) {
        if let Some(shipper) = self.shipper.lock().await.take() {
            shipper.stop(deadline).await;
        }
    }
}

//! Stopping a container that may take its time.
//!
//! One stop call would last as long as `stop_timeout` lets the application take, and no call may last longer than half
//! of the unit's WatchdogSec. So the call is taken apart: the signal, the wait, and SIGKILL when the time is up.

use std::time::Duration;

use bollard::query_parameters::KillContainerOptionsBuilder;
use monopod_core::plan::reconcile::Phase;

use super::{ACT, Engine, EngineError, What};

impl Engine {
    /// Stops it as `docker stop` does: its own stop signal, its own time, then SIGKILL.
    pub async fn ensure_stopped(&self, id: &str) -> Result<(), EngineError> {
        let Some(status) = self.status(id).await? else {
            return Ok(());
        };
        match status.phase {
            Phase::Running | Phase::Paused => {}
            Phase::Created | Phase::Exited | Phase::Dead => return Ok(()),
        }
        let stop = || What::Stop { id: id.to_owned() };
        self.kill(id, &status.stop_signal, stop()).await?;
        if self.ended_within(id, status.stop_timeout).await? {
            return Ok(());
        }
        self.kill(id, "SIGKILL", stop()).await?;
        if self.ended_within(id, ACT).await? {
            return Ok(());
        }
        Err(EngineError::Silent {
            what: stop(),
            host: self.host.clone(),
            after: ACT,
        })
    }

    /// Sends it a signal, as `docker kill` does; one that does not run needs none.
    pub async fn signal(&self, id: &str, signal: &str) -> Result<(), EngineError> {
        let what = What::Signal {
            id: id.to_owned(),
            signal: signal.to_owned(),
        };
        self.kill(id, signal, what).await
    }

    /// A container that has ended meanwhile has nothing left to be told.
    async fn kill(&self, id: &str, signal: &str, what: What) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        match self
            .within(ACT, what, |docker| docker.kill_container(id, Some(options)))
            .await
        {
            Err(EngineError::NotFound { .. } | EngineError::Refused { status: 409, .. }) => Ok(()),
            other => other,
        }
    }

    async fn ended_within(&self, id: &str, patience: Duration) -> Result<bool, EngineError> {
        match tokio::time::timeout(patience, self.ended(id)).await {
            Err(_) => Ok(false),
            Ok(Ok(()) | Err(EngineError::NotFound { .. })) => Ok(true),
            Ok(Err(error)) => Err(error),
        }
    }
}

//! The container, as far as the agent knows.

use serde::{Deserialize, Serialize};

use super::{BootRecord, MOST_TURNS, bound};
use crate::event::ContainerSeen;
use crate::supervise::Exit;

/// The container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Its id.
    pub id: String,
    /// The image as the user wrote it.
    pub image: String,
    /// The digest that runs.
    pub digest: String,
    /// When it was started last, in milliseconds since the epoch.
    pub started_at: Option<u64>,
    /// What it is doing, as far as this agent knows.
    pub state: ContainerState,
    /// It was there before this agent.
    pub adopted: bool,
    /// Started again by this agent.
    pub restarts: u64,
    /// The newest restarts, oldest first, [`MOST_TURNS`] at most.
    #[serde(default)]
    pub restarted: Vec<RestartRecord>,
    /// How it ended last.
    pub last_exit: Option<Exit>,
    /// When.
    pub last_exit_at: Option<u64>,
}

/// One restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRecord {
    /// When it was started again, in milliseconds since the epoch.
    pub at: u64,
    /// How it had ended before; `None` where it was stopped for new files or a failed probe.
    pub after: Option<Exit>,
}

/// What the container is doing, as far as the agent knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerState {
    /// Running.
    Running,
    /// It has ended.
    Ended,
    /// It has ended and will be started again.
    Restarting,
    /// The engine does not answer.
    Unknown,
}

impl ContainerState {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ended => "ENDED",
            Self::Restarting => "ended, to be started again",
            Self::Unknown => "unknown, the engine does not answer",
        }
    }
}

impl BootRecord {
    pub(super) fn container_seen(&mut self, seen: &ContainerSeen) {
        let ContainerSeen {
            id,
            image,
            digest,
            started_at,
            adopted,
        } = seen.clone();
        let (restarts, restarted, last_exit, last_exit_at) = match self.container.take() {
            Some(old) if old.id == id => (old.restarts, old.restarted, old.last_exit, old.last_exit_at),
            _ => (0, Vec::new(), None, None),
        };
        self.container = Some(ContainerRecord {
            id,
            image,
            digest,
            started_at,
            state: ContainerState::Running,
            adopted,
            restarts,
            restarted,
            last_exit,
            last_exit_at,
        });
    }

    /// From one state to another; in any other it stays as it is.
    pub(super) fn container_turns(&mut self, from: ContainerState, to: ContainerState) {
        if let Some(container) = self.container.as_mut().filter(|one| one.state == from) {
            container.state = to;
        }
    }

    pub(super) fn restarted(&mut self, restarts: u64, now: u64) {
        if let Some(container) = &mut self.container {
            container.restarts = restarts;
            let after = match container.state {
                ContainerState::Ended | ContainerState::Restarting => container.last_exit.clone(),
                ContainerState::Running | ContainerState::Unknown => None,
            };
            container.restarted.push(RestartRecord { at: now, after });
            bound(&mut container.restarted, MOST_TURNS);
            container.state = ContainerState::Running;
            container.started_at = Some(now);
        }
        if let Some(health) = &mut self.health {
            health.heard = false;
        }
    }
}

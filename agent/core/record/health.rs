//! What the probes say of the container.

use serde::{Deserialize, Serialize};

use super::{BootRecord, MOST_TURNS, bound};

/// What the probes say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRecord {
    /// What they say now, or said last.
    pub healthy: bool,
    /// They were heard since the container was started last: before, [`Self::healthy`] is of the time before.
    #[serde(default = "yes")]
    pub heard: bool,
    /// Since when, in milliseconds since the epoch.
    pub since: u64,
    /// The answer that said so.
    pub text: String,
    /// Each change, oldest first, [`MOST_TURNS`] at most.
    pub history: Vec<HealthTurn>,
}

/// An agent that did not write it down had heard them.
const fn yes() -> bool {
    true
}

/// The probes began to say something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthTurn {
    /// When, in milliseconds since the epoch.
    pub at: u64,
    /// What they said from then on.
    pub healthy: bool,
    /// Why.
    pub text: String,
}

impl BootRecord {
    pub(super) fn health_turned(&mut self, healthy: bool, text: &str, now: u64) {
        // After a restart they may say what they said before it, which is no turn.
        if let Some(health) = self.health.as_mut().filter(|one| one.healthy == healthy) {
            health.heard = true;
            text.clone_into(&mut health.text);
            return;
        }
        let mut history = self
            .health
            .take()
            .map(|health| health.history)
            .unwrap_or_default();
        history.push(HealthTurn {
            at: now,
            healthy,
            text: text.to_owned(),
        });
        bound(&mut history, MOST_TURNS);
        self.health = Some(HealthRecord {
            healthy,
            heard: true,
            since: now,
            text: text.to_owned(),
            history,
        });
    }
}

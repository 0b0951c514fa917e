//! The steps of a boot.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::BootRecord;
use crate::plan::StepId;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Which.
    pub step: StepId,
    /// How it stands.
    pub state: StepState,
    /// When it began, in milliseconds after the agent's start.
    pub started_ms: u64,
    /// How long it took, once it is over.
    pub took_ms: Option<u64>,
    /// How often something was tried again.
    pub retries: u32,
    /// What it does, how far it is, or what came of it.
    pub detail: String,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// At it.
    Running,
    /// Done.
    Done,
    /// Not needed.
    Skipped,
    /// Failed.
    Failed,
}

impl BootRecord {
    pub(super) fn begin(&mut self, step: StepId, does: &str, now: u64) {
        let started_ms = now.saturating_sub(self.agent_started_at);
        let fresh = StepRecord {
            step,
            state: StepState::Running,
            started_ms,
            took_ms: None,
            retries: 0,
            detail: does.to_owned(),
        };
        match self.steps.iter_mut().find(|record| record.step == step) {
            Some(record) => *record = fresh,
            None => {
                self.steps.push(fresh);
                self.steps.sort_by_key(|record| record.step);
            }
        }
    }

    pub(super) fn step(&mut self, step: StepId, now: u64) -> &mut StepRecord {
        if !self.steps.iter().any(|record| record.step == step) {
            self.begin(step, "", now);
        }
        let at = self
            .steps
            .iter()
            .position(|record| record.step == step)
            .unwrap_or_default();
        #[expect(
            clippy::indexing_slicing,
            reason = "the step was put in just above if it was missing"
        )]
        &mut self.steps[at]
    }

    pub(super) fn end(&mut self, step: StepId, state: StepState, detail: &str, took: Duration, now: u64) {
        let record = self.step(step, now);
        record.state = state;
        record.took_ms = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        detail.clone_into(&mut record.detail);
    }
}

//! The boot record: what happened on this machine since it booted, secret-free, for `monopod status`
//! and whoever reads `/run/monopod/status.json`.
//!
//! A record is folded from events by a pure function; the agent only writes it to a file. It is a
//! report, never a source of truth: what runs is what the engine lists.

mod container;
mod health;
mod render;
#[cfg(test)]
pub(crate) mod sample;
mod schema;
mod secrets;
mod serving;
mod standing;
mod steps;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::facts::InstanceFacts;
use crate::identity::counts::IdentityRecord;
use crate::lifecycle::DrainPhase;
use crate::plan::{Application, StepId};
use crate::trace::{Trace, Verdict};

pub use container::{ContainerRecord, ContainerState, RestartRecord};
pub use health::{HealthRecord, HealthTurn};
pub use render::{Agent, headline, to_json, to_line, to_text, unknown_line};
pub use schema::schema;
pub use secrets::{FileRecord, SetRecord};
pub use standing::Standing;
pub use steps::{StepRecord, StepState};

/// Changes when a field changes its meaning.
pub const SCHEMA: u32 = 1;

/// Everything `monopod status` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BootRecord {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The agent that wrote it.
    pub agent_version: String,
    /// Its process id.
    pub agent_pid: u32,
    /// When that agent started, in milliseconds since the epoch.
    pub agent_started_at: u64,
    /// When it was written.
    pub written_at: u64,
    /// Who runs here.
    pub application: Option<Application>,
    /// The machine.
    pub facts: Option<InstanceFacts>,
    /// Where the machine stands.
    pub outcome: Outcome,
    /// The steps in their order.
    pub steps: Vec<StepRecord>,
    /// The container.
    pub container: Option<ContainerRecord>,
    /// What the probes say since the machine was up; `None` before.
    #[serde(default)]
    pub health: Option<HealthRecord>,
    /// The sets of files it has.
    #[serde(default)]
    pub secrets: Vec<SetRecord>,
    /// The credentials that are served to it; not there where none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityRecord>,
    /// What was verified of its image; `None` until then, and after a restart of the agent, which verifies nothing anew.
    #[serde(default)]
    pub trust: Option<String>,
    /// Where what runs comes from; `None` until its container is there.
    #[serde(default)]
    pub trace: Option<Trace>,
    /// What follows from that by the policy of the machine's image, but for what it ignores.
    #[serde(default)]
    pub verdicts: Vec<Verdict>,
    /// The keys that open what is closed by default, as the user data or the image's defaults have them.
    #[serde(default)]
    pub opt_outs: Vec<String>,
    /// What the container is recognised by: the hash of user data, layers and digest. `None` until it is there.
    #[serde(default)]
    pub config_hash: Option<String>,
    /// Log shipping, a row a sink, as the shipper reports it.
    #[serde(default)]
    pub logs: serde_json::Value,
    /// The newest warnings, oldest first, [`MOST_WARNINGS`] at most.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// More would be a log.
pub const MOST_WARNINGS: usize = 20;

/// More turns or restarts would be a log.
pub const MOST_TURNS: usize = 20;

/// Where the machine stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Outcome {
    /// Still at it.
    Booting,
    /// Up.
    Ready {
        /// Since when, in milliseconds since the epoch.
        since: u64,
    },
    /// The container ended as it should.
    Completed {
        /// When.
        since: u64,
    },
    /// The agent is there, the container is not as it should be.
    Degraded {
        /// Since when.
        since: u64,
        /// Why, and what to do.
        reason: String,
    },
    /// The agent gave up.
    Failed {
        /// When.
        since: u64,
        /// Why, and what to do.
        reason: String,
        /// What it exited with.
        exit_code: u8,
    },
    /// The agent was stopped; the container was left running.
    Stopped {
        /// When.
        since: u64,
    },
    /// It waits in a warm pool.
    Warm {
        /// Since when.
        since: u64,
    },
    /// It is leaving.
    Draining {
        /// Since when.
        since: u64,
        /// How far it is.
        phase: DrainPhase,
        /// Why, or how it goes.
        reason: String,
    },
    /// The container is stopped and the lines are out.
    Drained {
        /// When.
        since: u64,
        /// One sentence.
        reason: String,
    },
}

impl BootRecord {
    /// An empty record at the start of an agent.
    pub fn new(agent_version: &str, agent_pid: u32, now: u64) -> Self {
        Self {
            schema: SCHEMA,
            agent_version: agent_version.to_owned(),
            agent_pid,
            agent_started_at: now,
            written_at: now,
            application: None,
            facts: None,
            outcome: Outcome::Booting,
            steps: Vec::new(),
            container: None,
            health: None,
            secrets: Vec::new(),
            identity: None,
            trust: None,
            trace: None,
            verdicts: Vec::new(),
            opt_outs: Vec::new(),
            config_hash: None,
            logs: serde_json::Value::Null,
            warnings: Vec::new(),
        }
    }

    /// Takes in one event; `now` in milliseconds since the epoch.
    pub fn apply(&mut self, event: &Event, now: u64) {
        match event {
            Event::StepStarted { step, does } => self.begin(*step, does, now),
            Event::StepProgress { step, text } => self.step(*step, now).detail.clone_from(text),
            Event::Retrying { step, error, .. } => {
                let record = self.step(*step, now);
                record.retries += 1;
                record.detail.clone_from(error);
            }
            Event::StepDone { step, detail, took } => self.end(*step, StepState::Done, detail, *took, now),
            Event::StepSkipped { step, why } => {
                // In another boot of the same agent it is another step, at another time.
                self.begin(*step, "", now);
                self.end(*step, StepState::Skipped, why, Duration::ZERO, now);
            }
            Event::StepFailed { step, error, took } => self.end(*step, StepState::Failed, error, *took, now),
            Event::Warning { text } => self.warn(text),
            Event::ImageTrusted { what } => self.trust = Some(what.clone()),
            Event::Traced { trace, verdicts } => {
                self.trace = Some(trace.as_ref().clone());
                self.verdicts.clone_from(verdicts);
            }
            Event::Container(seen) => self.container_seen(seen),
            Event::ContainerEnded { exit } => {
                if let Some(container) = &mut self.container {
                    container.last_exit = Some(exit.clone());
                    container.last_exit_at = Some(now);
                    container.state = ContainerState::Ended;
                }
            }
            Event::Restarted { restarts } => self.restarted(*restarts, now),
            Event::FileSet { set, .. } => self.set_seen(set),
            Event::Health { healthy, text } => self.health_turned(*healthy, text, now),
            Event::Draining { phase, text } => self.leaves(*phase, text, now),
            Event::Drained { text } => {
                self.outcome = Outcome::Drained {
                    since: now,
                    reason: text.clone(),
                }
            }
            Event::Warm { .. } => self.outcome = Outcome::Warm { since: now },
            Event::Recovered { .. } => self.outcome = Outcome::Ready { since: now },
            Event::Booting => {
                // What was passed was passed by another container.
                self.steps.retain(|step| step.step < StepId::Health);
                self.outcome = Outcome::Booting;
            }
            Event::Completed { .. } => self.outcome = Outcome::Completed { since: now },
            Event::Ready { text } => {
                self.begin(StepId::Ready, "", now);
                self.end(StepId::Ready, StepState::Done, text, Duration::ZERO, now);
                self.outcome = Outcome::Ready { since: now };
            }
            Event::Degraded { reason } => {
                self.outcome = Outcome::Degraded {
                    since: now,
                    reason: reason.clone(),
                }
            }
            Event::BootFailed { reason, exit_code } => {
                self.outcome = Outcome::Failed {
                    since: now,
                    reason: reason.clone(),
                    exit_code: *exit_code,
                };
            }
            Event::Stopping => self.outcome = Outcome::Stopped { since: now },
            Event::EngineLost { error } => {
                self.warn(&format!("the engine stopped answering: {error}"));
                self.container_turns(ContainerState::Running, ContainerState::Unknown);
            }
            // Told elsewhere; what the machine is like does not change with it.
            Event::Notice(_) => {}
            // An end meanwhile is told next; one that was told before still stands.
            Event::EngineBack { .. } => {
                self.container_turns(ContainerState::Unknown, ContainerState::Running);
            }
            Event::RestartPlanned { .. } => {
                if let Some(container) = &mut self.container {
                    container.state = ContainerState::Restarting;
                }
            }
        }
    }

    fn leaves(&mut self, phase: DrainPhase, text: &str, now: u64) {
        let since = match self.outcome {
            Outcome::Draining { since, .. } => since,
            _ => now,
        };
        self.outcome = Outcome::Draining {
            since,
            phase,
            reason: text.to_owned(),
        };
    }

    fn warn(&mut self, text: &str) {
        if self.warnings.last().is_some_and(|last| last == text) {
            return;
        }
        self.warnings.push(text.to_owned());
        bound(&mut self.warnings, MOST_WARNINGS);
    }
}

/// Keeps the newest.
fn bound<T>(all: &mut Vec<T>, most: usize) {
    let surplus = all.len().saturating_sub(most);
    all.drain(..surplus);
}

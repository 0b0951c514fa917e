//! The boot record: what happened on this machine since it booted, secret-free, for `monopod status`
//! and whoever reads `/run/monopod/status.json`.
//!
//! A record is folded from events by a pure function; the agent only writes it to a file. It is a
//! report, never a source of truth: what runs is what the engine lists.

mod render;
#[cfg(test)]
pub(crate) mod sample;
mod schema;
mod secrets;
mod serving;
mod standing;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{ContainerSeen, Event};
use crate::facts::InstanceFacts;
use crate::identity::counts::IdentityRecord;
use crate::lifecycle::DrainPhase;
use crate::plan::{Application, StepId};
use crate::supervise::Exit;
use crate::trace::{Trace, Verdict};

pub use render::{Agent, headline, to_json, to_line, to_text, unknown_line};
pub use schema::schema;
pub use secrets::{FileRecord, SetRecord};
pub use standing::Standing;

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

/// One restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRecord {
    /// When it was started again, in milliseconds since the epoch.
    pub at: u64,
    /// How it had ended before; `None` where it was stopped for new files or a failed probe.
    pub after: Option<Exit>,
}

/// More turns or restarts would be a log.
pub const MOST_TURNS: usize = 20;

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
    const fn text(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ended => "ENDED",
            Self::Restarting => "ended, to be started again",
            Self::Unknown => "unknown, the engine does not answer",
        }
    }
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

    fn restarted(&mut self, restarts: u64, now: u64) {
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

    /// From one state to another; in any other it stays as it is.
    fn container_turns(&mut self, from: ContainerState, to: ContainerState) {
        if let Some(container) = self.container.as_mut().filter(|one| one.state == from) {
            container.state = to;
        }
    }

    fn begin(&mut self, step: StepId, does: &str, now: u64) {
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

    fn step(&mut self, step: StepId, now: u64) -> &mut StepRecord {
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

    fn end(&mut self, step: StepId, state: StepState, detail: &str, took: Duration, now: u64) {
        let record = self.step(step, now);
        record.state = state;
        record.took_ms = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        detail.clone_into(&mut record.detail);
    }

    fn health_turned(&mut self, healthy: bool, text: &str, now: u64) {
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

    fn warn(&mut self, text: &str) {
        if self.warnings.last().is_some_and(|last| last == text) {
            return;
        }
        self.warnings.push(text.to_owned());
        bound(&mut self.warnings, MOST_WARNINGS);
    }

    fn container_seen(&mut self, seen: &ContainerSeen) {
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
}

/// Keeps the newest.
fn bound<T>(all: &mut Vec<T>, most: usize) {
    let surplus = all.len().saturating_sub(most);
    all.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sets::SetName;

    fn record() -> BootRecord {
        let mut record = BootRecord::new("0.1.0", 42, 1_000);
        record.application = Some(Application {
            id: "shop".into(),
            version: "1.2".into(),
        });
        for event in [
            Event::StepStarted {
                step: StepId::Image,
                does: "pull".into(),
            },
            Event::Retrying {
                step: StepId::Image,
                error: "refused".into(),
                failures: 1,
                wait: Duration::from_secs(1),
                news: true,
            },
            Event::StepDone {
                step: StepId::Image,
                detail: "pulled".into(),
                took: Duration::from_millis(900),
            },
            Event::StepSkipped {
                step: StepId::Secrets,
                why: "nothing to decrypt".into(),
            },
            Event::ImageTrusted {
                what: "signature by team.pub".into(),
            },
            Event::Container(ContainerSeen {
                id: "0123456789abcdef".into(),
                image: "registry.example.org/shop:1.2".into(),
                digest: "sha256:feed".into(),
                started_at: Some(2_000),
                adopted: false,
            }),
            Event::ContainerEnded {
                exit: Exit {
                    code: 137,
                    out_of_memory: true,
                    memory_limit: Some(64 << 20),
                },
            },
            Event::Restarted { restarts: 1 },
            Event::FileSet {
                set: Box::new(SetRecord {
                    set: SetName::Secrets,
                    files: vec![FileRecord {
                        name: "db".into(),
                        source: "the parameter /db".into(),
                    }],
                    delivered_at: Some(2_000),
                    fetched_at: Some(2_000),
                    last_error: Some("AWS is away".into()),
                    stale_since: Some(32_000),
                    unhealthy: false,
                }),
                news: String::new(),
            },
            Event::Ready { text: "up".into() },
        ] {
            record.apply(&event, 2_000);
        }
        record
    }

    #[test]
    fn steps_stand_in_their_order_whatever_the_order_of_events() {
        let steps: Vec<StepId> = record().steps.iter().map(|step| step.step).collect();
        assert_eq!(steps, [StepId::Secrets, StepId::Image, StepId::Ready]);
    }

    #[test]
    fn it_survives_json() {
        let json = serde_json::to_string(&record()).unwrap();
        assert_eq!(serde_json::from_str::<BootRecord>(&json).unwrap(), record());
    }

    #[test]
    fn a_person_sees_what_matters() {
        let shown = to_text(&record(), Agent::Gone, 62_000);
        for part in [
            "shop 1.2: ready for 1 min",
            "is not running",
            "0123456789ab",
            "1 restart",
            "verified   signature by team.pub",
            "out of memory (limit 64 MiB)",
            "(1 retried)",
            "skipped",
            "/run/secrets       db from the parameter /db",
            "delivered 1 min ago, fetched 1 min ago, STALE for 30 s: AWS is away",
        ] {
            assert!(shown.contains(part), "{part} is missing in\n{shown}");
        }
    }

    #[test]
    fn an_outage_of_the_engine_says_nothing_of_a_container_that_has_ended() {
        let exit = Exit {
            code: 1,
            out_of_memory: false,
            memory_limit: None,
        };
        let (wait, error) = (Duration::ZERO, String::new());
        let lost = Event::EngineLost { error };
        let back = Event::EngineBack { away: wait };
        let ended = Event::ContainerEnded { exit };
        let planned = Event::RestartPlanned { wait, restart: 1 };
        for (events, during, after) in [
            (vec![], ContainerState::Unknown, ContainerState::Running),
            (vec![&ended], ContainerState::Ended, ContainerState::Ended),
            (
                vec![&ended, &planned],
                ContainerState::Restarting,
                ContainerState::Restarting,
            ),
        ] {
            let mut record = record();
            let mut told = |event: &Event| {
                record.apply(event, 3_000);
                record.container.as_ref().unwrap().state
            };
            for event in events {
                told(event);
            }
            assert_eq!((told(&lost), told(&back)), (during, after));
        }
        let mut record = record();
        for event in [&lost, &ended, &back] {
            record.apply(event, 3_000);
        }
        assert_eq!(record.container.unwrap().state, ContainerState::Ended);
    }

    #[test]
    fn warnings_are_bounded_and_not_repeated() {
        let mut record = record();
        for n in 0..100 {
            record.apply(
                &Event::Warning {
                    text: format!("w{}", n / 2),
                },
                3_000,
            );
        }
        assert_eq!(record.warnings.len(), MOST_WARNINGS);
        assert_eq!(record.warnings.last().map(String::as_str), Some("w49"));
    }
}

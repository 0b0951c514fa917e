//! What the record comes to for whoever asks with one question: is this machine healthy, is it ready, and if not, why.
//!
//! `monopod status` answers with its exit code, the local server with a status: both ask here.

use super::render::Agent;
use super::{BootRecord, ContainerRecord, ContainerState, Outcome, StepRecord, StepState};
use crate::lifecycle::DrainPhase;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Nothing is wrong: it serves, it has done its job, or it waits in a warm pool.
    pub healthy: bool,
    /// It may be given work, see [`BootRecord::is_serving`]: also at times when something else is wrong.
    pub ready: bool,
    /// One sentence: why it is not, or what it does.
    pub reason: String,
}

impl Standing {
    fn good(ready: bool, reason: impl Into<String>) -> Self {
        Self {
            healthy: true,
            ready,
            reason: reason.into(),
        }
    }

    fn bad(reason: impl Into<String>) -> Self {
        Self {
            healthy: false,
            ready: false,
            reason: reason.into(),
        }
    }
}

impl BootRecord {
    /// How the machine stands, by what its agent wrote last.
    pub fn standing(&self, agent: Agent) -> Standing {
        match (&self.outcome, agent) {
            // Said by an agent that is gone as it should be.
            (Outcome::Stopped { .. }, _) => {
                Standing::bad("the agent was stopped; nobody looks after the container")
            }
            (Outcome::Failed { reason, .. }, _) => Standing::bad(reason.clone()),
            (Outcome::Drained { reason, .. }, _) => Standing::bad(reason.clone()),
            (_, Agent::Gone) => Standing::bad("the agent is not running; nobody looks after the container"),
            (Outcome::Booting, Agent::Running) => Standing {
                healthy: false,
                // A load balancer that asks here is waited for by the boot itself.
                ready: self.is_serving(),
                reason: self.step_at_work().map_or_else(
                    || "the boot has begun".to_owned(),
                    |step| format!("the boot is at the step {}: {}", step.step, step.detail),
                ),
            },
            (Outcome::Degraded { reason, .. }, Agent::Running) => Standing {
                healthy: false,
                // What is wrong may be no matter of the application's.
                ready: self.is_serving(),
                reason: reason.clone(),
            },
            (Outcome::Draining { phase, reason, .. }, Agent::Running) => {
                Standing::bad(leaving(*phase, reason))
            }
            (Outcome::Warm { .. }, Agent::Running) => Standing::good(false, "it waits in a warm pool"),
            (Outcome::Completed { .. }, Agent::Running) => self.completed(),
            (Outcome::Ready { .. }, Agent::Running) => self.up(),
        }
    }

    /// The step that the boot waits for: the last of those that are not over.
    pub(super) fn step_at_work(&self) -> Option<&StepRecord> {
        let mut steps = self.steps.iter().rev();
        steps.find(|step| step.state == StepState::Running)
    }

    fn completed(&self) -> Standing {
        match self.container.as_ref().and_then(|one| one.last_exit.as_ref()) {
            Some(exit) if exit.code != 0 => Standing::bad(format!(
                "the container ended and is not started again, as `restart` says: {exit}"
            )),
            Some(_) | None => Standing::good(false, "the container has done its job"),
        }
    }

    fn up(&self) -> Standing {
        match &self.container {
            Some(ContainerRecord {
                state: ContainerState::Ended | ContainerState::Restarting,
                last_exit,
                ..
            }) => {
                let how = last_exit
                    .as_ref()
                    .map_or_else(String::new, |exit| format!(" ({exit})"));
                return Standing::bad(format!("the container has ended{how} and is started again"));
            }
            // An engine that is away for a while takes no application with it.
            Some(ContainerRecord {
                state: ContainerState::Running | ContainerState::Unknown,
                ..
            })
            | None => {}
        }
        match &self.health {
            Some(health) if !health.healthy => Standing::bad(format!("not healthy: {}", health.text)),
            // Nothing is wrong, and nothing is known.
            Some(health) if !health.heard => {
                Standing::good(false, "the container was started again and is not asked yet")
            }
            Some(_) | None => Standing::good(true, "the container runs"),
        }
    }
}

fn leaving(phase: DrainPhase, reason: &str) -> String {
    format!("it is leaving ({phase}): {reason}")
}

#[cfg(test)]
mod tests {
    use super::super::sample::full;
    use super::*;
    use crate::supervise::Exit;

    fn of(outcome: Outcome, agent: Agent) -> Standing {
        let mut record = full();
        record.outcome = outcome;
        record.standing(agent)
    }

    #[test]
    fn each_outcome_has_its_answer() {
        let reason = || "because".to_owned();
        for (outcome, healthy, ready) in [
            // Its sample has passed its gate: who waits for load balancers has to tell them so.
            (Outcome::Booting, false, true),
            (Outcome::Ready { since: 1 }, true, true),
            (
                Outcome::Degraded {
                    since: 1,
                    reason: reason(),
                },
                false,
                true,
            ),
            (
                Outcome::Failed {
                    since: 1,
                    reason: reason(),
                    exit_code: 78,
                },
                false,
                false,
            ),
            (Outcome::Stopped { since: 1 }, false, false),
            (Outcome::Warm { since: 1 }, true, false),
            (
                Outcome::Draining {
                    since: 1,
                    phase: DrainPhase::Leave,
                    reason: reason(),
                },
                false,
                false,
            ),
            (
                Outcome::Drained {
                    since: 1,
                    reason: reason(),
                },
                false,
                false,
            ),
        ] {
            let standing = of(outcome.clone(), Agent::Running);
            assert_eq!(
                (standing.healthy, standing.ready),
                (healthy, ready),
                "{outcome:?}"
            );
            // Nobody is told that a machine is well by an agent that is gone.
            let gone = of(outcome.clone(), Agent::Gone);
            assert!(!gone.healthy && !gone.ready, "{outcome:?}");
        }
    }

    #[test]
    fn a_job_is_well_done_by_its_exit_code() {
        for (code, healthy) in [(0, true), (3, false)] {
            let mut record = full();
            record.outcome = Outcome::Completed { since: 1 };
            if let Some(container) = &mut record.container {
                container.last_exit = Some(Exit {
                    code,
                    out_of_memory: false,
                    memory_limit: None,
                });
            }
            let standing = record.standing(Agent::Running);
            assert_eq!(
                (standing.healthy, standing.ready),
                (healthy, false),
                "{standing:?}"
            );
        }
    }

    #[test]
    fn a_machine_that_is_up_is_as_well_as_its_container() {
        for (state, well) in [
            (ContainerState::Running, true),
            (ContainerState::Unknown, true),
            (ContainerState::Ended, false),
            (ContainerState::Restarting, false),
        ] {
            let mut record = full();
            record.outcome = Outcome::Ready { since: 1 };
            if let Some(container) = &mut record.container {
                container.state = state;
            }
            let standing = record.standing(Agent::Running);
            assert_eq!((standing.healthy, standing.ready), (well, well), "{state:?}");
        }
        let mut record = full();
        record.apply(&crate::event::Event::Restarted { restarts: 2 }, 1);
        let standing = record.standing(Agent::Running);
        assert!(standing.healthy && !standing.ready, "{standing:?}");
        assert!(standing.reason.contains("not asked yet"), "{standing:?}");
        let mut record = full();
        if let Some(health) = &mut record.health {
            health.healthy = false;
        }
        let standing = record.standing(Agent::Running);
        assert!(!standing.healthy && !standing.ready, "{standing:?}");
        assert!(standing.reason.starts_with("not healthy: "), "{standing:?}");
    }

    #[test]
    fn a_boot_says_which_step_it_is_at() {
        let mut record = full();
        record.outcome = Outcome::Booting;
        for step in &mut record.steps {
            if step.step == crate::plan::StepId::Image {
                step.state = StepState::Running;
                step.detail = "3 of 9 MiB".to_owned();
            }
        }
        let standing = record.standing(Agent::Running);
        assert_eq!(standing.reason, "the boot is at the step image: 3 of 9 MiB");
    }
}

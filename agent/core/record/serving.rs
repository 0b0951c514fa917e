//! Whether others should send this machine work.

use super::{BootRecord, ContainerState, HealthRecord, Outcome, StepState};
use crate::plan::StepId;

impl BootRecord {
    /// It passed its own gate, the container runs, the probes, where there are any, have called it healthy since it was
    /// started last, and it is not leaving. So it serves while the boot waits for load balancers, which may ask here,
    /// and while it is degraded for another reason than the container, such as secrets that could not be fetched anew:
    /// then it is ready and not healthy.
    pub fn is_serving(&self) -> bool {
        let is_up = match self.outcome {
            // A load balancer that the boot waits for is not told to wait for the boot.
            Outcome::Booting | Outcome::Ready { .. } | Outcome::Degraded { .. } => true,
            Outcome::Completed { .. }
            | Outcome::Failed { .. }
            | Outcome::Stopped { .. }
            | Outcome::Warm { .. }
            | Outcome::Draining { .. }
            | Outcome::Drained { .. } => false,
        };
        let passed = self.steps.iter().any(|one| {
            one.step == StepId::Health && matches!(one.state, StepState::Done | StepState::Skipped)
        });
        // An engine that is away says nothing about the container.
        let runs = self.container.as_ref().is_some_and(|one| match one.state {
            ContainerState::Running | ContainerState::Unknown => true,
            ContainerState::Ended | ContainerState::Restarting => false,
        });
        // One that was started again has to show anew that it is well, where somebody asks it.
        let well = |health: &HealthRecord| health.healthy && health.heard;
        is_up && passed && runs && self.health.as_ref().is_none_or(well)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{ContainerSeen, Event};
    use crate::lifecycle::DrainPhase;
    use crate::supervise::Exit;

    fn told(record: &mut BootRecord, event: Event) -> bool {
        record.apply(&event, 1);
        record.is_serving()
    }

    fn gate(passed: bool) -> Event {
        let (step, took) = (StepId::Health, Duration::ZERO);
        match passed {
            true => Event::StepDone {
                step,
                detail: String::new(),
                took,
            },
            false => Event::StepFailed {
                step,
                error: String::new(),
                took,
            },
        }
    }

    fn up() -> BootRecord {
        let mut record = BootRecord::new("1", 1, 0);
        let seen = Event::Container(ContainerSeen {
            id: "1".to_owned(),
            image: String::new(),
            digest: String::new(),
            started_at: Some(1),
            adopted: false,
        });
        assert!(!told(&mut record, seen));
        assert!(told(&mut record, gate(true)), "the load balancers come next");
        assert!(told(&mut record, Event::Ready { text: String::new() }));
        record
    }

    fn reason() -> String {
        "why".to_owned()
    }

    #[test]
    fn the_probes_and_the_container_say_so() {
        let mut record = up();
        for healthy in [false, true] {
            let text = reason();
            assert_eq!(told(&mut record, Event::Health { healthy, text }), healthy);
        }
        let exit = Exit {
            code: 1,
            out_of_memory: false,
            memory_limit: None,
        };
        assert!(!told(&mut record, Event::ContainerEnded { exit }));
        assert!(
            !told(&mut record, Event::Restarted { restarts: 1 }),
            "it is not asked yet"
        );
        let turns = |record: &BootRecord| record.health.as_ref().unwrap().history.len();
        let before = turns(&record);
        let (healthy, text) = (true, reason());
        assert!(told(&mut record, Event::Health { healthy, text }));
        assert_eq!(turns(&record), before, "it was healthy before");
        assert!(told(&mut record, Event::EngineLost { error: reason() }));
    }

    #[test]
    fn one_that_nobody_asks_serves_as_soon_as_it_is_started_again() {
        let mut record = up();
        assert!(told(&mut record, Event::Restarted { restarts: 1 }));
    }

    #[test]
    fn stale_secrets_take_no_machine_out() {
        let mut record = up();
        assert!(told(&mut record, Event::Degraded { reason: reason() }));
    }

    #[test]
    fn a_gate_that_failed_does() {
        let mut record = up();
        assert!(!told(&mut record, Event::Booting));
        assert!(!told(&mut record, gate(false)));
        assert!(!told(&mut record, Event::Degraded { reason: reason() }));
    }

    #[test]
    fn a_machine_that_leaves_serves_no_more() {
        let leave = Event::Draining {
            phase: DrainPhase::Leave,
            text: reason(),
        };
        assert!(!told(&mut up(), leave));
        assert!(!told(&mut up(), Event::Drained { text: reason() }));
        assert!(!told(&mut up(), Event::Stopping));
    }
}

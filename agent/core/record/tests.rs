use std::time::Duration;

use super::*;
use crate::event::ContainerSeen;
use crate::plan::sets::SetName;
use crate::supervise::Exit;

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

//! A record with something in each of its fields, for tests.

use std::time::Duration;

use super::*;
use crate::event::ContainerSeen;
use crate::plan::sets::SetName;
use crate::supervise::Exit;
use crate::trace::verdict::VerdictRule;
use crate::trace::{Ami, Level, ScmOutcome, VerdictName};

/// When the sample's agent started.
pub(crate) const BEGUN: u64 = 1_000_000;
/// When everything after the boot happened.
pub(crate) const LATER: u64 = 1_060_000;

/// Up, restarted once, with secrets and a sink.
pub(crate) fn full() -> BootRecord {
    let mut record = BootRecord::new("0.1.0", 42, BEGUN);
    record.application = Some(Application {
        id: "shop".into(),
        version: "1.2".into(),
    });
    record.facts = Some(InstanceFacts {
        instance_id: "i-1".into(),
        region: "eu-central-1".into(),
        availability_zone: "eu-central-1a".into(),
        account_id: "123456789012".into(),
        image_id: Some("ami-1".into()),
        instance_type: Some("t3.micro".into()),
        local_ipv4: "10.0.0.1".parse().ok(),
        public_ipv4: "192.0.2.1".parse().ok(),
        pending_time: Some(1_000),
    });
    record.opt_outs = vec!["root".into()];
    record.identity = Some(IdentityRecord {
        listening: true,
        served: 7,
        refused: 1,
        failed: 2,
        last_served: Some(LATER),
        fetched_at: Some(BEGUN),
        expires_at: Some(LATER + 3_600_000),
        last_error: Some("STS did not answer".into()),
        role: Some("arn:aws:iam::123456789012:role/shop".into()),
        serves: "role".into(),
    });
    record.config_hash = Some("cafe".repeat(16));
    let mut now = BEGUN;
    for (step, took) in [
        (StepId::Engine, 100),
        (StepId::Config, 200),
        (StepId::Image, 8_000),
        (StepId::Container, 300),
        (StepId::Health, 3_000),
    ] {
        record.apply(
            &Event::StepStarted {
                step,
                does: format!("at the {step}"),
            },
            now,
        );
        if step == StepId::Image {
            record.apply(
                &Event::Retrying {
                    step,
                    error: "refused".into(),
                    failures: 1,
                    wait: Duration::from_secs(1),
                    news: true,
                },
                now,
            );
        }
        record.apply(
            &Event::StepDone {
                step,
                detail: format!("{step} is done"),
                took: Duration::from_millis(took),
            },
            now + took,
        );
        now += took;
    }
    for event in after_the_boot() {
        record.apply(&event, LATER);
    }
    record.written_at = LATER;
    record.logs = serde_json::json!([{
        "name": "s3", "stream": "application", "origin": "/var/log/app.log", "target": "s3://logs", "guarantee": "acknowledged",
        "delivered": 7, "delivered_bytes": 700, "excluded": 2, "cut": 1, "lost": 3, "lost_exact": false, "garbage": 0,
        "behind_bytes": 4096, "failures": 5, "last_line": "2026-11-21T04:16:55.5Z",
        "state": {"kind": "retrying", "since": 1, "error": "slow down"}, "last_error": "slow down",
    }]);
    record
}

fn trace() -> Trace {
    Trace {
        commit: Some("7f8b6ad".into()),
        source_url: Some("git@github.com:org/shop.git".into()),
        author: Some("jane".into()),
        scm_status: Some("M README.md".into()),
        scm_source: ScmOutcome::Read,
        digest: Some("sha256:feed".into()),
        image_created: Some(900),
        labels: [("title".to_owned(), "Shop".to_owned())].into(),
        ami_id: Some("ami-1".into()),
        ami: Some(Ami {
            name: Some("monopod-debian-12".into()),
            version: Some("7".into()),
            built: Some("2026-11-21T20:58:24Z".into()),
            commit: Some("089b394".into()),
            expires: Some("2027-02-21".into()),
            problem: None,
        }),
        application: Some(Application {
            id: "shop".into(),
            version: "1.2".into(),
        }),
        deployment_id: Some("d-1".into()),
        opt_outs: vec!["root".into()],
    }
}

fn after_the_boot() -> Vec<Event> {
    let exit = Exit {
        code: 137,
        out_of_memory: true,
        memory_limit: Some(64 << 20),
    };
    vec![
        Event::ImageTrusted {
            what: "signature by team.pub".into(),
        },
        Event::Traced {
            trace: Box::new(trace()),
            verdicts: vec![Verdict {
                name: VerdictName::ArtifactBuiltFromDirtyRepository,
                level: Level::Warn,
                found: "the image was built with changes that no commit has: M README.md".into(),
                rule: Some(VerdictRule {
                    file: "/etc/monopod/policy.yaml".into(),
                    line: 4,
                }),
            }],
        },
        Event::Container(ContainerSeen {
            id: "0123456789abcdef".into(),
            image: "registry.example.org/shop:1.2".into(),
            digest: "sha256:feed".into(),
            started_at: Some(1_012_000),
            adopted: false,
        }),
        Event::Ready { text: "up".into() },
        Event::ContainerEnded { exit },
        Event::Restarted { restarts: 1 },
        Event::Health {
            healthy: false,
            text: "status 500".into(),
        },
        Event::Health {
            healthy: true,
            text: "status 200".into(),
        },
        Event::Warning {
            text: "look at this".into(),
        },
        Event::FileSet {
            set: Box::new(SetRecord {
                set: SetName::Secrets,
                files: vec![FileRecord {
                    name: "db".into(),
                    source: "the parameter /db".into(),
                }],
                delivered_at: Some(1_010_000),
                fetched_at: Some(1_010_000),
                last_error: Some("AWS is away".into()),
                stale_since: Some(1_030_000),
                unhealthy: false,
            }),
            news: String::new(),
        },
    ]
}

use std::fs;
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;

use super::*;
use crate::context::{Directories, LogTargets, Sources};
use crate::host::docker::Engine;
use crate::report::output::Output;
use crate::report::{Reporter, SharedRedactor};

/// A directory of its own, and an agent that has its files there and no engine.
fn machine(name: &str) -> (PathBuf, Context) {
    let place = std::env::temp_dir().join(format!("monopod-boot-{name}-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let context = agent(&place);
    (place, context)
}

fn agent(place: &Path) -> Context {
    let redactor = SharedRedactor::default();
    Context::new(
        Engine::new(Some(&format!("unix://{}", place.join("engine.sock").display()))).unwrap(),
        Reporter::new(place, redactor.clone(), Output::new(redactor)),
        Directories {
            runtime: place.to_owned(),
            state: place.to_owned(),
            configuration: place.to_owned(),
            access: place.to_owned(),
            units: place.to_owned(),
        },
        Sources::default(),
        LogTargets {
            directory: place.to_owned(),
            application_log: None,
            syslog_socket: None,
        },
    )
}

#[tokio::test]
async fn a_machine_that_serves_again_begins_anew() {
    let (place, context) = machine("anew");
    // It has left.
    context.learn_life(|life| life.stage = Stage::Over);
    hint::begin_anew(&context, "i-1");
    let hint = hint::load(&context).unwrap();
    assert!(!hint.over);
    assert!(hint.first_start <= clock::since_boot_millis());
    assert_eq!(hint.charge, None);
    assert!(!hint::is_first_boot(&context, "i-1"));
    fs::remove_dir_all(&place).unwrap();
}

#[tokio::test]
async fn a_budget_that_began_anew_is_not_counted_from_the_launch_by_a_restarted_agent() {
    for (occasion, counts_from_launch) in [
        (Occasion::Start, true),
        (Occasion::Vanished, false),
        (Occasion::Woken, false),
    ] {
        let (place, context) = machine("budget");
        let facts: monopod_core::facts::InstanceFacts = serde_json::from_value(serde_json::json!({
            "instance_id": "i-1",
            "region": "eu-central-1",
            "availability_zone": "eu-central-1a",
            "account_id": "123456789012",
        }))
        .unwrap();
        context.learn_life(|life| life.facts = Some(facts));
        assert!(hint::is_first_boot(&context, "i-1"));
        // It gets as far as the engine, which is not there.
        let waits = attempt(&context, occasion).now_or_never().is_none();
        assert!(waits, "{occasion:?}");
        let counts = hint::is_first_boot(&agent(&place), "i-1");
        assert_eq!(counts, counts_from_launch, "{occasion:?}");
        fs::remove_dir_all(&place).unwrap();
    }
}

/// A machine that was pulled for in a warm pool is one whose containers are not gone yet.
#[tokio::test]
async fn a_copied_disk_stays_one_after_its_image_is_resolved() {
    let (place, context) = machine("copied");
    let digest = format!("sha256:{:064}", 1);
    Store::open(&context, "i-1").resolve("app:1", &digest);
    Store::open(&context, "i-2").resolve("app:1", &digest);
    let woken = Store::open(&context, "i-2");
    assert!(woken.is_copied());
    assert_eq!(woken.lookup("app:1", &[]).unwrap().0, digest);
    woken.settle();
    assert!(!Store::open(&context, "i-2").is_copied());
    fs::remove_dir_all(&place).unwrap();
}

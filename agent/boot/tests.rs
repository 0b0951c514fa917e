use std::fs;
use std::path::{Path, PathBuf};

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

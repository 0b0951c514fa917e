//! The agent boots with `mint_bucket`: the container has what berry would have given it, also while S3 is away.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monopod_testrig::Machine;

use super::{berry, put};
use crate::common::*;

const USER: &str =
    "{\"application_username\": \"stups_app\",\n \"application_password\": \"canary-grüß-1\"}\n";
const CLIENT: &str = "{\"client_id\":\"id\", \"client_secret\":\"canary-2-secret\"}";
const CANARIES: [&str; 4] = ["canary-grüß-1", "canary-2-secret", USER, CLIENT];

fn user_data(machine: &Machine) -> UserData {
    UserData::new(machine, "sleeper").line(&format!("mint_bucket: {}", machine.aws().bucket()))
}

/// What the container's own user reads.
fn delivered(machine: &Machine) -> BTreeMap<String, Vec<u8>> {
    ["user.json", "client.json"]
        .map(|name| {
            let script = format!("cat \"$CREDENTIALS_DIR/{name}\"");
            // To the last byte.
            let output = machine.docker(&["exec", CONTAINER, "/bin/busybox", "sh", "-c", &script]);
            assert!(output.status.success(), "{output:?}");
            (name.to_owned(), output.stdout)
        })
        .into()
}

/// The encrypted copy.
fn copy(machine: &Machine) -> PathBuf {
    machine.dirs().state.join("sealed/credentials")
}

/// All files of the disk that are ours: no value is in one, and none in base64.
fn assert_nothing_in_clear(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            assert_nothing_in_clear(&path);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for canary in CANARIES {
            let coded = STANDARD.encode(canary);
            assert!(
                !text.contains(canary) && !text.contains(&coded),
                "{canary} is in {}",
                path.display()
            );
        }
    }
}

#[test]
fn the_container_has_the_files_of_berry() {
    let machine = Machine::acquire();
    put(&machine, USER, CLIENT);
    user_data(&machine).serve(&machine);
    let agent = run_until_ready(&machine);
    let (content, theirs) = berry(&machine, "berry");
    assert!(content);
    assert_eq!(delivered(&machine), theirs);
    let told = everything_told(&machine, &agent);
    for canary in CANARIES {
        assert!(!told.contains(canary), "{told}");
    }
    assert!(!the_container(&machine).to_string().contains("canary"));
    assert!(copy(&machine).exists());
    assert_nothing_in_clear(&machine.dirs().state);
}

#[test]
fn a_first_boot_without_them_fails_and_says_what_to_do() {
    let machine = Machine::acquire();
    let place = machine.aws().put_object("app/user.json", USER);
    user_data(&machine).serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    let error = error_line(&agent);
    for words in [
        place.replace("user", "client").as_str(),
        "404 NoSuchKey",
        "mint has not put it there yet",
    ] {
        assert!(error.contains(words), "{words} is not in {error}");
    }
    assert!(machine.containers().is_empty());
}

#[test]
fn a_reboot_without_s3_brings_the_last_good_ones_back() {
    let machine = Machine::acquire();
    put(&machine, USER, CLIENT);
    user_data(&machine).serve(&machine);
    drop(run_until_ready(&machine));
    let (before, files) = (container_id(&machine), delivered(&machine));
    machine.aws().line().down();
    machine.reboot();
    assert!(!machine.dirs().runtime.join("credentials").exists());
    let agent = run_until_ready(&machine);
    assert_eq!(container_id(&machine), before);
    assert_eq!(delivered(&machine), files);
    let said = agent.output();
    assert!(said.contains("the encrypted copy of credentials from"), "{said}");
    assert_nothing_in_clear(&machine.dirs().state);
}

#[test]
fn a_damaged_copy_is_told_and_s3_is_waited_for() {
    let machine = Machine::acquire();
    put(&machine, USER, CLIENT);
    user_data(&machine).serve(&machine);
    drop(run_until_ready(&machine));
    let files = delivered(&machine);
    let mut bytes = fs::read(copy(&machine)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(copy(&machine), &bytes).unwrap();
    machine.aws().line().down();
    machine.reboot();
    machine.notify().clear();
    let agent = run(&machine);
    agent.wait_for_line("is damaged and is not used", BOOT);
    agent.wait_for_line("the application's credentials were not fetched from s3://", BOOT);
    assert!(!is_running(&the_container(&machine)));
    machine.aws().line().heal();
    wait_ready(&machine, &agent);
    assert_eq!(delivered(&machine), files);
    assert_ne!(fs::read(copy(&machine)).unwrap(), bytes, "it is made again");
}

#[test]
fn without_a_copy_nothing_is_on_the_disk() {
    let machine = Machine::acquire();
    put(&machine, USER, CLIENT);
    user_data(&machine).line("keep_secrets: false").serve(&machine);
    let _agent = run_until_ready(&machine);
    assert_eq!(delivered(&machine)["user.json"], USER.as_bytes());
    assert!(!copy(&machine).exists());
    assert!(!machine.dirs().state.join("seal.key").exists());
}

//! A tag that is pushed again changes nothing on a machine that has resolved it.

use monopod_testrig::{Image, Machine};

use super::{SCRIPT, assert_runs, lose_everything};
use crate::common::*;

fn version(name: &str, version: &str) -> Image {
    Image::new(name, SCRIPT).env("VERSION", version)
}

#[test]
fn a_tag_pushed_again_changes_nothing_after_everything_was_removed() {
    let machine = Machine::acquire();
    let source = machine.registry().push(&version("pins-boots", "1"));
    let first = machine.registry().digest(&source);
    UserData::of(&machine, &source).serve(&machine);
    let agent = run_until_ready(&machine);
    assert_runs(&machine, &first);

    let _same = machine.registry().push(&version("pins-boots", "2"));
    assert_ne!(machine.registry().digest(&source), first);
    lose_everything(&machine, &agent);
    let again = run_until_ready(&machine);
    assert_runs(&machine, &first);
    assert!(
        again
            .output()
            .contains(&format!("{source} is {first}, as resolved at ")),
        "{}",
        again.output()
    );
}

#[test]
fn a_tag_pushed_again_before_the_pull_changes_nothing() {
    let machine = Machine::acquire();
    let large = |version_: &str| version("pins-between", version_).random_layer(4 << 20);
    let source = machine.registry().push(&large("1"));
    let first = machine.registry().digest(&source);
    UserData::of(&machine, &source).serve(&machine);
    machine.registry().line().throttle(200 << 10);
    let agent = run(&machine);
    // Resolved, and nothing of it can be here yet at this speed.
    agent.wait_for_line("of it is loaded by this digest", BOOT);
    machine.registry().line().down();
    let _same = machine.registry().push(&large("2"));
    assert_ne!(machine.registry().digest(&source), first);
    machine.registry().line().heal();
    wait_ready(&machine, &agent);
    assert_runs(&machine, &first);
}

#[test]
fn with_the_registry_down_the_image_that_is_here_runs_again() {
    let machine = Machine::acquire();
    UserData::new(&machine, "sleeper").serve(&machine);
    let agent = run_until_ready(&machine);
    agent.signal(monopod_testrig::Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0);
    machine.docker_ok(&["rm", "-f", CONTAINER]);
    machine.registry().line().down();
    machine.reboot();
    let again = run_until_ready(&machine);
    assert!(again.output().contains("was here already"), "{}", again.output());
}

#[test]
fn a_torn_record_is_told_and_the_container_says_what_the_tag_was() {
    let machine = Machine::acquire();
    let source = machine.registry().push(&version("pins-torn", "1"));
    let first = machine.registry().digest(&source);
    UserData::of(&machine, &source).serve(&machine);
    let agent = run_until_ready(&machine);
    agent.kill9();
    let record = machine.dirs().state.join("images.json");
    std::fs::write(&record, "{\"schema\": 1, \"inst").unwrap();
    let _same = machine.registry().push(&version("pins-torn", "2"));
    // Another container is made, so the digest has to be known again.
    UserData::of(&machine, &source)
        .env(&[("NEW", "one")])
        .serve(&machine);
    machine.reboot();
    let again = run_until_ready(&machine);
    assert_runs(&machine, &first);
    let output = again.output();
    assert!(
        output.contains("images.json") && output.contains("the container made from it says it still"),
        "{output}"
    );
    // And it is whole again.
    assert!(std::fs::read_to_string(&record).unwrap().contains(&first));
}

#[test]
fn a_torn_record_and_no_container_is_told_before_the_registry_is_asked_anew() {
    let machine = Machine::acquire();
    let source = machine.registry().push(&version("pins-torn-alone", "1"));
    UserData::of(&machine, &source).serve(&machine);
    let agent = run_until_ready(&machine);
    let _same = machine.registry().push(&version("pins-torn-alone", "2"));
    let second = machine.registry().digest(&source);
    std::fs::write(machine.dirs().state.join("images.json"), "").unwrap();
    lose_everything(&machine, &agent);
    let again = run_until_ready(&machine);
    assert_runs(&machine, &second);
    assert!(
        again.output().contains("may have another image by now"),
        "{}",
        again.output()
    );
}

#[test]
fn another_instance_on_the_same_disk_resolves_for_itself() {
    let machine = Machine::acquire();
    let source = machine.registry().push(&version("pins-copied", "1"));
    UserData::of(&machine, &source).serve(&machine);
    let agent = run_until_ready(&machine);
    let _same = machine.registry().push(&version("pins-copied", "2"));
    let second = machine.registry().digest(&source);
    lose_everything(&machine, &agent);
    machine
        .imds()
        .identity(|identity| identity.instance_id = "i-0fedcba9876543210".to_owned());
    let _again = run_until_ready(&machine);
    assert_runs(&machine, &second);
}

#[test]
fn a_container_that_came_with_a_copied_disk_is_not_resumed() {
    let machine = Machine::acquire();
    let source = machine.registry().push(&version("pins-came-along", "1"));
    UserData::of(&machine, &source).serve(&machine);
    let agent = run_until_ready(&machine);
    let first = container_id(&machine);
    agent.kill9();
    let _same = machine.registry().push(&version("pins-came-along", "2"));
    let second = machine.registry().digest(&source);
    machine
        .imds()
        .identity(|identity| identity.instance_id = "i-0fedcba9876543210".to_owned());
    machine.reboot();
    let again = run_until_ready(&machine);
    assert!(
        again
            .output()
            .contains("it came with this disk from another instance"),
        "{}",
        again.output()
    );
    assert_runs(&machine, &second);
    let made = container_id(&machine);
    assert_ne!(made, first);
    // Once: from now on it is this instance's.
    again.kill9();
    machine.reboot();
    let _third = run_until_ready(&machine);
    assert_eq!(container_id(&machine), made);
}

#[test]
fn another_source_is_resolved_and_the_first_stays_what_it_was() {
    let machine = Machine::acquire();
    let source = machine.registry().push(&version("pins-changed", "1"));
    let first = machine.registry().digest(&source);
    UserData::of(&machine, &source).serve(&machine);
    let agent = run_until_ready(&machine);
    let _same = machine.registry().push(&version("pins-changed", "2"));
    let other = machine
        .registry()
        .push(&Image::tagged("pins-changed", "2", SCRIPT));
    let other_digest = machine.registry().digest(&other);
    UserData::of(&machine, &other).serve(&machine);
    lose_everything(&machine, &agent);
    let agent = run_until_ready(&machine);
    assert_runs(&machine, &other_digest);
    UserData::of(&machine, &source).serve(&machine);
    lose_everything(&machine, &agent);
    let _agent = run_until_ready(&machine);
    assert_runs(&machine, &first);
}

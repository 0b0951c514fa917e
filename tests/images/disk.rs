//! Room on the engine's disk, on one that is small.

use monopod_testrig::{Image, Machine};

use super::SCRIPT;
use crate::common::*;

/// The reserve is 128 MiB, and an image counts once where nothing goes on without, and three times where there is a choice.
const MIB: u64 = 1 << 20;

fn sized(name: &str, mib: u64) -> Image {
    Image::new(name, SCRIPT).random_layer(mib * MIB)
}

fn images(machine: &Machine) -> String {
    machine.docker_ok(&["images", "--digests", "--format", "{{.Repository}}"])
}

#[test]
fn an_image_that_does_not_fit_is_not_begun_and_waits_for_room() {
    let machine = Machine::acquire();
    machine.small_disk(160 * MIB);
    let source = machine.registry().push(&sized("roomy", 48));
    UserData::of(&machine, &source).serve(&machine);
    let agent = run(&machine);
    let told = agent.wait_for_line("there is no room for", BOOT).text;
    for part in [
        "it needs ",
        "MiB are free",
        "docker system df",
        machine.dirs().engine_data.to_str().unwrap(),
    ] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    assert!(
        machine.registry().line().carried() < MIB,
        "nothing of it was loaded"
    );
    assert_eq!(images(&machine), "");
}

#[test]
fn images_of_earlier_boots_go_first_and_nobody_elses() {
    let machine = Machine::acquire();
    machine.small_disk(230 * MIB);
    machine.log_in();
    let theirs = machine.registry().push(&sized("theirs", 1));
    machine.docker_ok(&["pull", &theirs]);
    // The second takes the place of the first one's container, so that its image may go before the third is loaded.
    for (name, mib) in [("old", 20), ("between", 21)] {
        let source = machine.registry().push(&sized(name, mib));
        boot_and_leave(&machine, &source);
    }
    let new = machine.registry().push(&sized("new", 24));
    UserData::of(&machine, &new).serve(&machine);
    let again = run_until_ready(&machine);
    assert!(
        again
            .output()
            .contains("which an earlier boot loaded, to make room"),
        "{}",
        again.output()
    );
    let here = images(&machine);
    assert!(
        here.contains("test/new") && here.contains("test/theirs") && !here.contains("test/old"),
        "{here}"
    );
}

fn boot_and_leave(machine: &Machine, source: &str) {
    UserData::of(machine, source).serve(machine);
    leave(machine, &run_until_ready(machine));
}

/// As if the machine had booted: a reboot of the rig's would take the small disk away.
fn leave(machine: &Machine, agent: &monopod_testrig::Agent) {
    agent.signal(monopod_testrig::Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0);
    drop(std::fs::remove_dir_all(&machine.dirs().runtime));
}

/// Two that fit one after the other, and not together.
fn one_after_the_other(machine: &Machine, name: &str) -> String {
    machine.small_disk(230 * MIB);
    let old = machine.registry().push(&sized(&format!("{name}-old"), 60));
    UserData::of(machine, &old).serve(machine);
    let agent = run_until_ready(machine);
    // Three times its size is not free, and once is.
    assert!(agent.output().contains("may not fit"), "{}", agent.output());
    leave(machine, &agent);
    let new = machine.registry().push(&sized(&format!("{name}-new"), 62));
    UserData::of(machine, &new).serve(machine);
    new
}

#[test]
fn what_a_running_container_holds_is_named_when_there_is_no_room() {
    let machine = Machine::acquire();
    let _new = one_after_the_other(&machine, "kept");
    let before = container_id(&machine);
    let agent = run(&machine);
    let told = agent.wait_for_line("there is no room for", BOOT).text;
    assert!(
        told.contains("test/kept-old@sha256:") && told.contains(short(&before)),
        "{told}"
    );
    assert_eq!(container_id(&machine), before);
}

#[test]
fn a_container_that_has_ended_gives_its_room_to_the_next_image() {
    let machine = Machine::acquire();
    let _new = one_after_the_other(&machine, "ended");
    machine.docker_ok(&["stop", "-t", "0", CONTAINER]);
    let agent = run_until_ready(&machine);
    let output = agent.output();
    assert!(
        output.contains("which an earlier boot loaded, to make room"),
        "{output}"
    );
    assert!(!images(&machine).contains("test/ended-old"));
}

#[test]
fn a_disk_that_fills_up_under_the_pull_gets_the_same_advice() {
    let machine = Machine::acquire();
    machine.small_disk(160 * MIB);
    // The registry knows how large it is packed, and nobody how large it gets.
    let source = machine
        .registry()
        .push(&Image::new("swelling", SCRIPT).zero_layer(200 * MIB));
    UserData::of(&machine, &source).serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    let error = error_line(&agent);
    assert!(
        error.contains("filled up under the pull") && error.contains("docker system df"),
        "{error}"
    );
}

/// As the engine and the agent show it.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

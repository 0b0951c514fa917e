//! The engine restarted, killed, frozen or late under the agent.

use std::path::Path;

use monopod_testrig::{Machine, wait_until};

use crate::common::*;

fn web(machine: &Machine) -> monopod_testrig::Agent {
    UserData::new(machine, "web").web().serve(machine);
    run_until_ready(machine)
}

#[test]
fn a_restart_with_live_restore_leaves_the_container_running() {
    let machine = Machine::acquire();
    let agent = web(&machine);
    let before = the_container(&machine);
    machine.restart_engine();
    agent.wait_for_line("the engine answers again", BOOT);
    let after = the_container(&machine);
    assert_eq!(
        (&before["Id"], &before["State"]["StartedAt"]),
        (&after["Id"], &after["State"]["StartedAt"])
    );
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("the container was started again", SOON);
}

#[test]
fn a_restart_without_live_restore_brings_the_same_container_back() {
    let machine = Machine::acquire();
    machine.set_live_restore(false);
    let agent = web(&machine);
    let before = container_id(&machine);
    // The image ends with 0 on SIGTERM: an exit that must not be taken for the application's own.
    machine.restart_engine();
    wait_until(BOOT, || machine.inspect(CONTAINER).filter(is_running))
        .unwrap_or_else(|| panic!("it stays down:\n{}", agent.output()));
    assert_eq!(container_id(&machine), before);
}

#[test]
fn a_killed_engine_is_told_and_a_gap_is_recorded() {
    let machine = Machine::acquire();
    let agent = web(&machine);
    machine.kill_engine();
    agent.wait_for_line("the engine stopped answering", SOON);
    machine.start_engine();
    agent.wait_for_line("the engine answers again", BOOT);
    machine.syslog().wait_for("may be lost", SOON);
    wait_until(SOON, || machine.inspect(CONTAINER).filter(is_running)).expect("it runs");
    assert_eq!(machine.containers().len(), 1);
}

#[test]
fn an_engine_that_comes_late_is_waited_for() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    machine.stop_engine();
    let agent = run(&machine);
    agent.wait_for_line("engine: cannot reach the engine", SOON);
    machine.start_engine();
    wait_ready(&machine, &agent);
}

#[test]
fn a_frozen_engine_holds_nothing_up_but_itself() {
    let machine = Machine::acquire();
    let agent = web(&machine);
    machine.freeze_engine();
    machine.notify().clear();
    machine.thaw_engine();
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("the container was started again", SOON);
}

/// As a firewall does that is started after the engine.
fn flush_rules(machine: &Machine) {
    let mut command = machine.monopod(Path::new("sh"), &["-ec", "nft flush ruleset"]);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    assert!(command.status().unwrap().success());
}

const ADVICE: &str = "`systemctl restart docker` puts them back";

#[test]
fn an_engine_whose_rules_are_gone_is_told_what_to_do_and_starts_the_container_once_it_has_them() {
    let machine = Machine::acquire();
    let agent = web(&machine);
    let before = container_id(&machine);
    flush_rules(&machine);
    machine.docker_ok(&["kill", CONTAINER]);
    let line = agent.wait_for_line("the container could not be started: ", SOON);
    assert!(line.text.contains(ADVICE), "{}", line.text);
    assert!(
        line.text.contains("No chain/target/match"),
        "the engine's words: {}",
        line.text
    );
    agent.wait_for_line("for the same reason as before", SOON);
    assert_eq!(agent.output().matches(ADVICE).count(), 1, "{}", agent.output());
    let output = machine.monopod(binary(), &["status"]).output().unwrap();
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.contains(ADVICE), "{output}");

    // The next try would be four seconds away at least: the engine's return is what it goes by.
    agent.wait_for_line("restart=4", SOON);
    machine.restart_engine();
    agent.wait_for_line("the engine answers again", SOON);
    agent.wait_for_line("the container was started again restarts=4", SOON);
    wait_until(SOON, || machine.http_get(8080, "/health").ok()).expect("its port is open again");
    assert_eq!(container_id(&machine), before, "exactly one, and the same");
}

#[test]
fn a_boot_without_the_engine_s_rules_says_once_what_to_do() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .line("health_check_timeout_seconds: 6")
        .serve(&machine);
    flush_rules(&machine);
    let agent = run(&machine);
    agent.wait_for_line(" ERROR ", BOOT);
    let error = error_line(&agent);
    for (words, times) in [
        (ADVICE, 1),
        ("No chain/target/match", 1),
        ("could not start the container", 1),
        // It waits for its next start, or is just being started.
        ("waiting to start it again after", 0),
    ] {
        assert_eq!(error.matches(words).count(), times, "{words}: {error}");
    }
    assert_eq!(status(&machine)["outcome"]["state"], "degraded");
    machine.restart_engine();
    wait_until(SOON, || machine.inspect(CONTAINER).filter(is_running))
        .unwrap_or_else(|| panic!("it stays down:\n{}", agent.output()));
    the_container(&machine);
}

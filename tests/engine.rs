//! The engine restarted, killed, frozen or late under the agent.

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

//! The metadata service late, refusing, old or odd.

use std::time::Duration;

use monopod_testrig::Machine;

use crate::common::*;

#[test]
fn late_by_ten_seconds() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    machine.imds().late_by(Duration::from_secs(10));
    let agent = run(&machine);
    agent.wait_for_line("no answer from the instance metadata service", SOON);
    wait_ready(&machine, &agent);
}

#[test]
fn answering_401_for_a_while() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    machine.imds().always(401);
    let agent = run(&machine);
    agent.wait_for_line("answered 401", SOON);
    assert!(!is_ready(&machine));
    machine.imds().heal();
    wait_ready(&machine, &agent);
}

#[test]
fn version_one_only_is_refused() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    machine.imds().version_one();
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    assert!(error_line(&agent).contains("never uses version 1"));
    assert!(
        machine
            .imds()
            .calls()
            .iter()
            .all(|call| call.path == "/latest/api/token"),
        "nothing was asked without a token"
    );
}

#[test]
fn switched_off() {
    let machine = Machine::acquire();
    machine.imds().always(403);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    assert!(error_line(&agent).contains("modify-instance-metadata-options"));
}

#[test]
fn nothing_runs_on_defaults_while_it_is_away() {
    let machine = Machine::acquire();
    machine.imds().down();
    let agent = run(&machine);
    agent.wait_for_line("trying again", SOON);
    assert!(machine.containers().is_empty() && agent.running());
}

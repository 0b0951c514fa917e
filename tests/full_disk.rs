//! A small disk that fills up under the logs: the order of sacrifice, and what goes on working.

use std::fs;
use std::path::PathBuf;

use monopod_testrig::{Machine, wait_until};
use serde_json::Value;

use crate::common::*;

/// Everything of the machine is on it: the engine's data, the agent's state, the logs.
const DISK: u64 = 256 << 20;

fn application_log(machine: &Machine, suffix: &str) -> PathBuf {
    machine.seen(&machine.dirs().logs.join(format!("application.log{suffix}")))
}

fn row(machine: &Machine) -> Option<Value> {
    let status = fs::read(machine.dirs().runtime.join("status.json")).ok()?;
    let status: Value = serde_json::from_slice(&status).ok()?;
    let sinks = status["logs"].as_array()?;
    sinks
        .iter()
        .find(|sink| sink["name"] == "application-log")
        .cloned()
}

fn wait_for_row(machine: &Machine, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait_until(BOOT, || row(machine).filter(&is)).unwrap_or_else(|| panic!("{what}: {:?}", row(machine)))
}

#[test]
fn old_copies_go_first_then_lines_wait_and_the_machine_goes_on() {
    let machine = Machine::acquire();
    machine.one_small_disk(DISK);
    UserData::new(&machine, "writer")
        .env(&[("LINES", "0"), ("RATE", "2000"), ("LENGTH", "400")])
        .line("log_budget: 16m")
        .line("application_logrotate_size: 1M")
        .line("application_logrotate_disable_compress: true")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    wait_until(BOOT, || application_log(&machine, ".2").exists().then_some(()))
        .expect("application.log was rotated twice");

    machine.fill_small_disk(0);
    let full = wait_for_row(&machine, "the sink says that the disk is full", |row| {
        row["state"]["error"]
            .as_str()
            .is_some_and(|error| error.contains("left to the rest of the machine"))
    });
    assert_eq!(full["state"]["kind"], "retrying", "{full}");
    for suffix in [".1", ".2"] {
        assert!(!application_log(&machine, suffix).exists(), "old copies go first");
    }

    // Neither cursors nor anything else can be written now, and the agent starts all the same.
    agent.kill9();
    let agent = run_until_ready(&machine);
    assert!(machine.inspect(CONTAINER).expect("the container is there")["State"]["Running"] == true);

    machine.relieve_small_disk();
    let before = row(&machine)
        .and_then(|row| row["delivered"].as_u64())
        .unwrap_or_default();
    wait_for_row(&machine, "lines go on", |row| {
        row["state"]["kind"] == "ok" && row["delivered"].as_u64() > Some(before)
    });
    assert!(agent.running());
}

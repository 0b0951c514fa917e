//! SIGTERM in every phase: exit 0, STOPPING, and the container stays.

use std::time::Duration;

use monopod_testrig::{Agent, AwsFault, Machine, Signal};

use crate::common::*;

/// Terminates the agent once it has printed this.
fn stopped_at(machine: &Machine, line: &str) -> Agent {
    let agent = run(machine);
    agent.wait_for_line(line, BOOT);
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0, "{}", agent.output());
    machine.notify().wait_for("STOPPING=1", SOON);
    agent
}

#[test]
fn while_waiting_for_metadata() {
    let machine = Machine::acquire();
    machine.imds().down();
    stopped_at(&machine, "facts: no answer");
}

#[test]
fn while_waiting_for_the_engine() {
    let machine = Machine::acquire();
    machine.stop_engine();
    stopped_at(&machine, "engine: cannot reach the engine");
}

#[test]
fn while_decrypting() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .env(&[("A", &machine.aws().encrypt("canary-value"))])
        .serve(&machine);
    machine
        .aws()
        .faults(&[AwsFault::slow("Decrypt", Duration::from_secs(5))]);
    stopped_at(&machine, "secrets: decrypt");
    assert!(machine.containers().is_empty());
}

#[test]
fn while_pulling() {
    let machine = Machine::acquire();
    UserData::new(&machine, "large").serve(&machine);
    machine.registry().line().throttle(1 << 20);
    stopped_at(&machine, "image: resolve");
    assert!(machine.containers().is_empty());
}

#[test]
fn while_waiting_for_health_the_container_stays() {
    let machine = Machine::acquire();
    UserData::new(&machine, "never-healthy").web().serve(&machine);
    stopped_at(&machine, "health: wait until");
    assert!(is_running(&the_container(&machine)));
}

#[test]
fn while_waiting_to_restart() {
    let machine = Machine::acquire();
    UserData::new(&machine, "crash-loop").serve(&machine);
    stopped_at(&machine, "starting the container again in");
    assert_eq!(machine.containers().len(), 1);
}

#[test]
fn when_ready_the_container_stays_and_the_next_agent_adopts_it() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    let agent = run_until_ready(&machine);
    let before = the_container(&machine);
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0);
    assert_eq!(status(&machine)["outcome"]["state"], "stopped");
    let again = run_until_ready(&machine);
    let after = the_container(&machine);
    assert_eq!(
        (&before["Id"], &before["State"]["StartedAt"]),
        (&after["Id"], &after["State"]["StartedAt"])
    );
    assert!(
        again.output().contains("passed earlier in this boot"),
        "the gate runs once a boot:\n{}",
        again.output()
    );
}

#[test]
fn the_watchdog_is_fed() {
    let machine = Machine::acquire();
    UserData::new(&machine, "sleeper").serve(&machine);
    let syslog = machine.dirs().syslog.display().to_string();
    let mut command = machine.monopod(binary(), &["run", "--syslog-socket", &syslog]);
    command.env("WATCHDOG_USEC", "600000");
    let agent = machine.spawn_command(command);
    machine.notify().wait_for_nth("WATCHDOG=1", 5, BOOT);
    // A process that is stopped feeds nobody, and goes on when it is let go.
    machine.freeze_engine();
    let fed = machine
        .notify()
        .lines()
        .iter()
        .filter(|line| *line == "WATCHDOG=1")
        .count();
    machine.notify().wait_for_nth("WATCHDOG=1", fed + 5, SOON);
    machine.thaw_engine();
    assert!(agent.running());
}

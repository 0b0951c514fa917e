//! What happens when the container ends.

use monopod_testrig::{Machine, Signal, wait_until};

use crate::common::*;

#[test]
fn a_killed_container_is_started_again_the_same_one() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    let agent = run_until_ready(&machine);
    let id = container_id(&machine);
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("the container ended: exit code 137, SIGKILL", SOON);
    agent.wait_for_line("the container was started again", SOON);
    assert!(is_running(&the_container(&machine)));
    assert_eq!(container_id(&machine), id);
    let shown = status(&machine);
    assert_eq!(shown["container"]["restarts"], 1);
    assert_eq!(shown["container"]["state"], "running");
    assert_eq!(shown["container"]["last_exit"]["code"], 137);
}

#[test]
fn a_crash_loop_backs_off_and_ends_aloud() {
    let machine = Machine::acquire();
    UserData::new(&machine, "crash-loop")
        .line("environment: {LIFE: \"0\"}")
        .serve(&machine);
    let agent = run(&machine);
    agent.wait_for_nth_line("starting the container again in", 3, BOOT);
    assert!(agent.output().contains("exit code 3"));
    assert_eq!(machine.containers().len(), 1);
}

#[test]
fn out_of_memory_is_told_with_the_limit() {
    let machine = Machine::acquire();
    UserData::new(&machine, "oom")
        .env(&[("AFTER", "4")])
        .serve(&machine);
    let agent = run_until_ready(&machine);
    // Without this the machine's own memory would be the limit.
    machine.docker_ok(&["update", "--memory", "64m", "--memory-swap", "64m", CONTAINER]);
    let line = agent.wait_for_line("the container ended", BOOT);
    assert!(
        line.text.contains("out of memory (limit 64 MiB)"),
        "{}",
        line.text
    );
    assert_eq!(status(&machine)["container"]["last_exit"]["out_of_memory"], true);
}

#[test]
fn a_job_that_ends_with_0_is_completed() {
    let machine = Machine::acquire();
    UserData::new(&machine, "exit-now")
        .env(&[("EXIT_CODE", "0")])
        .serve(&machine);
    let agent = run_until_ready(&machine);
    agent.wait_for_line("the container completed: exit code 0", SOON);
    assert!(agent.running());
    wait_until(SOON, || {
        (status(&machine)["outcome"]["state"] == "completed").then_some(())
    })
    .expect("completed");
    assert!(!is_running(&the_container(&machine)));
}

#[test]
fn a_job_that_fails_without_restart_is_left_for_inspection() {
    let machine = Machine::acquire();
    UserData::new(&machine, "exit-now")
        .env(&[("EXIT_CODE", "4")])
        .line("restart: never")
        .serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line(" ERROR ", BOOT);
    assert!(agent.running() && !is_ready(&machine));
    assert_eq!(machine.containers().len(), 1);
    assert_eq!(status(&machine)["outcome"]["state"], "degraded");
    // With its output complete: one line says it, not two.
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0);
    assert!(error_line(&agent).contains("exit code 4"));
}

#[test]
fn always_restarts_after_0_too() {
    let machine = Machine::acquire();
    UserData::new(&machine, "exit-now")
        .env(&[("EXIT_CODE", "0")])
        .line("restart: always")
        .serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line("the container was started again", BOOT);
}

#[test]
fn a_container_somebody_removed_is_made_again() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    let agent = run_until_ready(&machine);
    let old = container_id(&machine);
    // A tag is resolved once: what ran here can be made again without the registry.
    machine.registry().line().down();
    machine.docker_ok(&["rm", "-f", CONTAINER]);
    let new = wait_until(BOOT, || {
        let new = machine.inspect(CONTAINER)?;
        is_running(&new).then(|| new["Id"].as_str().map(str::to_owned))?
    })
    .unwrap_or_else(|| panic!("no new container:\n{}", agent.output()));
    assert_ne!(new, old);
    assert_eq!(machine.containers().len(), 1);
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0);
}

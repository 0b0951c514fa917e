//! The gate: it waits, it passes, and when it fails it says everything and keeps the container.

use monopod_testrig::Machine;

use crate::common::*;

#[test]
fn ready_waits_for_200() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web-slow").web().serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line("health: wait until GET http://127.0.0.1:8080/health", BOOT);
    assert!(!is_ready(&machine));
    wait_ready(&machine, &agent);
}

#[test]
fn never_200_degrades_with_the_answer_the_state_and_the_last_lines() {
    let machine = Machine::acquire();
    UserData::new(&machine, "never-healthy")
        .web()
        .line("health_check_timeout_seconds: 5")
        .serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line(" ERROR ", BOOT);
    let error = error_line(&agent);
    for words in [
        "did not become healthy within 5 s",
        "status 500",
        "it runs",
        "web line 1",
        "docker logs",
    ] {
        assert!(error.contains(words), "{words:?} is missing in {error}");
    }
    assert!(!is_ready(&machine));
    assert!(agent.running(), "the agent stays");
    assert!(is_running(&the_container(&machine)), "the container is kept");
    assert_eq!(status(&machine)["outcome"]["state"], "degraded");
    machine.syslog().wait_for("web line", SOON);
}

#[test]
fn a_crash_loop_fails_the_gate() {
    let machine = Machine::acquire();
    UserData::new(&machine, "crash-loop")
        .web()
        .line("health_check_timeout_seconds: 6")
        .serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line(" ERROR ", BOOT);
    let error = error_line(&agent);
    assert!(error.contains("exit code 3"), "{error}");
    assert!(agent.running() && !is_ready(&machine));
}

#[test]
fn a_port_that_is_taken_is_named_and_tried_again() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    let taken = machine
        .inside(|| std::net::TcpListener::bind("0.0.0.0:8080"))
        .unwrap();
    let agent = run(&machine);
    let line = agent.wait_for_line("another process on this machine uses that port", BOOT);
    assert!(line.text.contains("8080"), "{}", line.text);
    drop(taken);
    wait_ready(&machine, &agent);
    assert!(is_running(&the_container(&machine)));
    // The engine names no log file before the first start that works.
    machine.syslog().wait_for("web line 1", SOON);
}

#[test]
fn a_port_that_stays_taken_degrades() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .line("health_check_timeout_seconds: 4")
        .serve(&machine);
    let _taken = machine
        .inside(|| std::net::TcpListener::bind("0.0.0.0:8080"))
        .unwrap();
    let agent = run(&machine);
    agent.wait_for_line(" ERROR ", BOOT);
    assert!(error_line(&agent).contains("8080"), "{}", error_line(&agent));
    assert!(agent.running() && !is_ready(&machine));
}

#[test]
fn the_image_s_own_healthcheck_is_one_more_probe() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web-healthcheck").serve(&machine);
    let agent = run_until_ready(&machine);
    agent.wait_for_line("HEALTHCHECK says healthy", SOON);
}

#[test]
fn without_a_path_running_is_enough() {
    let machine = Machine::acquire();
    UserData::new(&machine, "sleeper").serve(&machine);
    let _agent = run_until_ready(&machine);
    assert!(is_running(&the_container(&machine)));
}

//! Health checks by TCP and by a command, and how often they are asked.

use std::time::{Duration, Instant};

use monopod_testrig::{Agent, Machine};

use crate::common::*;

/// Listens from the moment that /tmp/go exists; the port is published all the time.
const LATE: &str = "entrypoint: [/bin/sh, -c, 'while ! [ -e /tmp/go ]; do sleep 0.2; done; exec nc -ll -p 8080 -e /bin/true']";

fn started(machine: &Machine, lines: &[&str]) -> Agent {
    lines
        .iter()
        .fold(UserData::new(machine, "sleeper"), |all, line| all.line(line))
        .serve(machine);
    run(machine)
}

/// Boots to a gate that fails, and gives what it says.
fn failed(machine: &Machine, lines: &[&str]) -> (Agent, String) {
    let agent = started(machine, lines);
    agent.wait_for_line(" ERROR ", BOOT);
    assert!(agent.running() && !is_ready(machine), "{}", agent.output());
    assert!(is_running(&the_container(machine)), "it is kept");
    let error = error_line(&agent);
    (agent, error)
}

fn in_container(machine: &Machine, script: &str) -> String {
    machine.docker_ok(&["exec", CONTAINER, "/bin/busybox", "sh", "-c", script])
}

#[test]
fn a_published_port_that_nobody_listens_behind_is_not_healthy() {
    let machine = Machine::acquire();
    let (_agent, error) = failed(
        &machine,
        &[
            LATE,
            "ports: {8080: 8080}",
            "health_check_type: tcp",
            "health_check_port: 8080",
            "health_check_timeout_seconds: 4",
        ],
    );
    // What a check of the published port would have taken for an answer.
    machine
        .inside(|| std::net::TcpStream::connect("127.0.0.1:8080"))
        .expect("the engine's proxy takes it");
    assert!(
        error.contains(":8080 takes no connection") && error.contains("refused"),
        "{error}"
    );
}

#[test]
fn a_port_is_healthy_as_soon_as_it_takes_a_connection() {
    let machine = Machine::acquire();
    let agent = started(
        &machine,
        &[
            LATE,
            "ports: {8080: 8080}",
            "health_check_type: tcp",
            "health_check_interval_seconds: 1",
        ],
    );
    agent.wait_for_line("health: wait until", BOOT);
    assert!(!is_ready(&machine));
    in_container(&machine, "echo >/tmp/go");
    wait_ready(&machine, &agent);
    agent.wait_for_line(":8080 takes connections", SOON);
}

#[test]
fn a_port_on_the_machine_s_own_network() {
    let machine = Machine::acquire();
    let agent = started(
        &machine,
        &[
            "entrypoint: [nc, -ll, -p, \"8080\", -e, /bin/true]",
            "networking: host",
            "health_check_type: tcp",
            "health_check_port: 8080",
        ],
    );
    wait_ready(&machine, &agent);
    agent.wait_for_line("127.0.0.1:8080 takes connections", SOON);
}

#[test]
fn a_check_over_no_network_is_refused_before_anything_is_touched() {
    let machine = Machine::acquire();
    UserData::new(&machine, "sleeper")
        .line("networking: none")
        .line("health_check_type: tcp")
        .line("health_check_port: 8080")
        .serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    assert!(error_line(&agent).contains("MP0315"), "{}", error_line(&agent));
    assert!(machine.containers().is_empty());
}

#[test]
fn a_command_that_ends_with_0_is_healthy() {
    let machine = Machine::acquire();
    let agent = started(
        &machine,
        &[
            "health_check_type: exec",
            "health_check_command: [/bin/sh, -c, 'echo \"uid $(id -u)\" >>/tmp/asked; [ -e /tmp/go ]']",
            "health_check_interval_seconds: 1",
        ],
    );
    agent.wait_for_line("health: wait until", BOOT);
    assert!(!is_ready(&machine));
    in_container(&machine, "echo >/tmp/go");
    wait_ready(&machine, &agent);
    let asked = in_container(&machine, "cat /tmp/asked");
    assert!(asked.lines().all(|line| line == "uid 999"), "{asked}");
}

#[test]
fn a_command_s_last_line_is_the_reason_redacted() {
    let machine = Machine::acquire();
    let secret = machine.aws().encrypt("canary-check-secret");
    let (agent, error) = failed(
        &machine,
        &[
            &format!("environment: {{A: {secret:?}}}"),
            "health_check_type: exec",
            "health_check_command: [/bin/sh, -c, 'echo first; echo \"not yet, $A\"; exit 3']",
            "health_check_timeout_seconds: 4",
        ],
    );
    assert!(
        error.contains("ended with 3: not yet, [redacted]") && !error.contains("first"),
        "{error}"
    );
    assert!(!everything_told(&machine, &agent).contains("canary-check"));
}

#[test]
fn a_command_that_is_not_there_is_the_reason() {
    let machine = Machine::acquire();
    let (_agent, error) = failed(
        &machine,
        &[
            "health_check_type: exec",
            "health_check_command: [/nonexistent/check]",
            "health_check_timeout_seconds: 4",
        ],
    );
    assert!(error.contains("/nonexistent/check"), "{error}");
}

/// The engine can't end a command, so it is not started again beside itself: not by the next agent either.
#[test]
fn a_command_that_hangs_runs_once() {
    let machine = Machine::acquire();
    let lines = [
        "health_check_type: exec",
        "health_check_command: [/bin/sh, -c, 'echo >>/tmp/asked; exec sleep 1000']",
        "health_check_interval_seconds: 1",
        "health_check_probe_timeout_seconds: 1",
        "health_check_timeout_seconds: 15",
    ];
    let agent = started(&machine, &lines);
    agent.wait_for_line("health: wait until", BOOT);
    monopod_testrig::wait_until(SOON, || {
        let asked = machine.docker(&["exec", CONTAINER, "/bin/busybox", "wc", "-l", "/tmp/asked"]);
        asked.status.success().then_some(())
    })
    .expect("it was asked");
    agent.kill9();
    let agent = run(&machine);
    agent.wait_for_line(" ERROR ", BOOT);
    let error = error_line(&agent);
    assert!(error.contains("still runs in the container"), "{error}");
    assert_eq!(in_container(&machine, "/bin/busybox wc -l </tmp/asked"), "1");
}

/// The second of its answers is bad: three in a row are the third to the fifth.
#[test]
fn enough_good_answers_in_a_row() {
    let machine = Machine::acquire();
    let agent = started(
        &machine,
        &[
            "health_check_type: exec",
            "health_check_command: [/bin/sh, -c, 'echo >>/tmp/asked; [ $(/bin/busybox wc -l </tmp/asked) != 2 ]']",
            "health_check_interval_seconds: 1",
            "health_check_healthy_threshold: 3",
        ],
    );
    wait_ready(&machine, &agent);
    agent.wait_for_line("3 times in a row", SOON);
    assert_eq!(in_container(&machine, "/bin/busybox wc -l </tmp/asked"), "5");
}

#[test]
fn the_boot_s_own_time_ends_the_gate() {
    let machine = Machine::acquire();
    let begun = Instant::now();
    let (_agent, error) = failed(
        &machine,
        &[
            "health_check_type: exec",
            "health_check_command: [/bin/sh, -c, 'exit 1']",
            "health_check_timeout_seconds: 600",
            "boot_timeout: 30s",
        ],
    );
    assert!(error.contains("when the boot budget was spent"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
}

//! Once the machine is up: probes, what follows from them, and the machine that goes with its container.

use std::path::PathBuf;
use std::time::Duration;

use monopod_testrig::{Agent, Balanced, Group, HealthReport, Machine, Service, wait_until};

use crate::common::*;

/// Three restarts have waits of up to 85 s, and each has to fail first.
const SPENT: Duration = Duration::from_secs(200);

/// The service that does as it is told, asked every second.
fn service(machine: &Machine, lines: &[&str]) -> UserData {
    let start = UserData::new(machine, "service").web().line(
        "health_check_interval_seconds: 1\nhealth_check_timeout_seconds: 30\nhealth_check_start_period_seconds: 1",
    );
    lines.iter().fold(start, |data, line| data.line(line))
}

fn told(machine: &Machine) -> Service<'_> {
    Service::at(machine, 8080)
}

fn outcome(machine: &Machine) -> String {
    status(machine)["outcome"]["state"].as_str().unwrap().to_owned()
}

fn turns(machine: &Machine) -> Vec<bool> {
    let status = status(machine);
    let history = status["health"]["history"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    history.iter().map(|turn| turn["healthy"] == true).collect()
}

fn order(machine: &Machine) -> PathBuf {
    machine.dirs().runtime.join("poweroff")
}

#[test]
fn three_failures_restart_it_and_it_is_well_again() {
    let machine = Machine::acquire();
    service(&machine, &[]).serve(&machine);
    let agent = run_until_ready(&machine);
    let id = container_id(&machine);
    assert_eq!(turns(&machine), [true], "the gate has heard it");
    told(&machine).status(503);
    let line = agent.wait_for_line("app 1.0 is not healthy", SOON);
    assert!(line.text.contains("answers: status 503"), "{}", line.text);
    assert!(
        line.text.contains("the container is restarted in"),
        "{}",
        line.text
    );
    agent.wait_for_line("the container was started again", SOON);
    agent.wait_for_nth_line("app 1.0 is healthy: ", 2, SOON);
    assert_eq!(container_id(&machine), id);
    assert_eq!(turns(&machine), [true, false, true]);
    let shown = status(&machine);
    assert_eq!(shown["container"]["restarts"], 1);
    assert_eq!(
        shown["container"]["restarted"][0]["after"],
        serde_json::Value::Null
    );
    assert_eq!(outcome(&machine), "ready");
}

#[test]
fn restarts_that_don_t_help_are_few_and_it_is_left_running() {
    let machine = Machine::acquire();
    service(&machine, &[]).serve(&machine);
    let agent = run_until_ready(&machine);
    told(&machine).status_for_good(503);
    let line = agent.wait_for_line("3 restarts in 30 min did not help", SPENT);
    assert!(line.text.contains("it is left running"), "{}", line.text);
    assert_eq!(outcome(&machine), "degraded");
    assert!(is_running(&the_container(&machine)));
    assert_eq!(status(&machine)["container"]["restarts"], 3);
    assert_eq!(turns(&machine), [true, false], "a turn is told once");
    told(&machine).status(200);
    agent.wait_for_line("app 1.0 is well again", SOON);
    assert_eq!(outcome(&machine), "ready");
}

#[test]
fn ignored_is_told_and_left_alone() {
    let machine = Machine::acquire();
    service(&machine, &["on_unhealthy: ignore"]).serve(&machine);
    let agent = run_until_ready(&machine);
    let started = the_container(&machine)["State"]["StartedAt"].clone();
    told(&machine).status(503);
    agent.wait_for_line("nothing is done about it, as `on_unhealthy` is ignore", SOON);
    assert_eq!(outcome(&machine), "degraded");
    told(&machine).status(200);
    agent.wait_for_line("app 1.0 is well again", SOON);
    assert_eq!(outcome(&machine), "ready");
    assert_eq!(the_container(&machine)["State"]["StartedAt"], started);
}

#[test]
fn one_slow_answer_is_no_turn_and_statuses_and_headers_are_the_user_s() {
    let machine = Machine::acquire();
    service(
        &machine,
        &[
            "environment: {STATUS: \"204\"}",
            "health_check_status_codes: [200, 204]",
            "health_check_headers: {X-Probe: monopod}",
            "on_unhealthy: ignore",
        ],
    )
    .serve(&machine);
    let agent = run_until_ready(&machine);
    assert_eq!(
        told(&machine).health_headers().get("x-probe").map(String::as_str),
        Some("monopod")
    );
    let asked = told(&machine).health_asks();
    wait_until(SOON, || (told(&machine).health_asks() > asked + 3).then_some(())).expect("it is asked on");
    assert_eq!(turns(&machine), [true]);
    told(&machine).status(202);
    let line = agent.wait_for_line("app 1.0 is not healthy", SOON);
    assert!(line.text.contains("status 202"), "{}", line.text);
}

#[test]
fn an_agent_that_is_killed_adopts_without_a_turn() {
    let machine = Machine::acquire();
    service(&machine, &[]).serve(&machine);
    let agent = run_until_ready(&machine);
    agent.kill9();
    let agent = run_until_ready(&machine);
    agent.wait_for_line("app 1.0 is healthy: ", SOON);
    assert_eq!(turns(&machine), [true]);
    assert_eq!(status(&machine)["container"]["restarts"], 0);
}

/// Five machines, behind a load balancer that says what it says of this one; nothing is restarted first.
fn group_of_five(machine: &Machine) -> String {
    let others = ["i-a", "i-b", "i-c", "i-d"];
    let balanced = others
        .iter()
        .fold(Balanced::new(), |balanced, id| balanced.other(id, "healthy"));
    let arn = machine.aws().target_group("web", balanced);
    let group = Group::new("web").balancer(&arn);
    machine.aws().group(
        others
            .iter()
            .fold(group, |group, id| group.other(id, true, "InService")),
    );
    arn
}

fn replaced(machine: &Machine) -> UserData {
    service(
        machine,
        &[
            "restart: never",
            "on_unhealthy: replace",
            "replace: {min_uptime: 10s}",
        ],
    )
}

fn reports(machine: &Machine) -> Vec<HealthReport> {
    machine.aws().health_reports()
}

fn wait_asked(machine: &Machine, agent: &Agent) {
    agent.wait_for_line("the group was asked for another machine", BOOT);
    let reports = reports(machine);
    assert_eq!(reports.len(), 1, "{reports:#?}");
    assert!(reports[0].respects_grace && reports[0].known, "{reports:#?}");
    assert_eq!(reports[0].status, "Unhealthy");
    assert_eq!(outcome(machine), "degraded");
}

#[test]
fn a_sick_machine_is_replaced_once() {
    let machine = Machine::acquire();
    let arn = group_of_five(&machine);
    replaced(&machine).serve(&machine);
    let agent = run_until_ready(&machine);
    machine.aws().set_target(&arn, "unhealthy");
    told(&machine).status(503);
    wait_asked(&machine, &agent);
    assert!(is_running(&the_container(&machine)));
    // Accepted is not heard: a look settles it.
    agent.wait_for_line("the group calls this machine unhealthy and replaces it", SOON);
    agent.kill9();
    let agent = run_until_ready(&machine);
    agent.wait_for_line("is not asked twice", SOON);
    assert_eq!(reports(&machine).len(), 1);
}

#[test]
fn nobody_is_replaced_for_what_is_shared() {
    let machine = Machine::acquire();
    let arn = group_of_five(&machine);
    replaced(&machine).serve(&machine);
    let agent = run_until_ready(&machine);
    for target in ["i-a", "i-b"] {
        machine.aws().set_other_target(&arn, target, "unhealthy");
    }
    machine.aws().set_target(&arn, "unhealthy");
    told(&machine).status(503);
    agent.wait_for_line("2 of 4 other machines are not well either", BOOT);
    assert!(reports(&machine).is_empty());
    // It was that and nothing else.
    for target in ["i-a", "i-b"] {
        machine.aws().set_other_target(&arn, target, "healthy");
    }
    agent.wait_for_line("the group was asked for another machine", SPENT);
    assert_eq!(reports(&machine).len(), 1);
}

#[test]
fn behind_two_endpoints_one_is_enough() {
    let machine = Machine::acquire();
    // The leader's endpoint has one machine in service, the replicas' the other ones.
    let leader = Balanced::new()
        .other("i-a", "healthy")
        .other("i-b", "unhealthy")
        .other("i-c", "unhealthy");
    let replicas = Balanced::new()
        .other("i-a", "unhealthy")
        .other("i-b", "healthy")
        .other("i-c", "healthy");
    let leader = machine.aws().target_group("leader", leader);
    let replicas = machine.aws().target_group("replicas", replicas);
    let group = Group::new("web").balancer(&leader).balancer(&replicas);
    machine.aws().group(
        ["i-a", "i-b", "i-c"]
            .iter()
            .fold(group, |group, id| group.other(id, true, "InService")),
    );
    replaced(&machine).serve(&machine);
    let agent = run_until_ready(&machine);
    for arn in [&leader, &replicas] {
        machine.aws().set_target(arn, "unhealthy");
    }
    told(&machine).status(503);
    wait_asked(&machine, &agent);
}

#[test]
fn the_machine_goes_with_its_container_after_the_last_line() {
    let machine = Machine::acquire();
    service(&machine, &["restart: never", "shutdown: on-exit"]).serve(&machine);
    let agent = run_until_ready(&machine);
    assert!(!order(&machine).exists());
    told(&machine).exit(3);
    agent.wait_for_line("the machine is powered off when its log lines are out", SOON);
    let why = wait_until(SOON, || std::fs::read_to_string(order(&machine)).ok()).expect("the order");
    assert!(
        why.contains("exit code 3") && why.contains("its log lines are out"),
        "{why}"
    );
    let log = std::fs::read_to_string(machine.dirs().logs.join("application.log")).unwrap();
    assert!(log.contains("service ends with 3"), "{log}");
    assert!(
        agent.running(),
        "systemd does it, and stops the agent as it stops everybody"
    );
}

#[test]
fn on_success_is_for_success() {
    let machine = Machine::acquire();
    let data = service(&machine, &["restart: never", "shutdown: on-success"]);
    data.serve(&machine);
    let agent = run_until_ready(&machine);
    told(&machine).exit(3);
    agent.wait_for_line("failed and is not started again", SOON);
    assert!(!order(&machine).exists() && agent.running());
    let machine = Machine::acquire();
    UserData::new(&machine, "exit-now")
        .env(&[("EXIT_CODE", "0")])
        .line("shutdown: on-success")
        .serve(&machine);
    let _agent = run(&machine);
    let why = wait_until(BOOT, || std::fs::read_to_string(order(&machine)).ok()).expect("the order");
    assert!(why.contains("completed (exit code 0)"), "{why}");
}

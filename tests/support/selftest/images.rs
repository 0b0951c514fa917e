//! The standard images.

use monopod_testrig::{Machine, wait_until};
use serde_json::json;

use crate::{SOON, healthy, login, start_web};

#[test]
fn web_images_do_what_their_names_say() {
    let machine = Machine::acquire();
    start_web(&machine, "web", "web");
    wait_until(SOON, || healthy(&machine)).unwrap();
    assert_eq!(machine.http_get(8080, "/uid").unwrap().text(), "999");
    let status = machine.process_status("web").unwrap();
    assert!(status.contains("Uid:\t999\t999\t999\t999"), "{status}");
    machine.docker_ok(&["stop", "-t", "5", "web"]);
    assert_eq!(machine.inspect("web").unwrap()["State"]["ExitCode"], 0);
    machine.docker_ok(&["rm", "web"]);

    start_web(&machine, "eats", "web-healthcheck");
    let health = || Some(machine.inspect("eats")?["State"]["Health"]["Status"].clone());
    wait_until(SOON, || health().filter(|status| status == "healthy")).unwrap();
    machine.starve("eats");
    let ended = wait_until(SOON, || {
        machine
            .inspect("eats")
            .filter(|eats| eats["State"]["Running"] == false)
    })
    .unwrap();
    assert_eq!(
        (&ended["State"]["OOMKilled"], &ended["State"]["ExitCode"]),
        (&json!(true), &json!(137))
    );
    machine.docker_ok(&["rm", "eats"]);

    let (slow, never) = (
        machine.registry().image("web-slow"),
        machine.registry().image("never-healthy"),
    );
    machine.docker_ok(&["run", "-d", "--name", "slow", "-p", "8080:8080", &slow]);
    let status = || machine.http_get(8080, "/health").ok().map(|answer| answer.status);
    assert_eq!(wait_until(SOON, status), Some(503));
    wait_until(SOON, || healthy(&machine)).unwrap();
    machine.docker_ok(&["rm", "-f", "slow"]);
    machine.docker_ok(&["run", "-d", "--name", "never", "-p", "8080:8080", &never]);
    assert_eq!(wait_until(SOON, status), Some(500));
}

#[test]
fn other_images_do_what_their_names_say() {
    let machine = Machine::acquire();
    login(&machine);
    let oom = machine.registry().image("oom");
    let limits = ["--memory", "32m", "--memory-swap", "32m"];
    assert_eq!(
        machine
            .docker(&[&["run", "--name", "oom"], &limits[..], &[&oom]].concat())
            .status
            .code(),
        Some(137)
    );
    assert_eq!(machine.inspect("oom").unwrap()["State"]["OOMKilled"], true);

    let chatty = machine.registry().image("chatty");
    let said = machine.docker_ok(&["run", "--rm", "-e", "LINES=3", "-e", "EXIT_CODE=0", &chatty]);
    assert_eq!(said, "chatty line 1\nchatty line 2\nchatty line 3\nchatty done");
    let exit = machine.registry().image("exit-now");
    assert_eq!(
        machine.docker(&["run", "-e", "EXIT_CODE=7", &exit]).status.code(),
        Some(7)
    );

    let crash = machine.registry().image("crash-loop");
    assert_eq!(
        machine.docker(&["run", "-e", "LIFE=0", &crash]).status.code(),
        Some(3)
    );
    let sleeper = machine.registry().image("sleeper");
    machine.docker_ok(&["run", "-d", "--name", "deaf", "-e", "DEAF=1", &sleeper]);
    machine.docker_ok(&["stop", "-t", "1", "deaf"]);
    assert_eq!(machine.inspect("deaf").unwrap()["State"]["ExitCode"], 137);

    let printenv = machine.registry().image("printenv");
    machine.docker_ok(&[
        "run",
        "-d",
        "--name",
        "env",
        "-e",
        "NAMES=A B",
        "-e",
        "A=canary",
        "-e",
        "B=x y",
        &printenv,
    ]);
    let logs = wait_until(SOON, || {
        Some(machine.docker_ok(&["logs", "env"])).filter(|logs| logs.contains("done"))
    })
    .unwrap();
    assert!(
        logs.contains("env A 6 ") && logs.contains("env B 3 ") && !logs.contains("canary"),
        "{logs}"
    );
}

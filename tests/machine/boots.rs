//! Boots that go well: the first, those after reboots, and the way down.

use monopod_testrig::{Group, RealMachine};

use super::*;

const PASSWORD: &str = "canary-database-password";

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn user_data_in_one_healthy_container_out_with_nobody_logged_in() {
    let machine = RealMachine::new();
    machine.aws().stack("shop-42", "AppServer");
    let group = machine.aws().log_group("app");
    let secret = machine.aws().encrypt(PASSWORD);
    user_data(&machine, "web")
        .web()
        .line("notify_cfn: {stack: shop-42, resource: AppServer}")
        .line(&format!("cloudwatch_logs: {{/var/log/application.log: {group}}}"))
        .env(&[("DB_PASSWORD", &secret)])
        .give(&machine);
    machine.boot();
    machine.wait_ready(BOOT);
    let first = the_container(&machine);
    assert_eq!(machine.http_get(8080, "/health").unwrap().status, 200);
    assert_eq!(machine.unit("monopod.service", "NRestarts"), "0");
    assert!(first["Config"]["Env"].to_string().contains(PASSWORD));

    // The stack was told by who the machine is, before systemd was told READY.
    assert_eq!(told(&machine), [("SUCCESS".to_owned(), "instance".to_owned())]);
    // Log lines are where they belong, on the machine and outside of it.
    wait_for("a line in CloudWatch", SOON, || {
        let events = machine.aws().log_events(&group, &machine.imds().instance_id());
        events
            .iter()
            .any(|(_, text)| text.contains("web line 1"))
            .then_some(())
    });
    let log = std::fs::read_to_string(machine.file("/var/log/application.log")).unwrap();
    assert!(log.contains("web line 1"), "{log}");
    for told in [
        machine.console(),
        machine.run_ok(&["journalctl", "--boot", "--no-pager"]),
    ] {
        assert!(!told.contains(PASSWORD), "the secret is told:\n{told}");
    }

    // Off, and on again: it is the same container, and nobody is asked or told again.
    for boot in 0..2 {
        let (decrypts, connections) = (
            machine.aws().decrypt_calls(),
            machine.registry().line().connections(),
        );
        machine.reboot(DOWN);
        machine.wait_ready(BOOT);
        let again = the_container(&machine);
        assert_eq!(
            id(&again),
            id(&first),
            "reboot {boot}: {}",
            machine.journal("monopod")
        );
        assert_eq!(machine.http_get(8080, "/health").unwrap().status, 200);
        assert_eq!(machine.aws().decrypt_calls(), decrypts);
        assert_eq!(machine.registry().line().connections(), connections);
        assert_eq!(told(&machine).len(), 1, "a stack is told once");
    }
}

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn other_user_data_takes_effect_at_the_next_boot() {
    let machine = RealMachine::new();
    user_data(&machine, "web")
        .web()
        .env(&[("GREETING", "one")])
        .give(&machine);
    machine.boot();
    machine.wait_ready(BOOT);
    let first = the_container(&machine);
    user_data(&machine, "web")
        .web()
        .env(&[("GREETING", "two")])
        .give(&machine);
    machine.reboot(DOWN);
    machine.wait_ready(BOOT);
    let second = the_container(&machine);
    assert_ne!(id(&second), id(&first));
    assert!(second["Config"]["Env"].to_string().contains("GREETING=two"));
}

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn a_machine_that_is_powered_off_leaves_in_order() {
    let machine = RealMachine::new();
    machine.aws().group(Group::new("shop").terminate_hook("bye"));
    machine.imds().target_state(Some("InService"));
    let arn = machine
        .aws()
        .target_group("shop", monopod_testrig::Balanced::new().initial(0).draining(2));
    let group = machine.aws().log_group("app");
    user_data(&machine, "web")
        .web()
        .line("lifecycle_hooks: {terminate: bye, group: shop}")
        .line(&format!(
            "healthcheck: {{type: elbv2, target_groups: '{arn}', healthy_threshold: 1}}"
        ))
        .line(&format!("cloudwatch_logs: {{/var/log/application.log: {group}}}"))
        .give(&machine);
    machine.boot();
    machine.wait_ready(BOOT);
    machine.aws().begin_termination();
    machine.imds().target_state(Some("Terminated"));
    // A hook is completed where the agent has heard of it; a machine that is only switched off completes none.
    machine.wait_console("the Auto Scaling group takes this machine out of service", SOON);
    machine.power_off(DOWN);

    // Out of the load balancer first, then the container, its last words, and the hook.
    let said = machine.console();
    let mut rest = said.as_str();
    for part in [
        "out of the load balancers",
        "the container gets its stop signal",
        "the last lines go out",
        "the machine can go",
    ] {
        let (_, after) = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("no {part:?} in its place:\n{said}"));
        rest = after;
    }
    let lines = machine.aws().log_events(&group, &machine.imds().instance_id());
    assert!(
        lines.iter().any(|(_, text)| text.contains("web got SIGTERM")),
        "its last words are missing: {lines:?}"
    );
    let done = machine.aws().wait_for_completion("bye", SOON);
    assert_eq!((done.result.as_str(), done.refusal), ("CONTINUE", None));
}

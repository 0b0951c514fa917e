//! From a healthy container to a machine that is up: the group's hook, load balancers, CloudFormation, and every way in
//! which a boot can end before that.

use std::time::Duration;

use monopod_testrig::{Agent, AwsFault, Balanced, Group, Machine, Signal};

use crate::common::*;

const STACK: &str = "shop-42";
const RESOURCE: &str = "AppServer";

/// A stack waits for this machine.
fn awaited(machine: &Machine, image: &str) -> UserData {
    machine.aws().stack(STACK, RESOURCE);
    UserData::new(machine, image).line(&notify(""))
}

fn notify(more: &str) -> String {
    format!("notify_cfn: {{stack: {STACK}, resource: {RESOURCE}{more}}}")
}

/// What the stack was told: each unique id once, and how.
fn told(machine: &Machine) -> Vec<(String, String)> {
    let accepted = machine.aws().signals().into_iter();
    accepted
        .filter(|one| one.refusal.is_none() && !one.again)
        .map(|one| (one.status, one.signer))
        .collect()
}

fn one(status: &str) -> Vec<(String, String)> {
    vec![(status.to_owned(), "instance".to_owned())]
}

/// What was asked of AWS for this machine, in its order.
fn calls(machine: &Machine) -> Vec<String> {
    machine.aws().calls().into_iter().map(|call| call.op).collect()
}

fn wait_degraded(agent: &Agent) -> String {
    agent.wait_for_line(" ERROR ", BOOT).text
}

#[test]
fn a_boot_that_works_is_told_once_for_ever() {
    let machine = Machine::acquire();
    awaited(&machine, "web").web().serve(&machine);
    let agent = run_until_ready(&machine);
    assert_eq!(told(&machine), one("SUCCESS"), "READY comes after it");
    let signal = &machine.aws().signals()[0];
    assert_eq!(signal.unique_id, machine.imds().instance_id());
    agent.kill9();
    agent.wait_exit(SOON);
    let agent = run_until_ready(&machine);
    agent.kill9();
    agent.wait_exit(SOON);
    machine.reboot();
    let agent = run_until_ready(&machine);
    agent.wait_for_line("told before, and only once for an instance", SOON);
    assert_eq!(machine.aws().signals().len(), 1, "nor after a reboot");
}

#[test]
fn a_disk_that_was_copied_speaks_for_itself() {
    let machine = Machine::acquire();
    awaited(&machine, "sleeper").serve(&machine);
    let agent = run_until_ready(&machine);
    agent.kill9();
    agent.wait_exit(SOON);
    machine.reboot();
    machine
        .imds()
        .identity(|identity| identity.instance_id = "i-0fedcba9876543210".to_owned());
    machine.aws().stack("other", "Other");
    UserData::new(&machine, "sleeper")
        .line("notify_cfn: {stack: other, resource: Other}")
        .serve(&machine);
    let _agent = run_until_ready(&machine);
    let signals = machine.aws().signals();
    assert_eq!(signals.last().unwrap().unique_id, "i-0fedcba9876543210");
    assert_eq!(signals.len(), 2);
}

#[test]
fn wrong_user_data_is_a_failure_of_the_stack() {
    let machine = Machine::acquire();
    awaited(&machine, "web")
        .line("ports: {8080: 8080/upd}")
        .serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    assert_eq!(told(&machine), one("FAILURE"));
    assert!(error_line(&agent).contains("upd"), "{}", error_line(&agent));
    // Somebody starts it again by hand.
    let (code, _agent) = run_to_end(&machine);
    assert_eq!((code, machine.aws().signals().len()), (78, 1));
}

#[test]
fn wrong_user_data_does_what_it_says_about_failed_boots() {
    let machine = Machine::acquire();
    machine.aws().group(Group::new("shop").launch_hook("ready"));
    UserData::new(&machine, "web")
        .line("ports: {8080: 8080/upd}")
        .line("on_boot_failure: poweroff")
        .line("lifecycle_hooks: {launch: ready, group: shop}")
        .serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    assert_eq!(machine.aws().wait_for_completion("ready", SOON).result, "ABANDON");
    assert!(
        machine.dirs().runtime.join("poweroff").exists(),
        "{}",
        agent.output()
    );
}

#[test]
fn user_data_that_is_no_yaml_is_one_too() {
    let machine = Machine::acquire();
    awaited(&machine, "web")
        .line("environment: {A: \"never closed")
        .serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    assert_eq!(told(&machine), one("FAILURE"));
}

#[test]
fn an_image_that_is_not_there_is_a_failure() {
    let machine = Machine::acquire();
    machine.aws().stack(STACK, RESOURCE);
    let source = machine.registry().image("web").replace("/web", "/no-such-image");
    UserData::of(&machine, &source).line(&notify("")).serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    assert_eq!(told(&machine), one("FAILURE"));
}

#[test]
fn a_failed_gate_is_told_and_the_container_kept() {
    let machine = Machine::acquire();
    let handle = machine.aws().wait_handle("handle");
    machine.aws().stack(STACK, RESOURCE);
    machine.aws().group(Group::new("shop").launch_hook("ready"));
    machine.imds().target_state(Some("InService"));
    UserData::new(&machine, "never-healthy")
        .web()
        .line("health_check_timeout_seconds: 4")
        .line("lifecycle_hooks: {launch: ready, group: shop}")
        .line(&notify(&format!(", wait_handle: '{handle}'")))
        .serve(&machine);
    let agent = run(&machine);
    let failed = machine.aws().wait_for_signal(BOOT);
    assert_eq!((failed.status.as_str(), failed.again), ("FAILURE", false));
    let completion = machine.aws().wait_for_completion("ready", SOON);
    assert_eq!(completion.result, "ABANDON");
    agent.wait_for_line("FAILURE for its wait condition", SOON);
    let body = &machine.aws().handle_bodies("handle")[0];
    for words in [
        "FAILURE",
        "did not become healthy",
        "status 500",
        &machine.imds().instance_id(),
    ] {
        assert!(body.contains(words), "{words:?} is missing in {body}");
    }
    let output = agent.output();
    assert!(
        !output.contains("Signature="),
        "the handle's URL is nobody's business:\n{output}"
    );
    assert!(agent.running() && is_running(&the_container(&machine)));
    assert_eq!(status_of(&machine)["outcome"]["state"], "degraded");
}

/// `monopod status --json`, whatever it exits with.
fn status_of(machine: &Machine) -> serde_json::Value {
    let output = machine.monopod(binary(), &["status", "--json"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_agent_that_is_killed_leaves_the_result_to_the_next() {
    let machine = Machine::acquire();
    awaited(&machine, "large").serve(&machine);
    machine.registry().line().throttle(1 << 20);
    let agent = run(&machine);
    agent.wait_for_line("image: resolve", BOOT);
    agent.kill9();
    agent.wait_exit(SOON);
    assert!(machine.aws().signals().is_empty(), "the boot goes on");
    machine.registry().line().heal();
    let _agent = run_until_ready(&machine);
    assert_eq!(told(&machine), one("SUCCESS"));
}

#[test]
fn an_agent_that_is_killed_before_the_answer_tells_the_same() {
    let machine = Machine::acquire();
    awaited(&machine, "sleeper").serve(&machine);
    machine
        .aws()
        .faults(&[AwsFault::slow("SignalResource", Duration::from_secs(9)).times(1)]);
    let agent = run(&machine);
    agent.wait_for_line("signal: tell CloudFormation SUCCESS", BOOT);
    agent.kill9();
    agent.wait_exit(SOON);
    let _agent = run_until_ready(&machine);
    assert!(told(&machine).len() <= 1, "{:?}", machine.aws().signals());
    assert!(machine.aws().signals().iter().all(|one| one.status == "SUCCESS"));
    assert!(!machine.aws().signals().is_empty());
}

#[test]
fn one_that_is_stopped_before_the_machine_is_up_has_failed() {
    let machine = Machine::acquire();
    awaited(&machine, "never-healthy").web().serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line("health: wait until", BOOT);
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0, "{}", agent.output());
    assert_eq!(told(&machine), one("FAILURE"));
    assert!(is_running(&the_container(&machine)), "and its container stays");
}

#[test]
fn a_spent_budget_is_told_and_what_may_pass_is_not() {
    let machine = Machine::acquire();
    awaited(&machine, "web")
        .line("boot_timeout: 30s")
        .line("environment: {A: 'aws:ssm:/not/there/yet'}")
        .serve(&machine);
    machine
        .aws()
        .faults(&[AwsFault::error("GetParameter", "InternalServerError").status(500)]);
    machine
        .imds()
        .identity(|identity| identity.pending_time = std::time::SystemTime::now());
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 75, "{}", agent.output());
    assert!(
        agent.output().contains("the boot budget is spent"),
        "{}",
        agent.output()
    );
    assert_eq!(told(&machine), one("FAILURE"));
}

#[test]
fn the_order_is_hook_balancer_signal_ready() {
    let machine = Machine::acquire();
    machine.aws().group(Group::new("shop").launch_hook("ready"));
    machine.imds().target_state(Some("InService"));
    let arn = machine.aws().target_group("shop", Balanced::new().initial(1));
    awaited(&machine, "web")
        .web()
        .line("lifecycle_hooks: {launch: ready}")
        .line(&format!("healthcheck: {{type: elbv2, target_groups: '{arn}'}}"))
        .serve(&machine);
    let agent = run_until_ready(&machine);
    let mut order = calls(&machine);
    order.dedup();
    assert_eq!(
        order,
        [
            "DescribeAutoScalingInstances",
            "CompleteLifecycleAction",
            "DescribeTargetHealth",
            "SignalResource"
        ],
        "{}",
        agent.output()
    );
    assert_eq!(
        machine.aws().wait_for_completion("ready", SOON).result,
        "CONTINUE"
    );
    assert_eq!(told(&machine), one("SUCCESS"));
    let steps: Vec<String> = status_of(&machine)["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            format!(
                "{} {}",
                step["step"].as_str().unwrap(),
                step["state"].as_str().unwrap()
            )
        })
        .collect();
    assert!(
        steps.ends_with(
            &[
                "health done",
                "hook done",
                "balancer done",
                "signal done",
                "ready done"
            ]
            .map(str::to_owned)
        ),
        "{steps:?}"
    );
}

#[test]
fn a_load_balancer_that_speaks_too_early_is_asked_again() {
    let machine = Machine::acquire();
    let arn = machine.aws().target_group("shop", Balanced::new().initial(0));
    machine
        .aws()
        .script_target(&arn, &["healthy", "unhealthy", "healthy", "healthy"]);
    awaited(&machine, "web")
        .web()
        .line(&format!("healthcheck: {{type: elbv2, target_groups: '{arn}'}}"))
        .serve(&machine);
    let _agent = run_until_ready(&machine);
    assert_eq!(machine.aws().target_asks(&arn).len(), 4, "two in a row");
}

#[test]
fn a_load_balancer_that_never_says_so_fails_the_boot() {
    let machine = Machine::acquire();
    machine.aws().classic("shop", Balanced::new().state("unhealthy"));
    awaited(&machine, "web")
        .web()
        .line("healthcheck: {type: elb, loadbalancer_name: shop, timeout: 10s}")
        .serve(&machine);
    let agent = run(&machine);
    let error = wait_degraded(&agent);
    for words in ["the load balancer shop", "unhealthy", "security groups"] {
        assert!(error.contains(words), "{words:?} is missing in {error}");
    }
    assert_eq!(machine.aws().wait_for_signal(SOON).status, "FAILURE");
    assert!(!is_ready(&machine) && agent.running());
}

#[test]
fn a_standby_is_well_behind_one_of_two() {
    for (require, ready) in [("any", true), ("all", false)] {
        let machine = Machine::acquire();
        let leader = machine
            .aws()
            .target_group("leader", Balanced::new().state("unhealthy"));
        let replica = machine.aws().target_group("replica", Balanced::new().initial(0));
        awaited(&machine, "web")
            .web()
            .line(&format!(
                "healthcheck: {{type: elbv2, target_groups: ['{leader}', '{replica}'], require: {require}, timeout: 12s}}"
            ))
            .serve(&machine);
        let agent = run(&machine);
        let signal = machine.aws().wait_for_signal(BOOT);
        assert_eq!(
            signal.status,
            if ready { "SUCCESS" } else { "FAILURE" },
            "{}",
            agent.output()
        );
    }
}

#[test]
fn every_fault_of_cloudformation_is_waited_out() {
    for fault in [
        AwsFault::error("SignalResource", "Throttling").times(1),
        AwsFault::error("SignalResource", "InternalFailure")
            .status(500)
            .times(2),
        AwsFault::nonsense("SignalResource").times(1),
        AwsFault::cut("SignalResource").times(2),
        AwsFault::lost("SignalResource").times(1),
        AwsFault::slow("SignalResource", Duration::from_secs(11)).times(1),
    ] {
        let machine = Machine::acquire();
        awaited(&machine, "sleeper").serve(&machine);
        machine.aws().faults(std::slice::from_ref(&fault));
        let agent = run_until_ready(&machine);
        assert_eq!(told(&machine), one("SUCCESS"), "{fault:?}\n{}", agent.output());
    }
}

#[test]
fn a_stack_that_waits_no_more_is_done_with() {
    let machine = Machine::acquire();
    awaited(&machine, "sleeper").serve(&machine);
    machine.aws().stack_state(STACK, "CREATE_COMPLETE");
    let agent = run_until_ready(&machine);
    agent.wait_for_line("does not wait for a signal any more", SOON);
    let agents_second = {
        agent.kill9();
        agent.wait_exit(SOON);
        machine.reboot();
        run_until_ready(&machine)
    };
    agents_second.wait_for_line("told before", SOON);
}

#[test]
fn a_stack_that_refuses_is_told_of_and_the_machine_is_up() {
    let machine = Machine::acquire();
    awaited(&machine, "sleeper").serve(&machine);
    machine
        .aws()
        .faults(&[AwsFault::error("SignalResource", "AccessDenied").status(403)]);
    let agent = run_until_ready(&machine);
    let line = agent.wait_for_line("the stack was not told SUCCESS", SOON);
    assert!(line.text.contains("sign: role"), "{}", line.text);
}

#[test]
fn the_role_signs_where_it_is_asked_to_and_a_wrong_clock_is_put_right() {
    let machine = Machine::acquire();
    awaited(&machine, "sleeper").serve(&machine);
    UserData::new(&machine, "sleeper")
        .line(&notify(", sign: role"))
        .serve(&machine);
    machine.aws().clock_offset(3600);
    let agent = run_until_ready(&machine);
    assert_eq!(
        told(&machine),
        [("SUCCESS".to_owned(), "role".to_owned())],
        "{}",
        agent.output()
    );
}

#[test]
fn a_slow_boot_asks_the_group_to_wait() {
    let machine = Machine::acquire();
    machine.aws().group(Group::new("shop").launch_hook("ready"));
    machine.imds().target_state(Some("InService"));
    UserData::new(&machine, "large")
        .line("lifecycle_hooks: {launch: ready, group: shop}")
        .serve(&machine);
    machine.registry().line().throttle(1 << 18);
    let agent = run(&machine);
    let heard = monopod_testrig::wait_until(BOOT, || {
        machine
            .aws()
            .heartbeats()
            .into_iter()
            .find(|one| one.refusal.is_none())
    });
    assert!(heard.is_some(), "{}", agent.output());
    machine.registry().line().heal();
    wait_ready(&machine, &agent);
    assert_eq!(
        machine.aws().wait_for_completion("ready", SOON).result,
        "CONTINUE"
    );
}

#[test]
fn a_warm_machine_waits_without_secrets_and_without_its_application() {
    let machine = Machine::acquire();
    machine.aws().group(Group::new("shop").launch_hook("ready"));
    machine.aws().begin_warming();
    machine.imds().target_state(Some("Warmed:Running"));
    UserData::new(&machine, "web")
        .web()
        .line("lifecycle_hooks: {launch: ready, group: shop}")
        .env(&[("A", &machine.aws().encrypt("canary-value"))])
        .serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line("the application starts when the group wants it to", BOOT);
    assert!(machine.containers().is_empty());
    assert_eq!(
        machine.aws().wait_for_completion("ready", SOON).result,
        "CONTINUE"
    );
    assert!(
        !calls(&machine).contains(&"Decrypt".to_owned()),
        "{:?}",
        calls(&machine)
    );
    assert_eq!(status_of(&machine)["outcome"]["state"], "warm");
    machine.aws().begin_launch();
    machine.imds().target_state(Some("InService"));
    wait_ready(&machine, &agent);
    assert!(is_running(&the_container(&machine)));
    let accepted = machine.aws().hook_completions().into_iter();
    assert_eq!(
        accepted.filter(|one| one.refusal.is_none()).count(),
        2,
        "each wait once"
    );
}

#[test]
fn a_machine_that_failed_goes_where_it_is_told_to() {
    let machine = Machine::acquire();
    UserData::new(&machine, "never-healthy")
        .web()
        .line("health_check_timeout_seconds: 3")
        .line("on_boot_failure: poweroff")
        .serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line("the boot failed: app 1.0 did not become healthy", BOOT);
    let order = std::fs::read_to_string(machine.dirs().runtime.join("poweroff")).unwrap();
    assert!(order.contains("did not become healthy"), "{order}");
    drop(agent);

    let machine = Machine::acquire();
    machine.aws().group(Group::new("shop").in_grace_period());
    UserData::new(&machine, "never-healthy")
        .web()
        .line("health_check_timeout_seconds: 3")
        .line("on_boot_failure: replace")
        .serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line("was asked to replace this machine", BOOT);
    let reports = machine.aws().health_reports();
    assert_eq!(reports.len(), 1);
    assert!(!reports[0].respects_grace, "its grace is over");
}

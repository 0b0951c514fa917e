//! How a machine leaves: for its group, for EC2, for somebody who asks, and for its own shutdown.

use std::process::Output;
use std::time::{Duration, SystemTime};

use monopod_testrig::{Agent, AwsFault, Balanced, Group, Machine, Signal, wait_until};

use crate::common::*;

/// A drain whose container ends when it is told to.
const DRAIN: Duration = Duration::from_secs(90);

/// A machine of a group that waits for it, behind a target group.
fn in_service(machine: &Machine, balanced: Balanced, more: &[&str]) -> (Agent, String) {
    machine.aws().group(Group::new("shop").terminate_hook("bye"));
    machine.imds().target_state(Some("InService"));
    let arn = machine.aws().target_group("shop", balanced.initial(0));
    let mut data = UserData::new(machine, "sleeper")
        .line("lifecycle_hooks: {terminate: bye, group: shop}")
        .line(&format!(
            "healthcheck: {{type: elbv2, target_groups: '{arn}', healthy_threshold: 1}}"
        ));
    for line in more {
        data = data.line(line);
    }
    data.serve(machine);
    (run_until_ready(machine), arn)
}

fn alone(machine: &Machine) -> Agent {
    UserData::new(machine, "sleeper").serve(machine);
    run_until_ready(machine)
}

/// The group takes the machine out of service.
fn terminate(machine: &Machine) {
    machine.aws().begin_termination();
    machine.imds().target_state(Some("Terminated"));
}

fn drain(machine: &Machine, more: &[&str]) -> Output {
    let syslog = machine.dirs().syslog.display().to_string();
    let mut args = vec!["drain", "--syslog-socket", &syslog];
    args.extend(more);
    machine.monopod(binary(), &args).output().unwrap()
}

fn wait_drained(agent: &Agent) {
    agent.wait_for_line("the container is stopped, and the machine can go", DRAIN);
}

fn wait_stopped(machine: &Machine) {
    let stopped = wait_until(DRAIN, || (!is_running(&the_container(machine))).then_some(()));
    assert!(stopped.is_some(), "the container still runs");
}

/// The hook's completions that counted, and those that did not.
fn completions(machine: &Machine) -> (usize, usize) {
    let all = machine.aws().hook_completions();
    let accepted = all.iter().filter(|one| one.refusal.is_none()).count();
    (accepted, all.len() - accepted)
}

#[test]
fn the_group_waits_until_all_is_over() {
    let machine = Machine::acquire();
    let (agent, arn) = in_service(&machine, Balanced::new().draining(2), &[]);
    terminate(&machine);
    let done = machine.aws().wait_for_completion("bye", DRAIN);
    assert_eq!((done.result.as_str(), done.refusal), ("CONTINUE", None));
    assert_eq!(done.group, "shop");
    let container = the_container(&machine);
    assert!(!is_running(&container));
    assert_eq!(container["State"]["ExitCode"], 0, "it was told, not killed");
    // That it is in the group no more is read from the group's whole list.
    assert_eq!(machine.aws().target_asks(&arn).last().unwrap(), "draining");
    wait_drained(&agent);
    let said = agent.output();
    let mut rest = said.as_str();
    for part in [
        "the Auto Scaling group takes this machine out of service",
        "out of the load balancers",
        "has no use for this machine any more",
        "the container gets its stop signal",
        "the last lines go out",
        "the group was told",
        "the machine can go",
    ] {
        let (_, after) = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("no {part:?} in its place:\n{said}"));
        rest = after;
    }
    assert_eq!(completions(&machine), (1, 0));
    // Nor by an agent after this one.
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0);
    let again = run(&machine);
    wait_drained(&again);
    assert!(!is_running(&the_container(&machine)));
    assert_eq!(completions(&machine), (1, 0));
    assert!(again.running());
}

#[test]
fn a_group_is_kept_waiting_by_heartbeats() {
    let machine = Machine::acquire();
    let (agent, arn) = in_service(&machine, Balanced::new().draining_until_told(), &[]);
    terminate(&machine);
    let beat = wait_until(DRAIN, || machine.aws().heartbeats().into_iter().next());
    assert_eq!(beat.expect("there is one").hook, "bye");
    assert!(is_running(&the_container(&machine)), "it still serves");
    assert_eq!(completions(&machine), (0, 0));
    machine.aws().set_target(&arn, "unused");
    wait_drained(&agent);
    assert_eq!(completions(&machine), (1, 0));
}

#[test]
fn a_spot_notice_has_its_time() {
    let machine = Machine::acquire();
    let deaf = ["environment: {DEAF: \"1\"}"];
    let (agent, _arn) = in_service(&machine, Balanced::new().draining_until_told(), &deaf);
    let gone = SystemTime::now() + Duration::from_secs(40);
    machine.imds().spot("terminate", gone);
    agent.wait_for_line("EC2 takes this spot instance back", SOON);
    agent.wait_for_line("still has this machine, and is not waited for any more", DRAIN);
    agent.wait_for_line("gets SIGKILL", DRAIN);
    wait_drained(&agent);
    assert!(SystemTime::now() < gone, "too late:\n{}", agent.output());
    assert_eq!(the_container(&machine)["State"]["ExitCode"], 137);
    assert_eq!(completions(&machine), (0, 0), "the group waits for nothing");
}

#[test]
fn somebody_asks_and_follows() {
    let machine = Machine::acquire();
    let agent = alone(&machine);
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| drain(&machine, &[]));
        let other = scope.spawn(|| drain(&machine, &[]));
        (one.join().unwrap(), other.join().unwrap())
    });
    for output in [one, other] {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(
            said.contains("stop: the container gets its stop signal"),
            "{said}"
        );
    }
    wait_drained(&agent);
    assert!(!is_running(&the_container(&machine)));
    assert!(agent.running(), "the agent stays");
    assert_eq!(agent.output().matches("gets its stop signal").count(), 1);
}

#[test]
fn who_does_not_want_to_wait_is_told_how_far_it_is() {
    let machine = Machine::acquire();
    let (agent, arn) = in_service(&machine, Balanced::new().draining_until_told(), &[]);
    let output = drain(&machine, &["--timeout", "2s"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("out of the load balancers"), "{said}");
    machine.aws().set_target(&arn, "unused");
    wait_drained(&agent);
}

#[test]
fn without_an_agent_the_command_does_it() {
    let machine = Machine::acquire();
    let output = drain(&machine, &[]);
    assert_eq!(output.status.code(), Some(1), "nothing was here");
    // The kernel goes on when a machine of the rig reboots, so a job that ended with 0 would be done.
    let (agent, arn) = in_service(&machine, Balanced::new(), &["restart: always"]);
    agent.kill9();
    let output = drain(&machine, &["--cause", "poweroff", "--timeout", "60s"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!is_running(&the_container(&machine)));
    assert!(!machine.aws().registrations(&arn).last().unwrap().registered);
    // It is not started again before the machine is.
    let agent = run(&machine);
    wait_drained(&agent);
    assert!(!is_running(&the_container(&machine)));
    agent.kill9();
    machine.reboot();
    let agent = run_until_ready(&machine);
    assert!(is_running(&the_container(&machine)), "{}", agent.output());
    assert!(machine.aws().registrations(&arn).last().unwrap().registered);
}

#[test]
fn two_causes_at_once_are_one_drain() {
    let machine = Machine::acquire();
    let (agent, _arn) = in_service(&machine, Balanced::new(), &[]);
    terminate(&machine);
    machine
        .imds()
        .spot("terminate", SystemTime::now() + Duration::from_secs(120));
    let output = drain(&machine, &["--timeout", "80s"]);
    assert_eq!(output.status.code(), Some(0));
    let done = machine.aws().wait_for_completion("bye", DRAIN);
    assert_eq!(done.result, "CONTINUE");
    wait_drained(&agent);
    assert_eq!(completions(&machine).0, 1);
    assert_eq!(agent.output().matches("gets its stop signal").count(), 1);
}

#[test]
fn an_agent_that_is_killed_in_the_middle_goes_on() {
    let machine = Machine::acquire();
    let (agent, arn) = in_service(&machine, Balanced::new().draining_until_told(), &[]);
    terminate(&machine);
    agent.wait_for_line("out of the load balancers", SOON);
    agent.kill9();
    machine.imds().down();
    let agent = run(&machine);
    agent.wait_for_line("out of the load balancers", SOON);
    assert!(is_running(&the_container(&machine)));
    machine.aws().set_target(&arn, "unused");
    wait_drained(&agent);
    assert!(!is_running(&the_container(&machine)));
    assert_eq!(completions(&machine), (1, 0));
}

#[test]
fn a_restart_of_the_agent_touches_nothing() {
    let machine = Machine::acquire();
    let agent = alone(&machine);
    let before = the_container(&machine)["State"]["StartedAt"].clone();
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0);
    let _agent = run_until_ready(&machine);
    let container = the_container(&machine);
    assert!(is_running(&container));
    assert_eq!(container["State"]["StartedAt"], before);
}

#[test]
fn aws_that_answers_nothing_does_not_hold_it_up() {
    let machine = Machine::acquire();
    let (agent, _arn) = in_service(&machine, Balanced::new(), &[]);
    let hangs = [
        "DeregisterTargets",
        "DescribeTargetHealth",
        "CompleteLifecycleAction",
        "RecordLifecycleActionHeartbeat",
    ]
    .map(|op| AwsFault::slow(op, Duration::from_secs(600)));
    machine.aws().faults(&hangs);
    machine.imds().target_state(Some("Terminated"));
    agent.wait_for_line("the Auto Scaling group takes this machine out", SOON);
    machine.imds().down();
    let output = drain(&machine, &["--cause", "poweroff", "--timeout", "50s"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!is_running(&the_container(&machine)));
    assert!(said.contains("could not be told"), "{said}");
}

#[test]
fn a_recommendation_to_leave_is_told_or_followed() {
    for (line, leaves) in [("on_rebalance: ignore", false), ("on_rebalance: drain", true)] {
        let machine = Machine::acquire();
        UserData::new(&machine, "sleeper").line(line).serve(&machine);
        let agent = run_until_ready(&machine);
        machine.imds().rebalance(SystemTime::now());
        agent.wait_for_line("EC2 recommends to leave", SOON);
        if leaves {
            wait_stopped(&machine);
        } else {
            machine.imds().target_state(Some("Standby"));
            let asked = machine.imds().calls().len();
            let again = wait_until(SOON, || (machine.imds().calls().len() > asked + 6).then_some(()));
            assert!(again.is_some());
            assert!(is_running(&the_container(&machine)));
        }
    }
}

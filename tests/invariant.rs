//! Exactly one container, the right one: after a kill -9 anywhere, beside a second agent, over a reboot.

use std::time::Duration;

use monopod_testrig::{AwsFault, Machine, Signal, wait_until};

use crate::common::*;

fn secret_web(machine: &Machine) -> UserData {
    UserData::new(machine, "web")
        .web()
        .env(&[("A", &machine.aws().encrypt("canary-invariant"))])
}

/// Kills the agent after its nth line of output, for every n until it is ready, and starts it again each time.
#[test]
fn a_kill_between_any_two_steps() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    let mut kills = 0;
    for nth in 1.. {
        drop(machine.docker(&["rm", "-f", CONTAINER]));
        std::fs::remove_dir_all(&machine.dirs().runtime).unwrap();
        machine.notify().clear();
        let killed = run(&machine);
        let reached = killed.lines().wait_for(BOOT, |lines| {
            let done = lines.iter().any(|line| line.text.contains("INFO  ready: "));
            (lines.len() >= nth || done).then_some(done && lines.len() < nth)
        });
        if reached.expect("it prints or gets ready") {
            break;
        }
        killed.kill9();
        kills += 1;
        let before = machine.inspect(CONTAINER).filter(is_running);

        let agent = run_until_ready(&machine);
        let after = the_container(&machine);
        assert!(is_running(&after), "after a kill at line {nth}");
        if let Some(before) = before {
            assert_eq!(
                before["Id"], after["Id"],
                "it ran when the agent was killed at line {nth}"
            );
            assert_eq!(before["State"]["StartedAt"], after["State"]["StartedAt"]);
        }
        drop(agent);
    }
    assert!(kills >= 12, "only {kills} lines to be killed at");
}

#[test]
fn a_half_made_container_is_made_anew() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    let agent = run_until_ready(&machine);
    let first = the_container(&machine);
    agent.kill9();
    // As an agent leaves it that died between create and start: right label, never started.
    let labels = first["Config"]["Labels"].as_object().unwrap();
    machine.docker_ok(&["rm", "-f", CONTAINER]);
    let mut args = vec!["create".to_owned(), "--name".into(), CONTAINER.into()];
    args.extend(
        labels
            .iter()
            .map(|(key, value)| format!("--label={key}={}", value.as_str().unwrap())),
    );
    args.push(first["Config"]["Image"].as_str().unwrap().to_owned());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let half = machine.docker_ok(&args);
    let _agent = run_until_ready(&machine);
    assert_ne!(container_id(&machine), half);
    assert!(is_running(&the_container(&machine)));
}

#[test]
fn two_agents_at_once() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    let agents = [run(&machine), run(&machine)];
    let loser = wait_until(BOOT, || agents.iter().position(|agent| !agent.running())).expect("one gives way");
    assert_eq!(agents[loser].wait_exit(SOON), 75);
    assert!(
        error_line(&agents[loser]).contains(&format!("another monopod (pid {})", agents[1 - loser].pid()))
    );
    wait_ready(&machine, &agents[1 - loser]);
    assert!(is_running(&the_container(&machine)));
    assert_eq!(status(&machine)["agent_pid"], agents[1 - loser].pid());
}

#[test]
fn a_restarted_agent_needs_no_network() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    let agent = run_until_ready(&machine);
    let before = container_id(&machine);
    agent.kill9();
    machine.imds().down();
    machine.aws().line().down();
    machine.registry().line().down();
    let _agent = run_until_ready(&machine);
    assert_eq!(container_id(&machine), before);
}

#[test]
fn a_reboot_while_registry_and_kms_are_down() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    drop(run_until_ready(&machine));
    let before = container_id(&machine);
    let decrypted = machine.aws().decrypt_calls();
    machine.registry().line().down();
    machine.aws().line().down();
    machine.reboot();
    assert!(!is_running(&the_container(&machine)));
    let _agent = run_until_ready(&machine);
    assert_eq!(container_id(&machine), before);
    assert!(is_running(&the_container(&machine)));
    assert_eq!(machine.aws().decrypt_calls(), decrypted);
}

#[test]
fn changed_user_data_replaces_at_the_next_boot() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    drop(run_until_ready(&machine));
    let before = container_id(&machine);
    UserData::new(&machine, "web")
        .web()
        .env(&[("A", "changed")])
        .serve(&machine);
    machine.reboot();
    let _agent = run_until_ready(&machine);
    assert_ne!(container_id(&machine), before);
    assert!(
        the_container(&machine)["Config"]["Env"]
            .to_string()
            .contains("A=changed")
    );
}

#[test]
fn a_stranger_with_our_name_is_left_alone_and_named() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    drop(run_until_ready(&machine));
    let image = the_container(&machine)["Config"]["Image"]
        .as_str()
        .unwrap()
        .to_owned();
    machine.docker_ok(&["rm", "-f", CONTAINER]);
    let stranger = machine.docker_ok(&["run", "-d", "--name", CONTAINER, &image]);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    assert!(error_line(&agent).contains("that monopod did not make"));
    assert_eq!(container_id(&machine), stranger);
}

#[test]
fn a_torn_hint_is_as_good_as_none() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    run_until_ready(&machine).kill9();
    let before = container_id(&machine);
    for torn in ["", "{\"schema\":1,\"boot", "{\"schema\":99}", "\u{0}\u{0}\u{0}"] {
        std::fs::write(machine.dirs().runtime.join("hint.json"), torn).unwrap();
        let agent = run_until_ready(&machine);
        assert_eq!(container_id(&machine), before, "after {torn:?}");
        agent.kill9();
    }
}

#[test]
fn an_agent_killed_while_it_retries_goes_on() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    machine
        .aws()
        .faults(&[AwsFault::error("Decrypt", "ThrottlingException")]);
    let agent = run(&machine);
    agent.wait_for_line("ThrottlingException", BOOT);
    agent.signal(Signal::SIGKILL);
    agent.wait_exit(SOON);
    machine.aws().faults(&[]);
    let _agent = run_until_ready(&machine);
    assert!(is_running(&the_container(&machine)));
}

/// An instance launched twenty minutes ago: CloudFormation has given up, and the agent has its least time left.
#[test]
fn a_budget_that_is_spent_exits_75_and_the_next_start_goes_on() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    machine
        .imds()
        .identity(|identity| identity.pending_time -= Duration::from_secs(20 * 60));
    machine
        .aws()
        .faults(&[AwsFault::error("Decrypt", "ThrottlingException")]);
    let agent = run(&machine);
    assert_eq!(
        agent.wait_exit(Duration::from_secs(180)),
        75,
        "{}",
        agent.output()
    );
    let error = error_line(&agent);
    assert!(
        error.contains("the boot budget is spent, and secrets still fails"),
        "{error}"
    );
    assert!(error.contains("ThrottlingException"), "{error}");
    assert!(machine.containers().is_empty());
    machine.aws().faults(&[]);
    let _agent = run_until_ready(&machine);
}

/// Another agent, or one whose answer was lost, made a container of ours while this one decrypted.
#[test]
fn a_name_taken_meanwhile_is_looked_at_again() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    let first = run_until_ready(&machine);
    let container = the_container(&machine);
    let image = container["Config"]["Image"].as_str().unwrap().to_owned();
    let label = format!(
        "--label=org.monopod.spec={}",
        container["Config"]["Labels"]["org.monopod.spec"]
            .as_str()
            .unwrap()
    );
    first.kill9();
    machine.docker_ok(&["rm", "-f", CONTAINER]);
    machine
        .aws()
        .faults(&[AwsFault::slow("Decrypt", Duration::from_secs(2)).times(1)]);
    machine.notify().clear();
    let agent = run(&machine);
    agent.wait_for_line("secrets: decrypt", BOOT);
    let half_made = machine.docker_ok(&["create", "--name", CONTAINER, &label, &image]);
    wait_ready(&machine, &agent);
    assert!(
        agent.output().contains("looking at everything again"),
        "{}",
        agent.output()
    );
    assert_ne!(container_id(&machine), half_made);
}

#[test]
fn a_copy_for_debugging_is_left_alone_and_not_taken_for_ours() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    run_until_ready(&machine).kill9();
    let real = container_id(&machine);
    // The copy has all our labels: docker commit puts them into the image.
    machine.docker_ok(&["commit", CONTAINER, "copy"]);
    let copy = machine.docker_ok(&["run", "-d", "--name", "debug", "copy"]);
    std::fs::remove_file(machine.dirs().runtime.join("hint.json")).unwrap();
    let agent = run_until_ready(&machine);
    assert!(agent.output().contains("left alone"), "{}", agent.output());
    assert_eq!(machine.inspect(CONTAINER).unwrap()["Id"], real.as_str());
    assert!(is_running(&machine.inspect(CONTAINER).unwrap()) && is_running(&machine.inspect(&copy).unwrap()));
}

#[test]
fn an_agent_of_another_version_takes_over_without_network() {
    let machine = Machine::acquire();
    secret_web(&machine).serve(&machine);
    run_until_ready(&machine).kill9();
    let hint = machine.dirs().runtime.join("hint.json");
    let old = std::fs::read_to_string(&hint)
        .unwrap()
        .replace(env!("CARGO_PKG_VERSION"), "0.0.1-older");
    std::fs::write(&hint, old).unwrap();
    machine.imds().down();
    let agent = run_until_ready(&machine);
    assert!(
        agent.output().contains("known since an earlier start"),
        "{}",
        agent.output()
    );
}

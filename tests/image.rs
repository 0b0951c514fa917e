//! The registry down, refusing, without the image, or cutting the line.

use monopod_testrig::Machine;

use crate::common::*;

#[test]
fn an_unknown_image_is_final() {
    let machine = Machine::acquire();
    UserData::of(&machine, "127.0.0.1:5000/test/no-such-image:1").serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    let error = error_line(&agent);
    assert!(
        error.contains("no-such-image") && error.contains("check `source`"),
        "{error}"
    );
}

#[test]
fn a_wrong_password_is_final_and_not_shown() {
    let machine = Machine::acquire();
    let right = machine.registry().dockercfg().to_string();
    let wrong = machine.registry().wrong_dockercfg().to_string();
    machine.set_user_data(&UserData::new(&machine, "web").text().replace(&right, &wrong));
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    let error = error_line(&agent);
    assert!(
        error.contains("refused") && error.contains("dockercfg"),
        "{error}"
    );
    assert!(!everything_told(&machine, &agent).contains("canary-wrong-password"));
}

#[test]
fn no_password_is_final() {
    let machine = Machine::acquire();
    let right = machine.registry().dockercfg().to_string();
    machine.set_user_data(&UserData::new(&machine, "web").text().replace(&right, "{}"));
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    assert!(error_line(&agent).contains("dockercfg"));
}

#[test]
fn a_registry_that_is_down_and_comes_up() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    machine.registry().line().down();
    let agent = run(&machine);
    agent.wait_for_line("trying again", BOOT);
    assert!(!is_ready(&machine));
    machine.registry().line().up();
    wait_ready(&machine, &agent);
    assert!(
        status(&machine)["steps"]
            .as_array()
            .unwrap()
            .iter()
            .any(|step| step["step"] == "image" && step["retries"].as_u64() > Some(0))
    );
}

#[test]
fn a_line_cut_in_the_middle_of_a_pull() {
    let machine = Machine::acquire();
    UserData::new(&machine, "large").web().serve(&machine);
    machine.registry().line().cut_after(3 << 20, 2);
    let _agent = run_until_ready(&machine);
    assert_eq!(machine.registry().line().cuts_left(), 0);
}

#[test]
fn an_image_that_is_here_by_digest_needs_no_registry() {
    let machine = Machine::acquire();
    let image = machine.registry().image("web");
    let pinned = format!(
        "{}@{}",
        image.rsplit_once(':').unwrap().0,
        machine.registry().digest("web")
    );
    UserData::of(&machine, &pinned).web().serve(&machine);
    let agent = run_until_ready(&machine);
    agent.signal(monopod_testrig::Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0);
    machine.docker_ok(&["rm", "-f", CONTAINER]);
    machine.registry().line().down();
    let again = run_until_ready(&machine);
    assert!(again.output().contains("was here already"));
}

#[test]
fn a_long_pull_says_how_far_it_is() {
    let machine = Machine::acquire();
    UserData::new(&machine, "large").web().serve(&machine);
    machine.registry().line().throttle(600 << 10);
    let agent = run(&machine);
    agent.wait_for_line("layers unpacked", BOOT);
    wait_ready(&machine, &agent);
}

//! What the machine's image brings: defaults below the user data, and a policy above it.

use std::fs;

use monopod_testrig::Machine;

use crate::common::*;

/// Writes one of the image's files.
fn image_file(machine: &Machine, name: &str, text: &str) {
    let path = machine.dirs().configuration.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_container_is_made_of_the_image_s_defaults_and_the_user_data() {
    let machine = Machine::acquire();
    image_file(
        &machine,
        "defaults.yaml",
        "hostname: from-image\nenvironment: {LOG_LEVEL: info, REGION: eu}\n",
    );
    image_file(&machine, "defaults.d/10-team.yaml", "memory: 64m\n");
    UserData::new(&machine, "sleeper")
        .line("environment: {LOG_LEVEL: debug}")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    let container = the_container(&machine);
    assert_eq!(container["Config"]["Hostname"], "from-image");
    assert_eq!(container["HostConfig"]["Memory"], 64 << 20);
    let environment = container["Config"]["Env"].to_string();
    assert!(
        environment.contains("LOG_LEVEL=debug") && environment.contains("REGION=eu"),
        "{environment}"
    );
    assert!(
        agent.output().contains("defaults.d/10-team.yaml"),
        "{}",
        agent.output()
    );
}

#[test]
fn a_changed_default_is_a_changed_container() {
    let machine = Machine::acquire();
    UserData::new(&machine, "sleeper").serve(&machine);
    let agent = run_until_ready(&machine);
    let first = the_container(&machine)["Id"].clone();
    agent.kill9();
    image_file(&machine, "defaults.yaml", "hostname: new\n");
    machine.reboot();
    let _agent = run_until_ready(&machine);
    let second = the_container(&machine);
    assert_ne!(second["Id"], first);
    assert_eq!(second["Config"]["Hostname"], "new");
}

#[test]
fn the_policy_s_refusal_names_rule_and_file_and_nothing_is_touched() {
    let machine = Machine::acquire();
    image_file(
        &machine,
        "policy.yaml",
        "# ours\nallow:\n  root: false\nlocked: [hostname]\n",
    );
    UserData::new(&machine, "sleeper")
        .line("root: true")
        .line("hostname: mine")
        .serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    let error = error_line(&agent);
    for word in ["MP0401", "MP0402", "policy.yaml:3", "policy.yaml:4", "allow.root"] {
        assert!(error.contains(word), "{word} is missing in {error}");
    }
    assert!(machine.containers().is_empty());
}

#[test]
fn a_file_that_cannot_be_read_ends_the_boot_for_good() {
    let machine = Machine::acquire();
    fs::create_dir_all(machine.dirs().configuration.join("policy.yaml")).unwrap();
    UserData::new(&machine, "sleeper").serve(&machine);
    let (code, agent) = run_to_end(&machine);
    let error = error_line(&agent);
    assert_eq!(code, 78, "{error}");
    assert!(
        error.contains("policy.yaml") && error.contains("mend it"),
        "{error}"
    );
    assert!(machine.containers().is_empty());
}

#[test]
fn a_policy_that_cannot_be_read_is_no_missing_policy() {
    for text in ["allow: {roots: false}", "allow: [", "unknown_keys: 7"] {
        let machine = Machine::acquire();
        image_file(&machine, "policy.yaml", text);
        UserData::new(&machine, "sleeper").serve(&machine);
        let (code, agent) = run_to_end(&machine);
        assert_eq!(code, 78, "{text}: {}", agent.output());
        assert!(
            error_line(&agent).contains("policy.yaml:1"),
            "{}",
            error_line(&agent)
        );
        assert!(machine.containers().is_empty());
    }
}

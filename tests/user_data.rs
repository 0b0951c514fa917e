//! User data that can't be used: final, explained at its place, and nothing is touched.

use monopod_testrig::Machine;

use crate::common::*;

/// Exit 78, one ERROR line, no container, and the words that help.
fn refused(user_data: &[u8], words: &[&str]) {
    let machine = Machine::acquire();
    machine.imds().set_user_data(user_data);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    let error = error_line(&agent);
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in {error}");
    }
    assert!(machine.containers().is_empty());
    assert!(!is_ready(&machine));
    assert_eq!(machine.aws().decrypt_calls(), 0);
    let shown = status(&machine);
    assert_eq!(shown["outcome"]["state"], "failed");
    assert_eq!(shown["outcome"]["exit_code"], 78);
    assert_eq!(shown["agent_running"], false);
    assert!(
        machine
            .notify()
            .lines()
            .iter()
            .any(|line| line.starts_with("STATUS=FAILED"))
    );
}

#[test]
fn empty() {
    refused(b"", &["user data", "#taupage-ami-config"]);
}

#[test]
fn none_at_all() {
    let machine = Machine::acquire();
    machine.imds().clear_user_data();
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    assert!(error_line(&agent).contains("has no user data"));
}

#[test]
fn wrong_header() {
    refused(
        b"#cloud-config\npackages: [nginx]\n",
        &["#taupage-ami-config", "1:1"],
    );
}

#[test]
fn not_a_map() {
    refused(b"#taupage-ami-config\n- a\n- b\n", &["user data:2:1"]);
}

#[test]
fn tab_indented() {
    refused(
        b"#taupage-ami-config\nenvironment:\n\tA: b\n",
        &["user data:3:", "tab"],
    );
}

#[test]
fn truncated() {
    refused(
        b"#taupage-ami-config\napplication_id: app\nenvironment: {A: \"b",
        &["user data:"],
    );
}

#[test]
fn sixteen_kilobytes_of_garbage() {
    let mut garbage = b"#taupage-ami-config\n".to_vec();
    let mut state = 1u32;
    while garbage.len() < 16 * 1024 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        garbage.push((state >> 24) as u8);
    }
    refused(&garbage, &["user data"]);
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let text = "#taupage-ami-config\napplication_id: Bad_Id\napplication_version: \"1\"\nruntime: Docker\nsource: app:latest\nports: {80: 99999}\nmounts: {/data: {partition: /dev/xvdf, erase_on_boot: 'false'}}\n";
    refused(
        text.as_bytes(),
        &[
            "user data:2:",
            "user data:5:",
            "user data:6:",
            "user data:7:",
            "erase_on_boot",
        ],
    );
}

#[test]
fn a_typo_is_a_warning_with_the_nearest_key_and_the_boot_goes_on() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .line("heath_check_port: 8080")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    let warning = agent.output();
    let warning = warning
        .lines()
        .find(|line| line.contains("heath_check_port"))
        .expect("it is reported");
    assert!(
        warning.contains("WARN") && warning.contains("health_check_port"),
        "{warning}"
    );
}

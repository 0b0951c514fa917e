//! Mirrors: asked first, with their own logins, and passed over when they have nothing.

use monopod_testrig::{Image, MIRROR, Machine, REGISTRY};

use super::{SCRIPT, assert_runs};
use crate::common::*;

fn with_mirrors(machine: &Machine, source: &str, mirrors: &str, logins: &[(&str, serde_json::Value)]) {
    let mut text = UserData::of(machine, source)
        .line(&format!("registry_mirrors: {{\"{REGISTRY}\": [{mirrors}]}}"))
        .text()
        .to_owned();
    let mut all = machine.registry().dockercfg();
    for (host, login) in logins {
        all[*host] = login.clone();
    }
    text = text.replace(&machine.registry().dockercfg().to_string(), &all.to_string());
    machine.set_user_data(&text);
}

fn own_login(machine: &Machine) -> (&'static str, serde_json::Value) {
    (MIRROR, machine.mirror().dockercfg()[MIRROR].clone())
}

#[test]
fn a_mirror_that_has_the_image_is_enough() {
    let machine = Machine::acquire();
    let image = || Image::new("mirrored", SCRIPT);
    let source = machine.registry().push(&image());
    let _there = machine.mirror().push(&image().below("cache"));
    let digest = machine.registry().digest(&source);
    with_mirrors(
        &machine,
        &source,
        &format!("\"{MIRROR}/cache\""),
        &[own_login(&machine)],
    );
    machine.registry().line().down();
    let agent = run_until_ready(&machine);
    assert_runs(&machine, &digest);
    let container = the_container(&machine);
    let runs = container["Config"]["Image"].as_str().unwrap();
    assert_eq!(runs, format!("{MIRROR}/cache/test/mirrored@{digest}"));
    assert_eq!(
        container["Config"]["Labels"]["org.monopod.source"],
        source.as_str()
    );
    assert_eq!(status(&machine)["container"]["image"], source.as_str());
    assert!(
        agent
            .output()
            .contains(&format!("from the mirror {MIRROR}/cache")),
        "{}",
        agent.output()
    );
    // Mirrors are no part of what the container is.
    let before = container_id(&machine);
    agent.signal(monopod_testrig::Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0);
    UserData::of(&machine, &source).serve(&machine);
    machine.reboot();
    let _again = run_until_ready(&machine);
    assert_eq!(container_id(&machine), before);
}

#[test]
fn the_registrys_login_goes_to_no_mirror() {
    let machine = Machine::acquire();
    let image = || Image::new("mirrored-login", SCRIPT);
    let source = machine.registry().push(&image());
    // It would take that login.
    let _there = machine.mirror().push(&image());
    with_mirrors(&machine, &source, &format!("\"{MIRROR}\""), &[]);
    let agent = run_until_ready(&machine);
    let output = agent.output();
    assert!(
        output.contains(&format!("the mirror {MIRROR} is passed over")),
        "{output}"
    );
    let runs = the_container(&machine)["Config"]["Image"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        runs.starts_with(&format!("{REGISTRY}/test/mirrored-login@")),
        "{runs}"
    );
}

#[test]
fn mirrors_that_are_down_or_have_nothing_are_told_and_passed_over() {
    let machine = Machine::acquire();
    let source = machine.registry().push(&Image::new("mirrored-nowhere", SCRIPT));
    let mirrors = format!("\"127.0.0.1:5009\", \"{MIRROR}/empty\"");
    with_mirrors(&machine, &source, &mirrors, &[own_login(&machine)]);
    let agent = run_until_ready(&machine);
    let output = agent.output();
    for mirror in ["127.0.0.1:5009", &format!("{MIRROR}/empty")] {
        assert!(
            output.contains(&format!("the mirror {mirror} is passed over")),
            "{output}"
        );
    }
    let runs = the_container(&machine)["Config"]["Image"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        runs.starts_with(&format!("{REGISTRY}/test/mirrored-nowhere@")),
        "{runs}"
    );
}

#[test]
fn a_mirror_cannot_put_another_image_in_the_place_of_a_digest() {
    let machine = Machine::acquire();
    let source = machine.registry().push(&Image::new("mirrored-other", SCRIPT));
    let _other = machine
        .mirror()
        .push(&Image::new("mirrored-other", "echo another\n"));
    let digest = machine.registry().digest(&source);
    let pinned = format!("{}@{digest}", source.rsplit_once(':').unwrap().0);
    with_mirrors(
        &machine,
        &pinned,
        &format!("\"{MIRROR}\""),
        &[own_login(&machine)],
    );
    let _agent = run_until_ready(&machine);
    assert_runs(&machine, &digest);
    let runs = the_container(&machine)["Config"]["Image"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(runs.starts_with(REGISTRY), "{runs}");
}

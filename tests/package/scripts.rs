//! What the package's scripts do to a machine: one that is a directory, with stand-ins for the programs that would change
//! this one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Directory, run, unpacked};
use crate::common::repository;

/// Runs a script of the package as dpkg does, on a machine that is this directory.
fn maintain(directory: &Directory, script: &str, arguments: &[&str]) -> String {
    let machine = directory.join("machine");
    let mut text = fs::read_to_string(directory.join("root/DEBIAN").join(script)).unwrap();
    for place in ["/var/", "/run/", "/etc/", "/usr/share/", "/mounts"] {
        text = text.replace(place, &format!("{}{place}", machine.display()));
    }
    for name in [
        "deb-systemd-helper",
        "systemd-sysusers",
        "systemd-tmpfiles",
        "systemctl",
        "pam-auth-update",
        "chgrp",
        "monopod",
    ] {
        let program = directory.program(&format!("helpers/{name}"));
        let calls = directory.join("calls");
        let text = format!("#!/bin/sh\necho \"{name} $*\" >>{}\n", calls.display());
        fs::write(program, text).unwrap();
    }
    let helpers = directory.join("helpers");
    run(Command::new("sh")
        .args(["-c", &text, script])
        .args(arguments)
        .env("PATH", format!("{}:/usr/bin:/bin", helpers.display())))
}

/// A machine with the package on it, the version that is built here.
fn installed(directory: &Directory) -> PathBuf {
    let share = unpacked(directory).join("usr/share/monopod/daemon.json");
    let machine = directory.join("machine");
    fs::create_dir_all(machine.join("usr/share/monopod")).unwrap();
    fs::copy(share, machine.join("usr/share/monopod/daemon.json")).unwrap();
    maintain(directory, "postinst", &["configure"]);
    machine
}

#[test]
fn the_engines_file_follows_an_upgrade_until_somebody_changes_it() {
    let directory = Directory::new();
    let machine = installed(&directory);
    let engine = machine.join("etc/docker/daemon.json");
    let ours = machine.join("usr/share/monopod/daemon.json");
    assert_eq!(fs::read(&engine).unwrap(), fs::read(&ours).unwrap());
    for newer in ["{\"debug\": false}\n", "{}\n"] {
        fs::write(&ours, newer).unwrap();
        maintain(&directory, "postinst", &["configure", "0.1.0"]);
        assert_eq!(fs::read_to_string(&engine).unwrap(), newer);
    }
    fs::write(&engine, "{\"debug\": true}\n").unwrap();
    let said = maintain(&directory, "postinst", &["configure", "0.1.0"]);
    assert!(said.contains("is yours and stays"), "{said}");
    assert_eq!(fs::read_to_string(&engine).unwrap(), "{\"debug\": true}\n");
}

#[test]
fn a_purge_leaves_the_engines_file_to_its_containers() {
    let directory = Directory::new();
    let machine = installed(&directory);
    let engine = machine.join("etc/docker/daemon.json");
    let container = machine.join("var/lib/docker/containers/0123456789ab");
    fs::create_dir_all(&container).unwrap();
    let said = maintain(&directory, "postrm", &["purge"]);
    assert!(said.contains("stays, as the engine has containers"), "{said}");
    assert!(engine.exists());

    fs::remove_dir(&container).unwrap();
    maintain(&directory, "postrm", &["purge"]);
    assert!(!engine.exists());
}

#[test]
fn a_purge_takes_what_the_agent_has_written_and_no_more() {
    let directory = Directory::new();
    let machine = installed(&directory);
    let write = |name: &str| {
        let path = machine.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "Port 2222\n").unwrap();
    };
    let written = [
        "etc/ssh/sshd_config.d/10-monopod.conf",
        "etc/logrotate.d/monopod-custom",
    ];
    let others = [
        "etc/ssh/sshd_config.d/20-other.conf",
        "etc/logrotate.d/other",
        "etc/monopod/policy.yaml",
        "etc/docker/daemon.json",
    ];
    written.into_iter().chain(others).for_each(write);
    write("var/lib/monopod/machine.json");
    maintain(&directory, "postrm", &["purge"]);
    for name in written
        .into_iter()
        .chain(["var/lib/monopod", "var/lib/monopod-package"])
    {
        assert!(!machine.join(name).exists(), "{name}");
    }
    for name in others {
        assert!(machine.join(name).exists(), "{name}");
    }
}

/// The agent is ready when its machine is up: a degraded one would have dpkg wait for ever.
#[test]
fn an_upgrade_does_not_wait_for_the_agent() {
    let script = fs::read_to_string(repository("packer/debian/postinst")).unwrap();
    let restarts: Vec<&str> = script
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("systemctl ") && line.contains("restart"))
        .collect();
    assert_eq!(
        restarts,
        [
            "systemctl --no-block try-restart monopod.service || true",
            "systemctl --no-block try-restart monopod-firewall.service monopod-access.service || true",
        ]
    );
}

/// What the scripts have called so far, in order.
fn calls(directory: &Directory) -> Vec<String> {
    let text = fs::read_to_string(directory.join("calls")).unwrap();
    fs::remove_file(directory.join("calls")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The agent runs in a group of ours: it is there first, then directories have it, then the agent is restarted, which
/// would otherwise have systemd give it all that is in them.
#[test]
fn groups_come_before_directories_and_both_before_the_agent() {
    let directory = Directory::new();
    let machine = installed(&directory);
    calls(&directory);
    for name in ["run/systemd/system", "var/log"] {
        fs::create_dir_all(machine.join(name)).unwrap();
    }
    for name in ["application.log", "application.log.1", "auth.log"] {
        fs::write(machine.join("var/log").join(name), "").unwrap();
    }
    maintain(&directory, "postinst", &["configure", "0.1.0"]);
    let called = calls(&directory);
    let at = |part: &str| {
        let found = called.iter().position(|call| call.contains(part));
        found.unwrap_or_else(|| panic!("no {part}: {called:#?}"))
    };
    let order = [
        "sysusers.d/monopod-access.conf",
        "systemd-tmpfiles --create",
        "try-restart monopod.service",
    ];
    assert!(order.map(at).is_sorted(), "{called:#?}");
    assert!(at("pam-auth-update --package") < at("try-restart monopod.service"));
    let shared: Vec<&str> = called
        .iter()
        .filter_map(|call| call.strip_prefix("chgrp monopod-guest "))
        .map(|path| path.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(shared, ["application.log", "application.log.1"]);
}

/// Whoever is in by a login for a time goes with what would have ended it, and PAM forgets the program before it goes.
#[test]
fn a_removal_ends_logins_and_takes_the_program_out_of_pam() {
    let directory = Directory::new();
    let machine = installed(&directory);
    for name in [
        "run/systemd/system",
        "run/monopod-access/state",
        "run/monopod-access/home",
    ] {
        fs::create_dir_all(machine.join(name)).unwrap();
    }
    // Of two, one is just ending: it has no key.
    for name in [
        "alice",
        "state/alice.json",
        "state/bob.json",
        "state/numbers",
        "record.jsonl",
    ] {
        fs::write(machine.join("run/monopod-access").join(name), "").unwrap();
    }
    calls(&directory);
    maintain(&directory, "prerm", &["upgrade", "0.2.0"]);
    assert!(
        !directory.join("calls").exists(),
        "an upgrade ends nobody's login"
    );
    maintain(&directory, "prerm", &["remove"]);
    let called = calls(&directory);
    let at = |part: &str| {
        let found = called.iter().position(|call| call.contains(part));
        found.unwrap_or_else(|| panic!("no {part}: {called:#?}"))
    };
    assert!(
        at("access revoke alice") < at("monopod-access.service"),
        "{called:#?}"
    );
    assert!(
        at("access revoke bob") < at("monopod-access.service"),
        "{called:#?}"
    );
    assert!(
        !called
            .iter()
            .any(|call| call.contains("record") || call.contains("numbers")),
        "{called:#?}"
    );
    at("pam-auth-update --package --remove monopod-access");
}

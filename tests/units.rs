//! The unit file and the rsyslog snippet, checked by the programs that will read them.

use std::process::{Command, Output};

use crate::common::repository;

fn tool(program: &str, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; run `make setup`"))
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The unit with the path of a program that is here, since verify wants to see it.
fn unit(name: &str) -> std::path::PathBuf {
    let directory = std::env::temp_dir().join(format!("monopod-unit-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let unit = std::fs::read_to_string(repository("systemd").join(name)).unwrap();
    let path = directory.join(name);
    std::fs::write(&path, unit.replace("/usr/bin/monopod", "/bin/true")).unwrap();
    path
}

#[test]
fn systemd_understands_every_directive_and_finds_it_hardened() {
    for name in ["monopod.service", "monopod-drain.service"] {
        let unit = unit(name);
        let path = unit.display().to_string();
        let output = tool("systemd-analyze", &["verify", "--man=no", &path]);
        let ours: Vec<String> = text(&output)
            .lines()
            .filter(|line| line.contains(name))
            .map(str::to_owned)
            .collect();
        // The engine's unit need not be on the machine that checks ours.
        let complaints: Vec<&String> = ours
            .iter()
            .filter(|line| !line.contains("docker.service"))
            .collect();
        assert!(complaints.is_empty(), "{complaints:#?}");

        // Out of 10; 0 is best. It was 1.6 when this was written, 9.6 without hardening.
        let output = tool(
            "systemd-analyze",
            &["security", "--offline=true", "--threshold=20", &path],
        );
        assert!(output.status.success(), "{}", text(&output));
        std::fs::remove_dir_all(unit.parent().unwrap()).unwrap();
    }
}

#[test]
fn the_unit_keeps_the_agent_alive_and_in_its_place() {
    let unit = std::fs::read_to_string(repository("systemd/monopod.service")).unwrap();
    for line in [
        "Type=notify",
        "Restart=always",
        "RestartPreventExitStatus=78",
        "RestartSec=5",
        "StartLimitIntervalSec=0",
        "TimeoutStartSec=infinity",
        "RuntimeDirectoryPreserve=yes",
        "CapabilityBoundingSet=",
        "LimitCORE=0",
    ] {
        assert!(unit.lines().any(|one| one == line), "{line}");
    }
}

#[test]
fn the_drain_unit_is_stopped_by_the_shutdown_alone() {
    let text = std::fs::read_to_string(repository("systemd/monopod-drain.service")).unwrap();
    let directives: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for line in [
        "Type=oneshot",
        "RemainAfterExit=yes",
        "ExecStart=/bin/true",
        "CapabilityBoundingSet=",
        "LimitCORE=0",
    ] {
        assert!(directives.contains(&line), "{line}");
    }
    for bond in [
        "Requires=",
        "Requisite=",
        "BindsTo=",
        "PartOf=",
        "Wants=",
        "DefaultDependencies=",
        "RuntimeDirectory=",
    ] {
        assert!(!directives.iter().any(|line| line.starts_with(bond)), "{bond}");
    }
    let after = directives.iter().find(|line| line.starts_with("After=")).unwrap();
    for unit in ["docker.service", "network-online.target", "rsyslog.service"] {
        assert!(after.contains(unit), "it stops before {unit}");
    }
    // What is started after the agent waits until that is ready, which may be never.
    assert!(!after.contains("monopod.service"), "{after}");
    assert!(directives.contains(&"Before=monopod.service"));
    let seconds = |key: &str| -> u32 {
        let all = directives.iter().find_map(|line| line.split_once(key)).unwrap().1;
        all.trim_end_matches('s').parse().unwrap()
    };
    assert!(seconds("TimeoutStopSec=") > seconds("--timeout ") + 5);
}

#[test]
fn rsyslog_understands_the_snippet() {
    let snippet = repository("systemd/rsyslog-monopod.conf");
    // A configuration around it, as the distribution's: rsyslogd finds one without any output wrong.
    let config = std::env::temp_dir().join(format!("monopod-rsyslog-{}.conf", std::process::id()));
    let around = format!(
        "module(load=\"imuxsock\")\n$IncludeConfig {}\n*.* /dev/null\n",
        snippet.display()
    );
    std::fs::write(&config, around).unwrap();
    let output = tool("rsyslogd", &["-N1", "-f", &config.display().to_string()]);
    std::fs::remove_file(&config).unwrap();
    assert!(
        output.status.success() && !text(&output).contains("error"),
        "{}",
        text(&output)
    );
}

/// The agent's order, the path that waits for it, and what carries it out have to name the same file.
#[test]
fn an_order_to_power_off_is_carried_out() {
    let read = |name: &str| std::fs::read_to_string(repository(name)).unwrap();
    let path = read("systemd/monopod-poweroff.path");
    for line in [
        "PathExists=/run/monopod/poweroff",
        "Unit=monopod-poweroff.service",
        "WantedBy=multi-user.target",
    ] {
        assert!(path.lines().any(|one| one == line), "{line}");
    }
    let service = read("systemd/monopod-poweroff.service");
    for line in [
        "ExecStart=systemctl --no-block poweroff",
        "RemainAfterExit=yes",
        // It is tried again for ever, with a pause.
        "Restart=on-failure",
        "RestartSec=15",
        "StartLimitIntervalSec=0",
        "CapabilityBoundingSet=",
    ] {
        assert!(service.lines().any(|one| one == line), "{line}");
    }
    assert!(service.contains("/run/monopod/poweroff"));
    let units = [
        "systemd/monopod-poweroff.path",
        "systemd/monopod-poweroff.service",
    ]
    .map(|unit| repository(unit).display().to_string());
    let output = tool("systemd-analyze", &["verify", "--man=no", &units[0], &units[1]]);
    let text = text(&output);
    assert!(!text.contains("monopod-poweroff"), "{text}");
    let output = tool(
        "systemd-analyze",
        &["security", "--offline=true", "--threshold=20", &units[1]],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

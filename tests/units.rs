//! What units promise each other, and how much of the machine they could harm. Whether systemd reads them is asked of the
//! package (`package/`), where they lie as on a machine.

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

/// The lines of a unit that say something.
fn directives(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository("systemd").join(name)).unwrap();
    text.lines()
        .filter(|line| line.contains('=') && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// How much of the machine a unit could harm, out of 10, times 10; 0 is best. Without hardening it is 96.
const MOST_EXPOSED: [(&str, u32); 8] = [
    // These live as long as the machine, and talk to the world.
    ("monopod.service", 18),
    ("monopod-drain.service", 18),
    ("monopod-poweroff.service", 18),
    ("monopod-audit-log.service", 18),
    ("monopod-audit-close.service", 18),
    // It has one capability.
    ("monopod-firewall.service", 18),
    // It ends others' processes, and removes their files.
    ("monopod-access.service", 25),
    // It makes file systems and changes the kernel's settings.
    ("monopod-prepare.service", 36),
];

#[test]
fn every_unit_is_hardened() {
    for (name, most) in MOST_EXPOSED {
        let path = repository("systemd").join(name).display().to_string();
        let threshold = format!("--threshold={most}");
        let output = tool(
            "systemd-analyze",
            &["security", "--offline=true", &threshold, &path],
        );
        assert!(output.status.success(), "{name}: {}", text(&output));
    }
}

#[test]
fn the_agent_wants_prepare_and_never_waits_for_the_unit() {
    let agent = directives("monopod.service");
    assert!(agent.contains(&"Wants=monopod-prepare.service".to_owned()));
    for bond in ["After=", "Requires=", "BindsTo=", "Requisite="] {
        let bonds = agent.iter().filter(|line| line.starts_with(bond));
        assert!(!bonds.into_iter().any(|line| line.contains("prepare")), "{bond}");
    }
    let prepare = directives("monopod-prepare.service");
    assert!(!prepare.iter().any(|line| line.starts_with("Before=")));
    for line in [
        "Type=oneshot",
        "RemainAfterExit=yes",
        "ExecStart=/usr/bin/monopod prepare",
        "Restart=on-failure",
        "RestartPreventExitStatus=78",
        "StartLimitIntervalSec=0",
        "TimeoutStartSec=infinity",
        "RuntimeDirectoryPreserve=yes",
        "LimitCORE=0",
    ] {
        assert!(prepare.contains(&line.to_owned()), "{line}");
    }
}

/// `systemctl start monopod` on a machine that was not booted with the package gives all of it.
#[test]
fn who_starts_the_agent_starts_what_belongs_to_it() {
    let agent = directives("monopod.service");
    let wanted: Vec<&str> = agent
        .iter()
        .filter_map(|line| line.strip_prefix("Wants="))
        .flat_map(|units| units.split(' '))
        .collect();
    for unit in [
        "monopod-drain.service",
        "monopod-poweroff.path",
        "monopod-audit-log.path",
        "monopod-audit-close.service",
        "monopod-firewall.socket",
        "monopod-access.socket",
        "monopod-access.path",
    ] {
        assert!(wanted.contains(&unit), "{unit}");
    }
    // Where they are started together, the agent must not ask before they are there.
    assert!(agent.contains(&"After=monopod-firewall.socket monopod-access.socket".to_owned()));
    // One of these would have a stop of them stop the agent, or its stop theirs.
    for bond in ["Requires=", "BindsTo=", "Requisite=", "PartOf=", "Upholds="] {
        assert!(!agent.iter().any(|line| line.starts_with(bond)), "{bond}");
    }
}

/// The capabilities of a unit, sorted.
fn capabilities(name: &str) -> Vec<String> {
    let mut given: Vec<String> = directives(name)
        .iter()
        .filter_map(|line| line.strip_prefix("CapabilityBoundingSet="))
        .flat_map(|names| names.split(' ').map(str::to_owned))
        .collect();
    given.sort_unstable();
    given
}

/// One more is a decision, and the unit says why.
#[test]
fn who_is_asked_by_a_socket_has_the_capabilities_it_names() {
    assert_eq!(capabilities("monopod-firewall.service"), ["CAP_NET_ADMIN"]);
    assert_eq!(
        capabilities("monopod-access.service"),
        ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL"]
    );
}

/// A socket, or a service, that systemd has given up on stays so until a reboot.
#[test]
fn systemd_never_gives_up_on_what_is_asked_by_a_socket() {
    for name in ["monopod-firewall", "monopod-access"] {
        let socket = directives(&format!("{name}.socket"));
        let has = |line: &str| assert!(socket.contains(&line.to_owned()), "{name}: {line}");
        has(&format!("ListenStream=/run/{name}.sock"));
        has("TriggerLimitIntervalSec=0");
        has("WantedBy=sockets.target");
        let service = directives(&format!("{name}.service"));
        let has = |line: &str| assert!(service.contains(&line.to_owned()), "{name}: {line}");
        has("StartLimitIntervalSec=0");
        has("Restart=on-failure");
        // The pause between two failures.
        has("RestartSec=1");
        has(&format!("Requires={name}.socket"));
        has("LimitCORE=0");
        // With it, a permanent failure would have the socket start the service again at once, and for ever.
        assert!(
            !service
                .iter()
                .any(|line| line.starts_with("RestartPreventExitStatus=")),
            "{name}"
        );
    }
}

/// A rule that names a control group is refused before there is one.
#[test]
fn the_firewall_s_unit_has_the_slice_that_its_rules_name() {
    let unit = directives("monopod-firewall.service");
    assert!(unit.contains(&"Wants=application.slice".to_owned()));
    assert!(
        unit.iter()
            .filter_map(|line| line.strip_prefix("After="))
            .any(|units| units.split(' ').any(|one| one == "application.slice"))
    );
}

/// The rules name a control group by its number, and find nobody in another one; `machine::hosted` shows it.
#[test]
fn containers_stay_in_the_slice_that_the_rules_name() {
    assert!(directives("application.slice").contains(&"RefuseManualStop=yes".to_owned()));
    assert!(directives("docker-scope-monopod.conf").contains(&"CollectMode=inactive-or-failed".to_owned()));
    let package = std::fs::read_to_string(repository("packer/build-deb.sh")).unwrap();
    assert!(package.contains("docker-scope-monopod.conf $units/docker-.scope.d/monopod.conf"));
}

#[test]
fn who_may_ask_is_the_socket_s_to_say() {
    let asked = |name: &str| {
        let socket = directives(name);
        ["SocketUser=", "SocketGroup=", "SocketMode="].map(|key| {
            let line = socket.iter().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_else(|| panic!("{name}: {key}")).to_owned()
        })
    };
    assert_eq!(asked("monopod-firewall.socket"), ["root", "root", "0600"]);
    assert_eq!(
        asked("monopod-access.socket"),
        ["root", "monopod-access-service", "0660"]
    );
}

/// As long as there is a login to end there is who ends it, and it sees everybody's processes.
#[test]
fn logins_end_whoever_stops_the_daemon() {
    let path = directives("monopod-access.path");
    for line in [
        "PathExistsGlob=/run/monopod-access/state/*.json",
        "Unit=monopod-access.service",
        "WantedBy=paths.target",
    ] {
        assert!(path.contains(&line.to_owned()), "{line}");
    }
    let service = directives("monopod-access.service");
    for hidden in ["ProtectProc=", "ProcSubset=", "PrivateUsers="] {
        assert!(!service.iter().any(|line| line.starts_with(hidden)), "{hidden}");
    }
    // A guest's files must not fill /run.
    let homes = directives("access-home-monopod.mount");
    assert!(homes.contains(&"Where=/run/monopod-access/home".to_owned()));
    assert!(homes.iter().any(|line| line.contains("size=64m")));
}

/// systemd gives a runtime directory of another group to the unit's with all that is in it: secrets would be a guest's.
#[test]
fn the_runtime_directory_has_one_group_whoever_comes_first() {
    let laid_out = std::fs::read_to_string(repository("systemd/tmpfiles-monopod.conf")).unwrap();
    let line = laid_out
        .lines()
        .find(|line| line.split_ascii_whitespace().nth(1) == Some("/run/monopod"))
        .unwrap();
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    assert_eq!(fields, ["d", "/run/monopod", "0750", "root", "monopod-guest"]);
    for name in [
        "monopod.service",
        "monopod-prepare.service",
        "monopod-drain.service",
    ] {
        assert!(
            directives(name).contains(&"Group=monopod-guest".to_owned()),
            "{name}"
        );
    }
}

/// A login neither fails nor waits for the record of logins.
#[test]
fn pam_is_told_and_asks_for_nothing() {
    let profile = std::fs::read_to_string(repository("systemd/pam-monopod-access")).unwrap();
    let rules: Vec<&str> = profile.lines().filter(|line| line.starts_with('\t')).collect();
    assert_eq!(
        rules,
        ["\toptional\tpam_exec.so quiet /usr/bin/timeout --signal=KILL 3 /usr/bin/monopod access session"]
    );
    assert!(profile.contains("\nSession-Type: Additional\n"), "{profile}");
    for other in ["Auth:", "Account:", "Password:"] {
        assert!(!profile.contains(other), "{other}");
    }
}

#[test]
fn sudo_understands_its_file() {
    let path = repository("systemd/sudoers-monopod");
    let output = tool("visudo", &["-c", "-f", &path.display().to_string()]);
    assert!(output.status.success(), "{}", text(&output));
    let rules: Vec<String> = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    assert_eq!(rules, ["%monopod-admin ALL=(ALL:ALL) NOPASSWD: ALL"]);
}

/// At shutdown the agent ends, then the log is closed, then the drain sends it.
#[test]
fn the_audit_log_is_closed_between_the_agent_and_the_drain() {
    let close = directives("monopod-audit-close.service");
    assert!(close.contains(&"After=auditd.service monopod-drain.service".to_owned()));
    assert!(close.contains(&"Before=monopod.service".to_owned()));
}

/// Each of these was seen to take something away that `monopod prepare` is there for.
#[test]
fn prepare_reaches_what_it_is_to_prepare() {
    let prepare = directives("monopod-prepare.service");
    for (directive, why) in [
        ("PrivateDevices=", "no disk is there"),
        ("ProtectKernelTunables=", "/proc/sys and /sys are read-only"),
        ("ProtectHome=", "no login can be taken away"),
        ("PrivateNetwork=", "another machine's net.* settings"),
        ("PrivateIPC=", "another machine's kernel.shm* settings"),
        ("MountFlags=", "what PID 1 mounts is not seen"),
        ("TemporaryFileSystem=", "what PID 1 mounts is not seen"),
        ("InaccessiblePaths=", "what PID 1 mounts is not seen"),
        ("PrivateUsers=", "nobody to give a mount to"),
    ] {
        let found = prepare.iter().find(|line| line.starts_with(directive));
        assert_eq!(found, None, "{why}");
    }
    // ProtectClock= brings a list of devices with a clock in it; ours has to have the disks.
    assert!(prepare.contains(&"DeviceAllow=block-* rwm".to_owned()));
    let written = prepare
        .iter()
        .filter_map(|line| line.strip_prefix("ReadWritePaths="))
        .collect::<Vec<_>>()
        .join(" ");
    for path in [
        "/mounts",
        "/run/systemd/system",
        "/etc/ssh/sshd_config.d",
        "/etc/logrotate.d",
        "/home",
    ] {
        assert!(written.split(' ').any(|one| one == format!("-{path}")), "{path}");
    }
}

/// The unit says why for each of them; one more is a decision.
#[test]
fn prepare_has_the_capabilities_it_names_and_no_other() {
    let prepare = directives("monopod-prepare.service");
    let mut given: Vec<&str> = prepare
        .iter()
        .filter_map(|line| line.strip_prefix("CapabilityBoundingSet="))
        .flat_map(|names| names.split(' '))
        .collect();
    given.sort_unstable();
    let wanted = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_ADMIN",
        // A port below 1024 can't be tried without it, and would pass for free.
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_ADMIN",
        "CAP_SYS_RESOURCE",
    ];
    assert_eq!(given, wanted);
}

/// systemd would stop the containers of a slice with default dependencies the moment the machine is to go down.
#[test]
fn containers_outlive_the_start_of_a_shutdown() {
    let engine = std::fs::read_to_string(repository("systemd/daemon.json")).unwrap();
    assert!(engine.contains("\"cgroup-parent\": \"application.slice\""));
    // Below the root: the agent looks for control groups one level down.
    assert_eq!("application".find('-'), None);
    let slice = directives("application.slice");
    assert!(slice.contains(&"DefaultDependencies=no".to_owned()));
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
        // It would be a process the agent waits for, to do nothing.
        "ExecStart=",
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
}

//! The container's options, as docker and compose name them: what the engine and the kernel say came of them.

use std::path::Path;

use monopod_testrig::{Agent, Machine};
use serde_json::{Value, json};

use crate::common::*;

fn serve(machine: &Machine, image: &str, lines: &[&str]) {
    lines
        .iter()
        .fold(UserData::new(machine, image), |all, line| all.line(line))
        .serve(machine);
}

/// Boots to READY and gives what the engine shows.
fn made(image: &str, lines: &[&str]) -> (Machine, Agent, Value) {
    let machine = Machine::acquire();
    serve(&machine, image, lines);
    let agent = run_until_ready(&machine);
    let container = the_container(&machine);
    (machine, agent, container)
}

/// Runs a script in the container as its own user; whether it ended with 0, and what it wrote.
fn inside(machine: &Machine, script: &str) -> (bool, String) {
    let output = machine.docker(&["exec", CONTAINER, "/bin/busybox", "sh", "-c", script]);
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Boots to an error that ends it for good.
fn refused(lines: &[&str]) -> (Machine, String) {
    let machine = Machine::acquire();
    serve(&machine, "sleeper", lines);
    let (code, agent) = run_to_end(&machine);
    let error = error_line(&agent);
    assert_eq!(code, 78, "{error}");
    (machine, error)
}

#[test]
fn limits_are_the_kernel_s() {
    let (machine, _agent, container) = made(
        "sleeper",
        &[
            "memory: 64m",
            "cpus: 0.5",
            "pids_limit: 100",
            "ulimits: {nofile: {soft: 512, hard: 1024}, core: 0, nproc: \"60:61\"}",
            "log_budget: 30m",
            "deployment_id: blue-7",
        ],
    );
    let host = &container["HostConfig"];
    assert_eq!(
        (&host["Memory"], &host["MemorySwap"]),
        (&json!(64 << 20), &json!(64 << 20))
    );
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["PidsLimit"], 100);
    assert_eq!(
        host["LogConfig"]["Config"]["max-size"],
        ((15 << 20) / 8).to_string()
    );
    assert_eq!(container["Config"]["Labels"]["deployment_id"], "blue-7");
    let pid = machine.host_pid(CONTAINER).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = |name: &str| -> Vec<String> {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().take(2).map(str::to_owned).collect()
    };
    assert_eq!(limit("Max open files"), ["512", "1024"]);
    assert_eq!(limit("Max core file size"), ["0", "0"]);
    assert_eq!(limit("Max processes"), ["60", "61"]);
}

#[test]
fn a_limit_above_the_engine_s_own_is_refused_with_what_to_do() {
    let (_machine, error) = refused(&["ulimits: {nofile: 2000000000}"]);
    assert!(error.contains("LimitNOFILE"), "{error}");
}

#[test]
fn kernel_settings_of_its_own_are_in_the_container() {
    let (machine, _agent, container) = made(
        "sleeper",
        &[
            "sysctl: {net.ipv4.ip_unprivileged_port_start: 0, net/core/somaxconn: 511, kernel.shmmax: 1048576}",
        ],
    );
    assert_eq!(
        container["HostConfig"]["Sysctls"],
        json!({
            "net.ipv4.ip_unprivileged_port_start": "0",
            "net.core.somaxconn": "511",
            "kernel.shmmax": "1048576",
        })
    );
    let read = "cd /proc/sys && cat net/ipv4/ip_unprivileged_port_start net/core/somaxconn kernel/shmmax";
    assert_eq!(inside(&machine, read), (true, "0\n511\n1048576".to_owned()));
    let own = std::fs::read_to_string("/proc/sys/kernel/shmmax").unwrap();
    assert_ne!(own.trim(), "1048576", "the machine's stay as they are");
}

#[test]
fn command_entrypoint_and_user() {
    let (machine, _agent, container) = made(
        "sleeper",
        &[
            "entrypoint: [/bin/sh, -c, 'echo \"args $0 $1, uid $(id -u), gid $(id -g)\"; exec sleep 1000']",
            "command: [one, \"two words\"]",
            "user: \"4242:4343\"",
        ],
    );
    assert_eq!(container["Config"]["Cmd"], json!(["one", "two words"]));
    machine
        .syslog()
        .wait_for("args one two words, uid 4242, gid 4343", SOON);
    let kernel = machine.process_status(CONTAINER).unwrap();
    assert!(
        kernel.contains("Uid:\t4242") && kernel.contains("Gid:\t4343"),
        "{kernel}"
    );
}

#[test]
fn a_tmpfs_is_writable_and_runs_nothing() {
    let (machine, _agent, _) = made(
        "sleeper",
        &[
            "read_only: true",
            "tmpfs: {/run: \"size=1m,mode=1777\", /scratch: \"exec,mode=1777\"}",
        ],
    );
    let (_, mounts) = inside(&machine, "cat /proc/mounts");
    let options = |path: &str| -> Vec<String> {
        let line = mounts
            .lines()
            .find(|line| line.split(' ').nth(1) == Some(path))
            .unwrap_or_else(|| panic!("{path} is not in {mounts}"));
        line.split(' ')
            .nth(3)
            .unwrap()
            .split(',')
            .map(str::to_owned)
            .collect()
    };
    for path in ["/run", "/tmp", "/scratch"] {
        for flag in ["rw", "nosuid", "nodev"] {
            assert!(
                options(path).iter().any(|one| one == flag),
                "{flag} at {path}: {mounts}"
            );
        }
        let shut = options(path).iter().any(|one| one == "noexec");
        assert_eq!(shut, path != "/scratch", "noexec at {path}: {mounts}");
        assert!(inside(&machine, &format!("echo x >{path}/x")).0, "{path}");
    }
    assert!(options("/run").iter().any(|one| one == "size=1024k"), "{mounts}");
    assert!(!inside(&machine, "echo x >/x").0, "the rest can't be written");
}

#[test]
fn name_servers_and_hosts() {
    let (machine, _agent, _) = made(
        "sleeper",
        &[
            "dns: [127.0.0.53, 10.9.8.7]",
            "extra_hosts: {db: 10.0.0.1, cache: 10.0.0.2}",
        ],
    );
    let (_, resolver) = inside(&machine, "cat /etc/resolv.conf");
    let servers: Vec<&str> = resolver
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver "))
        .collect();
    assert_eq!(servers, ["127.0.0.53", "10.9.8.7"]);
    let (_, hosts) = inside(&machine, "cat /etc/hosts");
    assert!(
        hosts.contains("10.0.0.1\tdb") && hosts.contains("10.0.0.2\tcache"),
        "{hosts}"
    );
}

#[test]
fn without_a_filter_every_call_is_allowed() {
    let (machine, _agent, container) = made("sleeper", &["seccomp: unconfined"]);
    assert_eq!(
        container["HostConfig"]["SecurityOpt"],
        json!(["no-new-privileges", "seccomp=unconfined"])
    );
    let kernel = machine.process_status(CONTAINER).unwrap();
    assert!(kernel.contains("Seccomp:\t0"), "{kernel}");
}

#[test]
fn a_profile_of_the_image_filters() {
    let machine = Machine::acquire();
    let profile = machine.dirs().base.join("profile.json");
    let no_mkdir = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    });
    std::fs::write(&profile, no_mkdir.to_string()).unwrap();
    serve(&machine, "sleeper", &[&format!("seccomp: {}", profile.display())]);
    let _agent = run_until_ready(&machine);
    assert!(inside(&machine, "echo x >/tmp/file").0);
    assert!(!inside(&machine, "/bin/busybox mkdir /tmp/directory").0);
}

#[test]
fn a_profile_that_is_missing_or_broken_is_named() {
    let (machine, error) = refused(&["seccomp: /nonexistent/profile.json"]);
    assert!(
        error.contains("/nonexistent/profile.json") && error.contains("No such file"),
        "{error}"
    );
    assert!(machine.containers().is_empty());
    let broken = machine.dirs().base.join("broken.json");
    std::fs::write(&broken, "{\"defaultAction\": ").unwrap();
    serve(&machine, "sleeper", &[&format!("seccomp: {}", broken.display())]);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    let error = error_line(&agent);
    assert!(
        error.contains("broken.json") && error.contains("not JSON"),
        "{error}"
    );
    // JSON, and no filter: the engine would take it and filter nothing.
    std::fs::write(&broken, "{}").unwrap();
    let (code, agent) = run_to_end(&machine);
    let error = error_line(&agent);
    assert_eq!(code, 78, "{error}");
    assert!(error.contains("has no `defaultAction`"), "{error}");
    assert!(machine.containers().is_empty());
    // What else is wrong with it the engine says at the start.
    std::fs::write(
        &broken,
        "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": 7}",
    )
    .unwrap();
    let (code, agent) = run_to_end(&machine);
    let error = error_line(&agent);
    assert_eq!(code, 78, "{error}");
    assert!(error.contains("the profile that `seccomp` names"), "{error}");
}

/// What can't replace the container that runs does not cost it.
#[test]
fn a_container_outlives_a_successor_that_can_t_be_made() {
    let machine = Machine::acquire();
    serve(&machine, "sleeper", &[]);
    run_until_ready(&machine).kill9();
    let before = container_id(&machine);
    std::fs::remove_file(machine.dirs().runtime.join("hint.json")).unwrap();
    serve(&machine, "sleeper", &["seccomp: /nonexistent/profile.json"]);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    assert_eq!(container_id(&machine), before);
    assert!(is_running(&the_container(&machine)), "{}", agent.output());
}

#[test]
fn the_machine_s_directories() {
    let made_here = !Path::new("/var/log-custom").exists();
    let (machine, _agent, container) = made(
        "sleeper",
        &[
            "mount_certs: true",
            "mount_var_log: true",
            "mount_custom_log: true",
        ],
    );
    assert_eq!(container["HostConfig"]["Binds"], Value::Null, "mounts, not binds");
    let count = |path: &str| std::fs::read_dir(path).unwrap().count().to_string();
    assert_eq!(
        inside(&machine, "ls /etc/ssl/certs | /bin/busybox wc -l").1,
        count("/etc/ssl/certs")
    );
    assert!(inside(&machine, "ls /var/log-host").1.contains("dpkg.log"));
    let (_, mounts) = inside(&machine, "cat /proc/mounts");
    for path in ["/etc/ssl/certs", "/var/log-host"] {
        let read_only = format!(" {path} ");
        let line = mounts.lines().find(|line| line.contains(&read_only)).unwrap();
        assert!(line.contains(" ro,"), "{line}");
    }
    let name = format!("monopod-test-{}", std::process::id());
    let (written, _) = inside(&machine, &format!("echo hello >/var/log/{name}"));
    let on_the_machine = Path::new("/var/log-custom").join(&name);
    let text = std::fs::read_to_string(&on_the_machine);
    drop(std::fs::remove_file(&on_the_machine));
    if made_here {
        drop(std::fs::remove_dir("/var/log-custom"));
    }
    assert!(written && text.unwrap() == "hello\n");
}

/// Without a word of the image's policy nobody gets the engine's socket.
fn allow_docker_daemon_access(machine: &Machine) {
    let policy = machine.dirs().configuration.join("policy.yaml");
    std::fs::write(policy, "allow: {docker_daemon_access: true}\n").unwrap();
}

#[test]
fn the_engine_s_socket_is_for_the_container_s_user() {
    let machine = Machine::acquire();
    allow_docker_daemon_access(&machine);
    serve(
        &machine,
        "sleeper",
        &["docker_daemon_access: true", "user: \"999:999\""],
    );
    let _agent = run_until_ready(&machine);
    let mount = the_container(&machine)["HostConfig"]["Mounts"][0].clone();
    assert_eq!(mount["Source"], machine.dirs().docker.display().to_string());
    let (works, _) = inside(
        &machine,
        "[ -S /var/run/docker.sock ] && [ -w /var/run/docker.sock ]",
    );
    assert!(works, "{mount}");
    let kernel = machine.process_status(CONTAINER).unwrap();
    assert!(kernel.contains("Uid:\t999"), "{kernel}");
}

#[test]
fn gpus_that_are_not_there_are_refused_with_what_to_do() {
    let (_machine, error) = refused(&["gpus: all"]);
    assert!(
        error.contains("could not select device driver") && error.contains("NVIDIA container toolkit"),
        "{error}"
    );
}

/// A container that is replaced gets its own signal, and all the time it was promised.
#[test]
fn a_stop_waits_as_long_as_the_container_may_take() {
    let machine = Machine::acquire();
    let farewell = "entrypoint: [/bin/sh, -c, 'trap \"echo got INT; sleep 12; echo farewell; exit 0\" INT; while :; do sleep 1; done']";
    let lines = [farewell, "stop_signal: SIGINT", "stop_timeout: 40"];
    serve(&machine, "sleeper", &lines);
    run_until_ready(&machine).kill9();
    let before = the_container(&machine);
    assert_eq!(before["Config"]["StopSignal"], "SIGINT");
    assert_eq!(before["Config"]["StopTimeout"], 40);
    std::fs::remove_file(machine.dirs().runtime.join("hint.json")).unwrap();
    serve(&machine, "sleeper", &[]);
    let _agent = run_until_ready(&machine);
    assert_ne!(container_id(&machine), before["Id"].as_str().unwrap());
    machine.syslog().wait_for("farewell", SOON);
}

#[test]
fn a_container_that_does_not_end_is_killed_when_its_time_is_up() {
    let machine = Machine::acquire();
    serve(
        &machine,
        "sleeper",
        &["stop_timeout: 1", "environment: {DEAF: \"1\"}"],
    );
    run_until_ready(&machine).kill9();
    std::fs::remove_file(machine.dirs().runtime.join("hint.json")).unwrap();
    serve(&machine, "sleeper", &[]);
    machine.notify().clear();
    let agent = run(&machine);
    let asked = agent.wait_for_line("removing the container", BOOT);
    wait_ready(&machine, &agent);
    machine.syslog().wait_for("sleeper is deaf", SOON);
    let removed = agent.wait_for_line(" runs", SOON);
    assert!(
        removed.at.duration_since(asked.at) < std::time::Duration::from_secs(9),
        "its time was a second, the engine's own would be ten: {}",
        agent.output()
    );
}

//! Files of the user data: in the container whenever it is started, readable to its user, and nowhere else.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;

use monopod_testrig::{Machine, wait_until};

use crate::common::*;

const CANARY: &str = "canary-file-content";

/// Says at every start what is in the file.
const READER: &str = "entrypoint: [/bin/sh, -c, 'echo \"conf $(cat /etc/app/app.conf)\"; trap \"exit 0\" TERM; while :; do sleep 1; done']";

fn with_files(machine: &Machine, content: &str) -> UserData {
    UserData::new(machine, "sleeper").line(READER).line(&format!(
        "files:\n  /etc/app/app.conf: {content}\n  /opt/second: {CANARY}"
    ))
}

/// Where they lie: one directory, whatever came before.
fn directory(machine: &Machine) -> PathBuf {
    let all: Vec<PathBuf> = fs::read_dir(machine.dirs().runtime.join("files"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

fn cat(machine: &Machine, path: &str) -> String {
    machine.docker_ok(&["exec", CONTAINER, "/bin/busybox", "cat", path])
}

#[test]
fn the_container_s_user_reads_them_and_writes_none() {
    let machine = Machine::acquire();
    with_files(&machine, CANARY).serve(&machine);
    let agent = run_until_ready(&machine);
    machine.syslog().wait_for(&format!("conf {CANARY}"), SOON);
    assert_eq!(cat(&machine, "/opt/second"), CANARY);
    let write = machine.docker(&[
        "exec",
        CONTAINER,
        "/bin/busybox",
        "sh",
        "-c",
        "echo x >/etc/app/app.conf",
    ]);
    assert!(!write.status.success());
    let as_root = [
        "exec",
        "-u",
        "0",
        CONTAINER,
        "/bin/busybox",
        "sh",
        "-c",
        "echo x >/opt/second",
    ];
    assert!(
        !machine.docker(&as_root).status.success(),
        "not even root: it is mounted read-only"
    );
    let kernel = machine.process_status(CONTAINER).unwrap();
    assert!(kernel.contains("Uid:\t999"), "{kernel}");
    for entry in fs::read_dir(directory(&machine)).unwrap() {
        let metadata = entry.unwrap().metadata().unwrap();
        assert_eq!(
            (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777),
            (0, 999, 0o440)
        );
    }
    let told = everything_told(&machine, &agent);
    assert!(!told.contains(CANARY), "{told}");
    assert!(!the_container(&machine).to_string().contains(CANARY));
}

#[test]
fn any_user_of_the_container_reads_them() {
    for user in ["user: \"4242:4343\"", "root: true"] {
        let machine = Machine::acquire();
        with_files(&machine, CANARY).line(user).serve(&machine);
        let _agent = run_until_ready(&machine);
        machine.syslog().wait_for(&format!("conf {CANARY}"), SOON);
    }
}

#[test]
fn a_reboot_brings_them_back() {
    let machine = Machine::acquire();
    with_files(&machine, CANARY).serve(&machine);
    drop(run_until_ready(&machine));
    let before = container_id(&machine);
    machine.reboot();
    assert!(!machine.dirs().runtime.join("files").exists());
    machine.syslog().clear();
    let _agent = run_until_ready(&machine);
    assert_eq!(container_id(&machine), before);
    machine.syslog().wait_for(&format!("conf {CANARY}"), SOON);
}

#[test]
fn another_content_is_another_container() {
    let machine = Machine::acquire();
    with_files(&machine, "one").serve(&machine);
    drop(run_until_ready(&machine));
    let (before, old) = (container_id(&machine), directory(&machine));
    with_files(&machine, "two").serve(&machine);
    fs::remove_file(machine.dirs().runtime.join("hint.json")).unwrap();
    let _agent = run_until_ready(&machine);
    assert_ne!(container_id(&machine), before);
    assert_ne!(directory(&machine), old);
    assert_eq!(cat(&machine, "/etc/app/app.conf"), "two");
}

#[test]
fn they_are_repaired_before_a_restart() {
    let machine = Machine::acquire();
    with_files(&machine, CANARY).serve(&machine);
    let agent = run_until_ready(&machine);
    fs::remove_dir_all(machine.dirs().runtime.join("files")).unwrap();
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("the container was started again", BOOT);
    assert_eq!(cat(&machine, "/opt/second"), CANARY);
    // The same for an agent that knows it from the hint, and has read the contents back.
    agent.kill9();
    let agent = run_until_ready(&machine);
    agent.wait_for_line("known since an earlier start", SOON);
    fs::remove_dir_all(machine.dirs().runtime.join("files")).unwrap();
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("the container was started again", BOOT);
    assert_eq!(cat(&machine, "/opt/second"), CANARY);
}

#[test]
fn an_agent_that_finds_them_gone_reads_the_user_data_for_the_next_start() {
    let machine = Machine::acquire();
    with_files(&machine, CANARY).serve(&machine);
    run_until_ready(&machine).kill9();
    let before = container_id(&machine);
    fs::remove_dir_all(machine.dirs().runtime.join("files")).unwrap();
    machine.imds().down();
    let agent = run_until_ready(&machine);
    agent.wait_for_line("the container's files are gone", SOON);
    agent.wait_for_line("known since an earlier start", SOON);
    assert_eq!(cat(&machine, "/opt/second"), CANARY, "it has them open");
    machine.imds().up();
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("reading the user data", SOON);
    wait_until(BOOT, || machine.inspect(CONTAINER).filter(is_running)).expect("it runs again");
    assert_eq!(container_id(&machine), before);
    directory(&machine);
    assert_eq!(cat(&machine, "/opt/second"), CANARY);
}

/// Kills the agent after its nth line, with the runtime directory gone each time: exactly one container, with its files.
#[test]
fn a_kill_at_any_line_leaves_one_container_with_its_files() {
    let machine = Machine::acquire();
    with_files(&machine, CANARY).serve(&machine);
    for nth in 1..14 {
        drop(machine.docker(&["rm", "-f", CONTAINER]));
        fs::remove_dir_all(&machine.dirs().runtime).unwrap();
        let killed = run(&machine);
        let reached = killed
            .lines()
            .wait_for(BOOT, |lines| (lines.len() >= nth).then_some(()));
        assert!(reached.is_some(), "{}", killed.output());
        killed.kill9();
        let agent = run_until_ready(&machine);
        assert!(is_running(&the_container(&machine)), "after line {nth}");
        assert_eq!(cat(&machine, "/opt/second"), CANARY, "after line {nth}");
        directory(&machine);
        agent.kill9();
    }
}

/// As the unit runs it: root by its uid alone.
pub(crate) fn without_capabilities(machine: &Machine) -> monopod_testrig::Agent {
    let binary = binary().display().to_string();
    let syslog = machine.dirs().syslog.display().to_string();
    let arguments = [
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--no-new-privs",
        &binary,
        "run",
        "--syslog-socket",
        &syslog,
    ];
    machine.spawn(std::path::Path::new("/usr/bin/setpriv"), &arguments)
}

#[test]
fn an_agent_without_capabilities_gets_the_group_from_the_directory() {
    let machine = Machine::acquire();
    with_files(&machine, CANARY).serve(&machine);
    let agent = without_capabilities(&machine);
    assert_eq!(agent.wait_exit(BOOT), 78, "{}", agent.output());
    let error = error_line(&agent);
    assert!(error.contains("tmpfiles-monopod.conf"), "{error}");
    assert!(machine.containers().is_empty());

    // As systemd-tmpfiles leaves it.
    let files = machine.dirs().runtime.join("files");
    chown(&files, Some(0), Some(999)).unwrap();
    fs::set_permissions(&files, fs::Permissions::from_mode(0o2750)).unwrap();
    let agent = without_capabilities(&machine);
    wait_ready(&machine, &agent);
    machine.syslog().wait_for(&format!("conf {CANARY}"), SOON);
    fs::remove_file(directory(&machine).join("0")).unwrap();
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("the container was started again", BOOT);
    wait_until(SOON, || machine.inspect(CONTAINER).filter(is_running)).expect("it runs");
    assert_eq!(cat(&machine, "/etc/app/app.conf"), CANARY);
}

#[test]
fn tmpfiles_lays_out_what_the_agent_may_not() {
    let root = std::env::temp_dir().join(format!("monopod-tmpfiles-{}", std::process::id()));
    for directory in ["run", "var", "etc"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    // As sysusers has made them by then; names are looked up below the root.
    let groups = "root:x:0:\nmonopod-guest:x:961:\nmonopod-access-service:x:962:\n";
    fs::write(root.join("etc/group"), groups).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    let output = std::process::Command::new("systemd-tmpfiles")
        .arg(format!("--root={}", root.display()))
        .arg("--create")
        .arg(repository("systemd/tmpfiles-monopod.conf"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let look = |path: &str| {
        let metadata =
            fs::metadata(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}; {said}"));
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
    };
    assert_eq!(look("run/monopod"), (0, 961, 0o750));
    for directory in ["files", "secrets", "credentials"] {
        assert_eq!(look(&format!("run/monopod/{directory}")), (0, 999, 0o2750));
    }
    assert_eq!(look("var/log-custom"), (999, 999, 0o755));
    fs::remove_dir_all(&root).unwrap();
}

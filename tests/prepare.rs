//! The container waits for what `monopod prepare` notes. Disks themselves need a machine with systemd: `tests/machine`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use monopod_testrig::{Agent, Machine};
use serde_json::{Value, json};

use crate::common::*;

/// The machine's side of a mount, gone with the test.
struct Place {
    path: String,
    place: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let path = format!("/monopod-test-{name}-{}", std::process::id());
        let place = PathBuf::from(format!("/mounts{path}"));
        fs::create_dir_all(&place).unwrap();
        Self { path, place }
    }

    /// Something is mounted there.
    fn mounted(self) -> Self {
        let place = self.place.to_str().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "tmpfs", place])
            .status();
        assert!(mount.unwrap().success(), "mount needs root");
        self
    }

    /// User data with a device that is not there: only prepare's word counts.
    fn user_data(&self, machine: &Machine) -> UserData {
        UserData::new(machine, "web")
            .web()
            .line(&format!("mounts: {{{}: {{partition: /dev/xvdz}}}}", self.path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount")
            .arg(&self.place)
            .stderr(Stdio::null())
            .status();
        let _gone = fs::remove_dir(&self.place).and_then(|()| fs::remove_dir("/mounts"));
    }
}

fn note(machine: &Machine, state: Value, mounts: Value) {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let note = json!({
        "boot_id": boot_id.trim(), "agent_version": "0", "state": state, "mounts": mounts,
        "done": ["vol-1 is attached as /dev/xvdz"],
    });
    let path = machine.dirs().runtime.join("prepare.json");
    let new = path.with_extension("new-of-test");
    fs::write(&new, note.to_string()).unwrap();
    fs::rename(new, path).unwrap();
}

fn waits(agent: &Agent) {
    agent.wait_for_line("waiting for monopod-prepare.service", BOOT);
}

#[test]
fn a_container_waits_for_its_disks() {
    let (machine, place) = (Machine::acquire(), Place::new("waits").mounted());
    place.user_data(&machine).serve(&machine);
    let agent = run(&machine);
    waits(&agent);
    // Nothing else waits for them.
    agent.wait_for_line("image: done", BOOT);
    note(
        &machine,
        json!({"is": "working", "doing": "waiting for the volume named x: vol-1 is attached to i-2"}),
        json!([]),
    );
    agent.wait_for_line("vol-1 is attached to i-2", SOON);
    assert_eq!(machine.containers().len(), 0);
    note(&machine, json!({"is": "done"}), json!([]));
    wait_ready(&machine, &agent);
    agent.wait_for_line("vol-1 is attached as /dev/xvdz", SOON);
    let mounts = the_container(&machine)["Mounts"].clone();
    let bound = mounts.as_array().unwrap().iter().any(|mount| {
        mount["Source"] == place.place.display().to_string()
            && mount["Destination"] == place.path
            && mount["RW"] == true
    });
    assert!(bound, "{mounts}");

    // One that runs is not asked where its disks come from.
    agent.kill9();
    fs::remove_file(machine.dirs().runtime.join("prepare.json")).unwrap();
    let _agent = run_until_ready(&machine);
}

#[test]
fn what_cannot_be_prepared_ends_the_boot_in_prepare_s_words() {
    let (machine, place) = (Machine::acquire(), Place::new("fails"));
    machine.aws().stack("shop", "Server");
    place
        .user_data(&machine)
        .line("notify_cfn: {stack: shop, resource: Server}")
        .serve(&machine);
    let failed = json!({"is": "failed", "permanent": true, "reason": "cannot mount /dev/xvdz at /data: it carries swap"});
    fs::create_dir_all(&machine.dirs().runtime).unwrap();
    note(&machine, failed, json!([]));
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    let line = error_line(&agent);
    assert!(
        line.contains("it carries swap") && line.contains("systemctl restart monopod-prepare"),
        "{line}"
    );
    assert_eq!(machine.aws().signals()[0].status, "FAILURE");
    assert_eq!(machine.containers().len(), 0);
}

#[test]
fn a_failure_that_may_pass_is_waited_out_and_named_at_the_end() {
    let (machine, place) = (Machine::acquire(), Place::new("late"));
    place
        .user_data(&machine)
        .line("boot_timeout: 30s")
        .serve(&machine);
    fs::create_dir_all(&machine.dirs().runtime).unwrap();
    let failed = json!({"is": "failed", "permanent": false, "reason": "EC2 did not answer"});
    note(&machine, failed, json!([]));
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 75, "{}", agent.output());
    let line = error_line(&agent);
    assert!(
        line.contains("prepare") && line.contains("EC2 did not answer"),
        "{line}"
    );
}

#[test]
fn a_disk_that_went_keeps_the_container_from_starting() {
    let (machine, place) = (Machine::acquire(), Place::new("gone"));
    place.user_data(&machine).serve(&machine);
    fs::create_dir_all(&machine.dirs().runtime).unwrap();
    note(&machine, json!({"is": "done"}), json!([]));
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 75, "{}", agent.output());
    assert!(
        error_line(&agent).contains("nothing is mounted at"),
        "{}",
        error_line(&agent)
    );
    let running = machine.containers().iter().any(is_running);
    assert!(!running, "it would write to the machine's own disk");
}

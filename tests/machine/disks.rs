//! Volumes: attached, formatted once, mounted before the container, and there again after a reboot.

use monopod_testrig::{EbsVolume, RealMachine};

use super::*;

const DATA: &str =
    "volumes: {ebs: {/dev/sdf: data}}\nmounts: {/data: {partition: /dev/xvdf, filesystem: ext4}}";

/// A machine whose stack waits, with a container that wants `/data`.
fn with_data(more: &str) -> RealMachine {
    let machine = RealMachine::new();
    machine.aws().stack("shop-42", "AppServer");
    user_data(&machine, "web")
        .web()
        .line(NOTIFY)
        .line(DATA)
        .line(more)
        .give(&machine);
    machine
}

/// What the container sees of a file.
fn in_container(machine: &RealMachine, args: &[&str]) -> String {
    let mut all = vec!["docker", "exec", CONTAINER];
    all.extend(args);
    machine.run_ok(&all)
}

fn uuid(machine: &RealMachine, volume: &str) -> String {
    let device = machine.disk(volume).device().display().to_string();
    let output = std::process::Command::new("blkid")
        .args(["-p", "-o", "value", "-s", "UUID", &device])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn a_blank_volume_is_formatted_once_and_keeps_what_is_written() {
    let machine = with_data("");
    let volume = machine.volume(EbsVolume::named("data").attach_takes(Duration::from_secs(2)), 256);
    machine.boot();
    machine.wait_ready(BOOT);
    let first = the_container(&machine);
    assert_eq!(told(&machine), one("SUCCESS"));
    let mount = machine.run_ok(&[
        "findmnt",
        "--noheadings",
        "--output",
        "FSTYPE,OPTIONS",
        "/mounts/data",
    ]);
    assert!(mount.starts_with("ext4") && mount.contains("rw"), "{mount}");
    in_container(
        &machine,
        &["sh", "-c", "echo kept >/data/file && ls -l /data/file"],
    );
    let made = uuid(&machine, &volume);
    assert!(made.len() > 30, "{made:?}");

    for _ in 0..2 {
        machine.reboot(DOWN);
        machine.wait_ready(BOOT);
        let again = the_container(&machine);
        assert_eq!(id(&again), id(&first), "{}", machine.journal("monopod"));
        assert_eq!(in_container(&machine, &["cat", "/data/file"]), "kept");
        assert_eq!(uuid(&machine, &volume), made, "it was formatted again");
        assert_eq!(machine.aws().calls_of("AttachVolume"), 1);
    }

    // The mount goes after the container at the end: nothing is in use, and the file system is clean.
    machine.power_off(DOWN);
    assert_clean(&machine, &volume);
}

/// Unmounted in order, and sound.
fn assert_clean(machine: &RealMachine, volume: &str) {
    let device = machine.disk(volume).device().display().to_string();
    let output = std::process::Command::new("dumpe2fs")
        .args(["-h", &device])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Filesystem state:         clean"), "{said}");
    let check = std::process::Command::new("e2fsck")
        .args(["-n", "-f", &device])
        .output()
        .unwrap();
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stdout)
    );
    assert!(!said.contains("needs_recovery"), "it was not unmounted:\n{said}");
}

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn the_old_machine_still_has_the_volume() {
    let machine = with_data("");
    let volume = machine.volume(EbsVolume::named("data"), 256);
    machine
        .aws()
        .hold_volume(&volume, "i-00000000000000001", "/dev/sdf");
    machine.boot();
    // Somebody who looks at the console knows what is waited for.
    machine.wait_console("i-00000000000000001", BOOT);
    assert!(machine.containers().is_empty());
    machine.aws().release_volume(&volume, Duration::from_secs(2));
    machine.wait_ready(BOOT);
    the_container(&machine);
    assert_eq!(told(&machine), one("SUCCESS"));
    in_container(&machine, &["sh", "-c", "echo kept >/data/file"]);
}

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn a_volume_that_is_never_free_ends_the_boot_in_its_budget() {
    let machine = with_data("boot_timeout: 75s");
    let volume = machine.volume(EbsVolume::named("data"), 256);
    machine
        .aws()
        .hold_volume(&volume, "i-00000000000000001", "/dev/sdf");
    machine.boot();
    let signal = machine.aws().wait_for_signal(BOOT);
    assert_eq!(signal.status, "FAILURE");
    assert!(
        machine.containers().is_empty(),
        "an application without its volume loses data"
    );
    let console = machine.console();
    let line = console.lines().find(|line| {
        line.contains("monopod[") && line.contains("the boot budget is spent, and prepare still fails")
    });
    let line = line.unwrap_or_else(|| panic!("the reason is not on the console:\n{console}"));
    assert!(
        line.contains(&volume) && line.contains("i-00000000000000001"),
        "{line}"
    );
    // The agent goes on, and a volume that is free after all is used.
    machine.aws().release_volume(&volume, Duration::ZERO);
    machine.wait_ready(BOOT);
    the_container(&machine);
    assert_eq!(told(&machine), one("FAILURE"), "a stack is told once");
}

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn a_volume_with_other_data_is_not_touched() {
    let machine = with_data("");
    let volume = machine.volume(EbsVolume::named("data"), 320);
    let file = machine.disk(&volume).file().display().to_string();
    let device = machine.disk(&volume).device().display().to_string();
    let made = std::process::Command::new("mkfs.xfs")
        .args(["-q", &device])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let hash = || {
        let output = std::process::Command::new("sha256sum")
            .arg(&file)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let before = hash();
    machine.boot();
    let signal = machine.aws().wait_for_signal(BOOT);
    assert_eq!(signal.status, "FAILURE");
    machine.wait_console("xfs", SOON);
    assert!(machine.containers().is_empty());
    assert_eq!(hash(), before);
}

//! Disks that are full.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use monopod_testrig::{Machine, SmallDisk};

use crate::{SOON, login, shell};

const MIB: u64 = 1 << 20;

#[test]
fn a_small_disk_is_full_and_relieved_and_gone() {
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts().matches("small-disk").count();
    let disk = SmallDisk::new(2 * MIB);
    assert_eq!(disk.free(), 2 * MIB);
    let file = disk.path().join("log");
    fs::write(&file, vec![1; 1 << 20]).unwrap();
    let full = fs::write(disk.path().join("more"), vec![1; 2 << 20]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    fs::remove_file(disk.path().join("more")).unwrap();
    disk.fill(64 * 1024);
    assert_eq!(disk.free(), 64 * 1024);
    disk.fill(0);
    assert!(fs::write(&file, vec![2; (1 << 20) + 4096]).is_err());
    disk.relieve();
    fs::write(&file, vec![2; (1 << 20) + 4096]).unwrap();
    assert_eq!(
        mounts().matches("small-disk").count(),
        before,
        "nothing on the host"
    );
    // A path that somebody resolved leads nowhere, and not to another disk.
    assert!(!Path::new("/mnt/small-disk").exists());
    let path = disk.path().to_owned();
    drop(disk);
    assert!(!path.exists());
}

#[test]
#[should_panic(expected = "on a file system of the host's")]
fn no_disk_of_the_host_is_filled() {
    let machine = Machine::acquire();
    // Its engine's data is where the host has room for everybody.
    machine.fill_small_disk(0);
}

#[test]
fn a_machine_has_everything_on_one_small_disk_or_some_of_it() {
    let machine = Machine::acquire();
    machine.one_small_disk(64 * MIB);
    login(&machine);
    machine.docker_ok(&["pull", "-q", &machine.registry().image("chatty")]);
    let script = "echo mine >$LOGS_DIRECTORY/application.log; echo x >$STATE_DIRECTORY/cursor; \
                  busybox stat -f -c \"blocks %b\" $LOGS_DIRECTORY $STATE_DIRECTORY; echo written";
    let agent = machine.spawn_command(shell(&machine, script));
    agent.wait_for_line("written", SOON);
    assert_eq!(
        agent.output().matches("blocks 16384").count(),
        2,
        "{}",
        agent.output()
    );
    let log = machine.dirs().logs.join("application.log");
    assert!(!log.exists());
    assert_eq!(fs::read_to_string(machine.seen(&log)).unwrap(), "mine\n");
    machine.fill_small_disk(0);
    assert!(fs::write(machine.seen(&log), vec![0; 1 << 20]).is_err());
    let said = machine.docker(&["run", "--rm", &machine.registry().image("chatty")]);
    assert!(!said.status.success(), "the engine's disk is full too");
    machine.relieve_small_disk();
    fs::write(machine.seen(&log), vec![0; 1 << 20]).unwrap();

    // The engine's is gone with the power; one of one's own, in place of one folder, is there after a reboot.
    machine.reboot();
    assert!(!machine.seen(&log).exists());
    let disk = SmallDisk::new(MIB);
    let mut command = shell(&machine, "echo kept >$LOGS_DIRECTORY/log; echo written");
    command.env("LOGS_DIRECTORY", disk.path());
    let agent = machine.spawn_command(command);
    agent.wait_for_line("written", SOON);
    machine.reboot();
    assert_eq!(fs::read_to_string(disk.path().join("log")).unwrap(), "kept\n");
}

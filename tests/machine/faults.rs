//! Boots that can't go well, or not at once; and machines that are switched off at any moment.

use monopod_testrig::{RealMachine, pause};

use super::*;

fn awaited() -> RealMachine {
    let machine = RealMachine::new();
    machine.aws().stack("shop-42", "AppServer");
    user_data(&machine, "web").web().line(NOTIFY).give(&machine);
    machine
}

/// Without an engine the agent counts the default budget, fifteen minutes: `MONOPOD_LONG=1` waits for the signal too.
#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn an_engine_that_does_not_start_is_told_and_the_agent_stays() {
    let machine = awaited();
    let settings = std::fs::read_to_string(machine.file("/etc/docker/daemon.json")).unwrap();
    machine.write("/etc/docker/daemon.json", "{ this is no JSON");
    machine.boot();
    machine.wait_console("engine at unix:///var/run/docker.sock", BOOT);
    let told_later = std::env::var_os("MONOPOD_LONG").is_some();
    if told_later {
        let signal = machine.aws().wait_for_signal(Duration::from_secs(17 * 60));
        assert_eq!(signal.status, "FAILURE");
        machine.wait_console("the boot failed", SOON);
    }
    assert_eq!(machine.unit("docker.service", "Result"), "exit-code");
    // Somebody mends it, and nobody has to start us.
    machine.write("/etc/docker/daemon.json", &settings);
    machine.run_ok(&["systemctl", "reset-failed", "docker.service"]);
    machine.run_ok(&["systemctl", "restart", "docker.service"]);
    machine.wait_ready(BOOT);
    the_container(&machine);
    assert_eq!(
        told(&machine),
        one(if told_later { "FAILURE" } else { "SUCCESS" })
    );
}

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn a_network_that_is_late_by_half_a_minute_is_waited_for() {
    let machine = awaited();
    machine.boot_without_network();
    pause(Duration::from_secs(30));
    assert!(machine.aws().signals().is_empty());
    machine.network_up();
    machine.wait_ready(BOOT);
    the_container(&machine);
    assert_eq!(told(&machine), one("SUCCESS"));
    assert_eq!(machine.unit("monopod.service", "NRestarts"), "0");
}

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn metadata_that_is_late_by_half_a_minute_is_waited_for() {
    let machine = awaited();
    machine.imds().late_by(Duration::from_secs(30));
    machine.boot();
    machine.wait_ready(BOOT);
    the_container(&machine);
    assert_eq!(told(&machine), one("SUCCESS"));
}

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn wrong_user_data_is_told_and_the_machine_can_be_looked_at() {
    let machine = awaited();
    user_data(&machine, "web")
        .line(NOTIFY)
        .line("ports: {8080: 8080/upd}")
        .give(&machine);
    machine.boot();
    let signal = machine.aws().wait_for_signal(BOOT);
    assert_eq!(signal.status, "FAILURE");
    machine.wait_unit("monopod.service", "failed", SOON);
    assert_eq!(machine.unit("monopod.service", "ExecMainStatus"), "78");
    assert!(machine.console().contains("the user data cannot be used"));
    assert!(machine.containers().is_empty());
    // Everything else is up: a person can log in.
    assert_eq!(machine.unit("ssh.service", "ActiveState"), "active");
    // The next boot reads it anew.
    user_data(&machine, "web").web().line(NOTIFY).give(&machine);
    machine.reboot(DOWN);
    machine.wait_ready(BOOT);
    the_container(&machine);
}

#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn a_full_disk_is_told_and_a_machine_that_ran_comes_back() {
    let machine = RealMachine::with_disk(420);
    machine.aws().stack("shop-42", "AppServer");
    user_data(&machine, "web").web().line(NOTIFY).give(&machine);
    machine.boot();
    machine.wait_ready(BOOT);
    let first = the_container(&machine);
    // The application fills it, as far as others than root can: what is kept for root is what the engine and the logs live
    // on. Counted, as an overlay writes for everybody as root. An engine without one free byte does not start at all.
    let room = machine.free_disk() / 4096;
    let fill = format!("of=/var/log-custom/ballast bs=4096 count={room}");
    let fill: Vec<&str> = ["dd", "if=/dev/zero"]
        .into_iter()
        .chain(fill.split(' '))
        .collect();
    machine.run_ok(&fill);
    assert!(machine.free_disk() < 1 << 20, "{} are free", machine.free_disk());
    machine.reboot(DOWN);
    machine.wait_ready(BOOT);
    let again = the_container(&machine);
    assert_eq!(id(&again), id(&first), "{}", machine.journal("monopod"));
    // Break-glass: root can log in, and the agent shows how things are.
    assert_eq!(machine.unit("ssh.service", "ActiveState"), "active");
    assert_eq!(machine.status()["healthy"], true);
    assert_eq!(told(&machine), one("SUCCESS"));
}

/// A machine dies at any moment; what it says at its next boot is right. `MONOPOD_KILLS` (5) makes it longer.
#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn whenever_a_machine_dies_there_is_one_right_container_after_the_next_boot() {
    let kills = std::env::var("MONOPOD_KILLS").map_or(5, |text| text.parse().unwrap());
    let mut chance = Chance::new();
    let machine = RealMachine::new();
    machine.aws().stack("shop-42", "AppServer");
    let volume = machine.volume(monopod_testrig::EbsVolume::named("data"), 256);
    let mut greeting = 0;
    let give = |greeting: u32| {
        user_data(&machine, "web")
            .web()
            .line(NOTIFY)
            .line(
                "volumes: {ebs: {/dev/sdf: data}}\nmounts: {/data: {partition: /dev/xvdf, filesystem: ext4}}",
            )
            .env(&[("GREETING", &greeting.to_string())])
            .give(&machine);
    };
    give(greeting);
    // How long a boot takes here, so that the moments lie in all of it.
    machine.boot();
    machine.wait_ready(BOOT);
    let whole = machine.uptime();
    machine.run_ok(&["docker", "exec", CONTAINER, "sh", "-c", "echo kept >/data/file"]);
    machine.run_ok(&["sync"]);
    machine.kill();
    for kill in 0..kills {
        // Every other time the boot has something to do: other user data.
        if kill % 2 == 1 {
            greeting += 1;
            give(greeting);
        }
        machine.boot();
        let moment = whole.mul_f64(chance.share() * 1.2);
        pause(moment);
        machine.kill();
        println!("kill {kill}: after {moment:?} of {whole:?}");

        machine.boot();
        machine.wait_ready(BOOT);
        let container = the_container(&machine);
        let wanted = format!("GREETING={greeting}");
        assert!(
            container["Config"]["Env"].to_string().contains(&wanted),
            "{container:#}"
        );
        assert_eq!(machine.http_get(8080, "/health").unwrap().status, 200);
        assert_eq!(
            machine.run_ok(&["docker", "exec", CONTAINER, "cat", "/data/file"]),
            "kept"
        );
        assert_eq!(told(&machine), one("SUCCESS"));
        machine.kill();
    }
    let device = machine.disk(&volume).device().display().to_string();
    let replay = std::process::Command::new("e2fsck")
        .args(["-p", &device])
        .output()
        .unwrap();
    assert!(matches!(replay.status.code(), Some(0 | 1)), "{replay:?}");
    let check = std::process::Command::new("e2fsck")
        .args(["-f", "-n", &device])
        .output()
        .unwrap();
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stdout)
    );
}

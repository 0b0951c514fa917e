//! The power is cut: a kill of a virtual machine whose disks are not cached outside of it. Minutes for each boot, as there is
//! no help of the processor; `make power-test` runs it. `MONOPOD_CUTS` (3) is how often.

use std::process::Command;

use monopod_testrig::{EbsVolume, Image, VirtualMachine, pause};

use super::*;

/// Writes numbers to the volume; says each outside once it is on the disk.
const WRITER: &str = "trap 'exit 0' TERM
number=$(tail -n 1 /data/log 2>/dev/null)
while :; do
    number=$((${number:-0} + 1))
    echo $number | dd of=/data/log oflag=append conv=notrunc,fsync 2>/dev/null
    echo $number
    sleep 0.1
done | nc 10.0.0.1 7777
";

#[test]
#[ignore = "needs `make image`, and an hour: run `make power-test`"]
fn the_power_is_cut_and_nothing_that_was_safe_is_lost() {
    let cuts = std::env::var("MONOPOD_CUTS").map_or(3, |text| text.parse().unwrap());
    let mut chance = Chance::new();
    let machine = VirtualMachine::new();
    machine.aws().stack("shop-42", "AppServer");
    let volume = machine.volume(EbsVolume::named("data"), "/dev/sdf", 512);
    let image = machine.registry().push(&Image::new("power-writer", WRITER));
    machine.imds().set_user_data(format!(
        "#taupage-ami-config\napplication_id: app\napplication_version: \"1.0\"\nsource: {image}\ndockercfg: {}\n{NOTIFY}\n\
         volumes: {{ebs: {{/dev/sdf: data}}}}\nmounts: {{/data: {{partition: /dev/xvdf, filesystem: ext4}}}}\n\
         boot_timeout: 1h\n",
        machine.registry().dockercfg()
    ));
    let begun = std::time::Instant::now();
    machine.boot();
    machine.wait_console("ready: app", SLOW_BOOT);
    let whole = begun.elapsed();
    println!("the first boot: {whole:?}");
    let mut safe = last(&machine);
    for cut in 0..=cuts {
        if cut > 0 {
            // In a boot, or some time after it; the writer writes from the container's start on.
            let moment = whole.mul_f64(chance.share() * 1.3);
            machine.boot();
            pause(moment);
            println!("cut {cut}: after {moment:?} of {whole:?}");
        }
        safe = safe.max(last(&machine));
        machine.cut_power();
        machine.boot();
        machine.wait_console("ready: app", SLOW_BOOT);
        let containers = machine.shell("docker ps --all --format '{{.Names}} {{.State}}'");
        assert_eq!(containers, "taupageapp running", "{}", machine.console());
        let there: u64 = machine
            .shell("tail -n 1 /mounts/data/log")
            .trim()
            .parse()
            .unwrap();
        assert!(there >= safe, "{safe} was on the disk, {there} is left");
        println!("cut {cut}: {safe} was safe, {there} is there");
        machine.cut_power();
    }
    let signals = machine.aws().signals();
    assert!(signals.iter().all(|one| one.status == "SUCCESS"), "{signals:?}");
    // What the kernel does at a mount, and then every check there is.
    let file = machine.volume_file(&volume).display().to_string();
    let replayed = Command::new("e2fsck").args(["-p", &file]).output().unwrap();
    assert!(matches!(replayed.status.code(), Some(0 | 1)), "{replayed:?}");
    let checked = Command::new("e2fsck").args(["-f", "-n", &file]).output().unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
}

/// The last number that was on the disk when it was said.
fn last(machine: &VirtualMachine) -> u64 {
    let heard = machine.heard().entries();
    heard
        .iter()
        .filter_map(|line| line.parse().ok())
        .max()
        .unwrap_or(0)
}

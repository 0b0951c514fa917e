//! Volumes, arrays and mounts, alone and together.

use super::{clean, code, error, report, warned, warning};
use crate::config::{Code, EbsVolume, Filesystem, Mount, RaidLevel};

/// The code, the key and the sentence of the one error.
fn told(lines: &str) -> (Code, String, String) {
    let problem = error(lines);
    (problem.code, problem.key.unwrap_or_default(), problem.message)
}

#[test]
fn volumes() {
    let config = clean(
        "volumes:\n  ebs: {/dev/xvdf: 'data-${local_ipv4}', /dev/sdg: b}\n  raid:\n    /dev/md/x: {level: 1, devices: \
         [/dev/xvdf, /dev/xvdg]}\n    /dev/md0: {level: '10', devices: [/dev/a, /dev/b]}",
    );
    let storage = config.storage();
    assert_eq!(
        storage.ebs[0],
        EbsVolume {
            device: "/dev/xvdf".into(),
            name_tag: "data-${local_ipv4}".into()
        }
    );
    assert_eq!(storage.ebs.len(), 2);
    assert_eq!(storage.raid[0].level, RaidLevel::Raid1);
    assert_eq!(storage.raid[1].level, RaidLevel::Raid10);
    assert_eq!(storage.raid[0].members, ["/dev/xvdf", "/dev/xvdg"]);
    for (bad, wanted) in [
        ("volumes: {ebs: {sdf: x}}", Code::BadValue),
        ("volumes: {ebs: {/dev/../etc/x: x}}", Code::BadValue),
        ("volumes: {ebs: {/dev/nvme1n1: x}}", Code::BadValue),
        ("volumes: {ebs: [x]}", Code::WrongType),
        (
            "volumes: {raid: {/dev/md/x: {level: 6, devices: [/dev/a, /dev/b]}}}",
            Code::BadValue,
        ),
        (
            "volumes: {raid: {/dev/md/x: {level: 0, devices: [/dev/a]}}}",
            Code::BadValue,
        ),
        (
            "volumes: {raid: {/dev/md/x: {level: 0, devices: [/dev/a, /b]}}}",
            Code::BadValue,
        ),
        (
            "volumes: {raid: {/dev/md/x: {devices: [/dev/a, /dev/b]}}}",
            Code::Missing,
        ),
        (
            "volumes: {raid: {/dev/data: {level: 0, devices: [/dev/a, /dev/b]}}}",
            Code::BadValue,
        ),
    ] {
        assert_eq!(code(bad), wanted, "{bad}");
    }
    assert_eq!(warning("volumes: {eb: {/dev/sdf: x}}").1.code, Code::UnknownKey);
}

#[test]
fn the_layout_of_2015_is_ignored_and_said_so() {
    let (config, problems) = warned("volumes:\n  /dev/sdf: {name: x}");
    assert!(config.storage().is_empty());
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].code, Code::OldLayout);
}

#[test]
fn mounts() {
    let config = clean(
        "mounts:\n  /data: {partition: /dev/xvdf, erase_on_boot: true, options: 'noatime, nodiratime'}\n  /tmp2: \
         {filesystem: tmpfs, partition: none, erase_on_boot: false, options: size=32m}\n  /bind: {}\n  /x: \
         {partition: /dev/md/x, filesystem: xfs}",
    );
    let mounts = &config.storage().mounts;
    assert_eq!(
        mounts[0],
        Mount {
            path: "/data".into(),
            partition: Some("/dev/xvdf".into()),
            filesystem: Filesystem::Ext4,
            erase_on_boot: Some(true),
            options: Some("noatime,nodiratime".into()),
        }
    );
    assert_eq!(
        (mounts[1].filesystem, &mounts[1].partition),
        (Filesystem::Tmpfs, &None)
    );
    assert_eq!(mounts[2].partition, None);
    for erase in ["'false'", "0", "1", "'true'", "[true]"] {
        let lines = format!("mounts: {{/data: {{partition: /dev/xvdf, erase_on_boot: {erase}}}}}");
        assert_eq!(code(&lines), Code::WrongType, "{lines}");
    }
    for (bad, wanted) in [
        ("mounts: {data: {partition: /dev/xvdf}}", Code::BadValue),
        ("mounts: {/data: {partition: xvdf}}", Code::BadValue),
        ("mounts: {/data: {partition: /dev/../etc/passwd}}", Code::BadValue),
        ("mounts: {/data: {partition: none}}", Code::BadValue),
        (
            "mounts: {/data: {partition: /dev/xvdf, filesystem: tmpfs}}",
            Code::BadValue,
        ),
        (
            "mounts: {/data: {partition: /dev/xvdf, filesystem: btrfs}}",
            Code::BadValue,
        ),
        (
            "mounts: {/data: {partition: /dev/xvdf, options: \"ro\\nExecStart=/bin/sh\"}}",
            Code::BadValue,
        ),
        (
            "mounts: {/data: {partition: /dev/xvdf, options: 'ro\\'}}",
            Code::BadValue,
        ),
        ("mounts: {/data: /dev/xvdf}", Code::WrongType),
    ] {
        assert_eq!(code(bad), wanted, "{bad}");
    }
    assert_eq!(
        warning("mounts: {/data: {partiton: /dev/xvdf}}").1.code,
        Code::UnknownKey
    );
}

#[test]
fn what_lies_in_another_mount_comes_after_it() {
    let config = clean("mounts: {/a/b/c: {}, /z: {}, /a/b: {partition: /dev/xvdf}, /a: {}}");
    let paths: Vec<&str> = config
        .storage()
        .mounts
        .iter()
        .map(|one| one.path.as_str())
        .collect();
    assert_eq!(paths, ["/z", "/a", "/a/b", "/a/b/c"]);
}

#[test]
fn one_device_is_for_one_thing() {
    for (lines, key, part) in [
        (
            "volumes: {ebs: {/dev/sdf: a, /dev/xvdf: b}}",
            "volumes.ebs./dev/xvdf",
            "as one device",
        ),
        (
            "volumes: {raid: {/dev/md/a: {level: 0, devices: [/dev/sdb, /dev/sdc]}, /dev/md/b: {level: 0, devices: [/dev/xvdc, /dev/xvdd]}}}",
            "volumes.raid./dev/md/b.devices",
            "a part of an array already",
        ),
        (
            "volumes: {raid: {/dev/md/a: {level: 1, devices: [/dev/sdb, /dev/xvdb]}}}",
            "volumes.raid./dev/md/a.devices",
            "a part of an array already",
        ),
        (
            "volumes: {raid: {/dev/md/a: {level: 1, devices: [/dev/sdb, /dev/sdc]}, /dev/md/b: {level: 0, devices: [/dev/md/a, /dev/sdd]}}}",
            "volumes.raid./dev/md/b.devices",
            "an array cannot be",
        ),
        (
            "mounts: {/a: {partition: /dev/sdf}, /b: {partition: /dev/xvdf}}",
            "mounts./b.partition",
            "another mount has",
        ),
        (
            "mounts: {/a: {partition: /dev/xvdf1}, /b: {partition: /dev/xvdf}}",
            "mounts./b.partition",
            "another mount has",
        ),
        (
            "volumes: {raid: {/dev/md/a: {level: 0, devices: [/dev/sdb, /dev/sdc]}}}\nmounts: {/b: {partition: /dev/xvdb}}",
            "mounts./b.partition",
            "a part of an array",
        ),
    ] {
        let (code, at, message) = told(lines);
        assert_eq!((code, at.as_str()), (Code::BadValue, key), "{lines}: {message}");
        assert!(message.contains(part), "{lines}: {message}");
    }
    clean("mounts: {/a: {partition: /dev/xvdf1}, /b: {partition: /dev/xvdf2}}");
    clean(
        "volumes: {ebs: {/dev/sdf: a}, raid: {/dev/md/a: {level: 0, devices: [/dev/nvme1n1, /dev/nvme2n1]}}}\n\
         mounts: {/a: {partition: /dev/xvdf}, /b: {partition: /dev/md/a}}",
    );
}

#[test]
fn a_device_that_nothing_attaches_may_be_a_slip() {
    let (_, problem) = warning("volumes: {ebs: {/dev/sdf: a}}\nmounts: {/a: {partition: /dev/xvdg}}");
    assert_eq!(
        (problem.code, problem.key.as_deref()),
        (Code::NotAttached, Some("mounts./a.partition"))
    );
    clean("mounts: {/a: {partition: /dev/xvdg}}");
    clean("volumes: {ebs: {/dev/sdf: a}}\nmounts: {/a: {partition: /dev/xvdf1}}");
}

#[test]
fn every_mount_has_a_place_of_its_own() {
    for lines in [
        "mounts: {/: {}}",
        "mounts: {/proc/x: {}}",
        "mounts: {/sys: {}}",
        "mounts: {/dev/shm: {}}",
        "mounts: {/run/secrets: {}}",
        "mounts: {/run/secrets/x: {}}",
        "mounts: {/meta/credentials: {}}",
        "mount_certs: true\nmounts: {/etc/ssl/certs: {}}",
        "mount_certs: true\nmounts: {/etc/ssl/certs/mine: {}}",
        "mount_custom_log: true\nmounts: {/var/log: {}}",
        "tmpfs: {/cache: size=1m}\nmounts: {/cache: {}}",
        "files: {/data/a.conf: x}\nmounts: {/data: {partition: /dev/xvdf, options: ro}}",
        "files: {/data: x}\nmounts: {/data: {}}",
        "mounts: {/data/: {}}",
        "mounts: {/a/../b: {}}",
    ] {
        assert_eq!(code(lines), Code::BadValue, "{lines}");
    }
    clean("files: {/data/a.conf: x}\nmounts: {/data: {partition: /dev/xvdf}}");
    clean("mounts: {/run: {}, /meta: {}, /device: {}}");
    let long = format!("mounts: {{/{}: {{partition: /dev/xvdf}}}}", "-".repeat(70));
    assert!(told(&long).2.contains("too long"));
    clean(&long.replace("partition: /dev/xvdf", ""));
}

#[test]
fn orders_that_cannot_be_followed() {
    let read_only = "mounts: {/a: {partition: /dev/xvdf, erase_on_boot: true, options: 'noatime,ro'}}";
    assert!(told(read_only).2.contains("never formatted"));
    for no_device in [
        "mounts: {/a: {erase_on_boot: true}}",
        "mounts: {/a: {filesystem: tmpfs, erase_on_boot: true}}",
        "mounts: {/a: {options: noatime}}",
    ] {
        assert_eq!(warning(no_device).1.code, Code::NoEffectHere, "{no_device}");
    }
    clean("mounts: {/a: {options: ro}}");
    clean("mounts: {/a: {filesystem: tmpfs, options: 'size=1m,mode=0700'}}");
}

#[test]
fn no_problem_quotes_a_value() {
    const CANARY: &str = "canary";
    for lines in [
        "mounts: {/a: {partition: /canary}}",
        "mounts: {/a: {partition: /dev/xvdf, options: 'canary\\'}}",
        "volumes: {raid: {/dev/md/a: {level: canary, devices: [/dev/canary, canary]}}}",
        "volumes: {ebs: {/dev/sdf: a}}\nmounts: {/a: {partition: /dev/canary}, /b: {partition: /dev/canary}}",
        "mounts: {/a: {options: canary}}",
    ] {
        let report = report(lines);
        assert!(!report.problems().is_empty(), "{lines}");
        for problem in report.problems() {
            assert!(!format!("{problem:?}").contains(CANARY), "{problem:?}");
        }
    }
}

#[test]
fn mounts_shape_the_container_and_how_a_disk_is_made_ready_does_not() {
    let intent = |lines: &str| clean(lines).canonical();
    let plain = intent("volumes: {ebs: {/dev/sdf: a}}\nmounts: {/a: {partition: /dev/xvdf}, /b: {}}");
    for same in [
        "mounts: {/b: {}, /a: {partition: /dev/xvdf}}\nvolumes: {ebs: {/dev/sdf: a}}",
        "volumes: {ebs: {/dev/sdf: a}}\nmounts: {/a: {partition: /dev/xvdf, erase_on_boot: false, filesystem: xfs, options: noatime}, /b: {}}",
    ] {
        assert_eq!(intent(same), plain, "{same}");
    }
    for other in [
        "volumes: {ebs: {/dev/sdf: b}}\nmounts: {/a: {partition: /dev/xvdf}, /b: {}}",
        "volumes: {ebs: {/dev/sdf: a}}\nmounts: {/a: {partition: /dev/xvdf, options: ro}, /b: {}}",
        "volumes: {ebs: {/dev/sdf: a}}\nmounts: {/a: {partition: /dev/xvdf}, /c: {}}",
        "volumes: {ebs: {/dev/sdf: a}}\nmounts: {/a: {partition: /dev/xvdf1}, /b: {}}",
        "volumes: {ebs: {/dev/sdf: a}}\nmounts: {/a: {partition: /dev/xvdf}, /b: {filesystem: tmpfs}}",
    ] {
        assert_ne!(intent(other), plain, "{other}");
    }
    assert_eq!(intent("mounts:\nvolumes: {}"), intent(""));
}

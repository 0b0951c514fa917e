//! What a plan says of disks, and who waits for them.

use serde_json::{Value, json};

use super::{paths, plan};
use crate::config::parse;
use crate::facts::InstanceFacts;
use crate::plan::reconcile::Then;
use crate::plan::{Plan, StepId};
use crate::storage::Owner;

const ALL: &str = "volumes:\n  ebs: {/dev/sdf: 'data-${local_ipv4}'}\n  raid: {/dev/md/x: {level: 10, devices: [/dev/xvdb, /dev/xvdc]}}\n\
     mounts:\n  /a: {partition: /dev/md/x, filesystem: xfs, options: noatime, erase_on_boot: false}\n\
     \x20 /b: {partition: /dev/xvdd, erase_on_boot: true}\n  /c: {partition: none, filesystem: tmpfs, options: size=1m}\n  /d: {options: ro}\n\
     \x20 /e: {partition: /dev/xvdf}\n  /e/f: {partition: /dev/nvme1n1}\n  /g: {partition: /dev/xvdg, options: ro}";

fn here(lines: &str) -> Plan {
    let text = format!(
        "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1\"\nsource: registry.example.org/a:1\n{lines}\n"
    );
    let report = parse(text.as_bytes(), "user data");
    let facts: InstanceFacts = serde_json::from_value(json!({
        "instance_id": "i-0123456789abcdef0",
        "region": "eu-central-1",
        "availability_zone": "eu-central-1a",
        "account_id": "123456789012",
        "local_ipv4": "172.31.1.1",
    }))
    .unwrap();
    Plan::new(report.config().unwrap(), Vec::new(), Some(&facts))
}

#[test]
fn storage_says_what_is_done_and_what_is_open() {
    let plan = plan(ALL);
    let text = plan.to_text();
    assert!(
        text.contains(
            "\nStorage, by monopod-prepare.service; what stands in <> is known on the machine\n\
             \x20 attach <the volume that is here already, else the lowest id available in the machine's zone> named data-${local_ipv4} as /dev/sdf; wait while another machine has it\n\
             \x20 start <the array that exists, else a new one of blank devices> /dev/md/x as RAID 10 from /dev/xvdb, /dev/xvdc\n\
             \x20 mount /dev/md/x at /a as xfs (noatime), never formatted; checked and grown\n\
             \x20 mount /dev/xvdd at /b as ext4, formatted once for each instance and device, whatever is on it, then checked and grown\n\
             \x20 mount memory at /c (size=1m)\n\
             \x20 mount /mounts/d, a directory of the machine, at /d\n\
             \x20 mount /dev/xvdf at /e as ext4, formatted <if it is blank, or its volume has the tag Taupage:erase-on-boot=True>, else checked and grown\n\
             \x20 mount /dev/xvdg at /g as ext4 (ro), never formatted: read-only\n\
             \x20 mount /dev/nvme1n1 at /e/f as ext4, formatted <if it is blank>, else checked and grown\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("\n  mount              /mounts/a of the machine at /a, writable\n"),
        "{text}"
    );
    assert!(
        text.contains("\n  mount              /mounts/d of the machine at /d, read-only\n"),
        "{text}"
    );
    assert!(
        here(ALL)
            .to_text()
            .contains("the lowest id available in eu-central-1a> named data-172.31.1.1 as /dev/sdf"),
    );
    let json = here(ALL).to_json();
    assert_eq!(json["storage"]["volumes"]["/dev/sdf"]["volume_id"], Value::Null);
    assert_eq!(
        json["storage"]["volumes"]["/dev/sdf"]["name_tag"],
        "data-172.31.1.1"
    );
    assert_eq!(json["storage"]["arrays"]["/dev/md/x"]["level"], 10);
    let mount = &json["storage"]["mounts"]["/e/f"];
    assert_eq!(
        (&mount["place"], &mount["blank"], &mount["erase_on_boot"]),
        (&json!("/mounts/e/f"), &Value::Null, &Value::Null)
    );
    assert_eq!(
        json["container"]["mounts"]["/d"],
        json!({"source": "/mounts/d", "read_only": true})
    );
}

#[test]
fn parents_are_bound_before_what_lies_in_them() {
    let targets: Vec<String> = plan("mounts: {/e/f: {}, /e: {}}")
        .container
        .mounts
        .into_iter()
        .map(|one| one.target)
        .collect();
    assert_eq!(targets, ["/e", "/e/f"]);
}

#[test]
fn a_container_that_is_started_waits_for_its_disks_and_one_that_runs_does_not() {
    let ids = |lines: &str, then: &Then| -> Vec<StepId> {
        plan(lines).steps(then).iter().map(|step| step.id()).collect()
    };
    let (id, digest) = ("c1".to_owned(), "sha256:1".to_owned());
    let adopt = Then::Adopt {
        id: id.clone(),
        digest: digest.clone(),
    };
    let resume = Then::Resume { id, digest };
    let mounts = "mounts: {/data: {partition: /dev/xvdf}}";
    assert!(ids(mounts, &Then::Create).contains(&StepId::Prepare));
    assert!(ids(mounts, &resume).contains(&StepId::Prepare));
    assert!(!ids(mounts, &adopt).contains(&StepId::Prepare));
    assert!(!ids("memory: 64m", &Then::Create).contains(&StepId::Prepare));
    assert!(StepId::Container.after().contains(&StepId::Prepare));
    assert!(
        !StepId::Image.after().contains(&StepId::Prepare),
        "the image comes meanwhile"
    );
    let text = plan(mounts).to_text();
    assert!(
        text.contains(
            "  prepare    wait for monopod-prepare.service: disks (1 step)\n               after config\n"
        ),
        "{text}"
    );
    assert!(text.contains("after prepare, firewall, secrets, image"), "{text}");
    let text = plan("memory: 64m").to_text();
    assert!(!text.contains("prepare"), "{text}");
    assert!(text.contains("after firewall, secrets, image"), "{text}");
}

#[test]
fn the_calls_are_those_that_are_needed() {
    let calls = |lines: &str| -> Vec<String> {
        here(lines)
            .aws_calls()
            .into_iter()
            .filter(|call| call.action.starts_with("ec2:"))
            .map(|call| format!("{} {} {}", call.times, call.action, call.resource))
            .collect()
    };
    const VOLUMES: &str = "arn:aws:ec2:eu-central-1:123456789012:volume/*";
    assert_eq!(
        calls(
            "volumes: {ebs: {/dev/sdf: a, /dev/sdg: b}}\nmounts: {/a: {partition: /dev/sdf}, /b: {partition: /dev/sdg, erase_on_boot: false}}"
        ),
        [
            "2 ec2:DescribeVolumes *".to_owned(),
            format!("2 ec2:AttachVolume {VOLUMES}"),
            "2 ec2:AttachVolume arn:aws:ec2:eu-central-1:123456789012:instance/i-0123456789abcdef0"
                .to_owned(),
            format!("0 ec2:DeleteTags {VOLUMES}"),
        ]
    );
    // Volumes of the launch template's: on Nitro only EC2 knows which disk they are. Their tags are no orders.
    for asked in [
        "mounts: {/a: {partition: /dev/xvdf}}",
        "mounts: {/a: {partition: /dev/xvdf1, erase_on_boot: true}}",
        "volumes: {raid: {/dev/md/x: {level: 0, devices: [/dev/sdb, /dev/sdc]}}}\nmounts: {/a: {partition: /dev/md/x}}",
    ] {
        assert_eq!(calls(asked), ["1 ec2:DescribeVolumes *"], "{asked}");
    }
    for none in [
        "mounts: {/a: {partition: /dev/nvme1n1}}",
        "mounts: {/a: {}}",
        "volumes: {raid: {/dev/md/x: {level: 0, devices: [/dev/nvme1n1, /dev/nvme2n1]}}}\nmounts: {/a: {partition: /dev/md/x}}",
    ] {
        assert_eq!(calls(none), [""; 0], "{none}");
    }
    let policy = here("volumes: {ebs: {/dev/sdf: a}}\nmounts: {/a: {partition: /dev/sdf}}").iam_policy();
    assert_eq!(
        policy["Statement"][3]["Condition"],
        json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["Taupage:erase-on-boot"]}})
    );
}

#[test]
fn who_the_mounts_belong_to() {
    let owner = |lines: &str| plan(lines).owner();
    assert_eq!(owner(""), Some(Owner { uid: 999, gid: 999 }));
    assert_eq!(owner("user: '1000'"), Some(Owner { uid: 1000, gid: 1000 }));
    assert_eq!(owner("user: '1000:50'"), Some(Owner { uid: 1000, gid: 50 }));
    assert_eq!(owner("root: true"), None, "the image's own user");
}

#[test]
fn a_plan_of_other_disks_says_what_changes() {
    let (replaced, changed) = paths(
        "mounts: {/a: {partition: /dev/xvdf}}",
        "mounts: {/a: {partition: /dev/xvdf, erase_on_boot: false}}",
    );
    assert!(!replaced);
    assert!(
        changed.contains(&"storage.mounts./a.erase_on_boot".to_owned()),
        "{changed:?}"
    );
}

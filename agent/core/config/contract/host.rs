//! The machine around the container, and who is told about it.

use super::Fate::{Later, Read};
use super::Shape::{Choice, Either, Flag, List, Map, Number, Secret, StrictFlag, Text};
use super::{Grammar, Key};

const PORT: super::Shape = Number {
    least: 1,
    most: 65_535,
    unit: "",
};

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "sysctl",
        Map {
            key: "the setting's name",
            names: Grammar::Setting,
            value: &super::Shape::Scalar,
        },
        Later("no kernel setting is changed"),
        "Kernel settings of the machine, by the names of sysctl(8).",
    )
    .taupage("Written on the host; net.* never reached a container with a network of its own.")
    .example("sysctl:\n  fs.file-max: 262144"),
    Key::new(
        "sysfs",
        Map {
            key: "the path below /sys",
            names: Grammar::SysfsPath,
            value: &super::Shape::Scalar,
        },
        Later("nothing below /sys is written"),
        "Kernel settings below /sys; transparent huge pages are the only one that may be set.",
    )
    .taupage("The same; other paths were skipped.")
    .ours("Another path is an error.")
    .example("sysfs:\n  /sys/kernel/mm/transparent_hugepage/enabled: never"),
    Key::new(
        "ssh_ports",
        Either(&[List(&PORT), PORT]),
        Later("sshd listens where the image says"),
        "The ports sshd listens on.",
    )
    .default("[22]")
    .taupage("The same.")
    .example("ssh_ports: [22, 2222]"),
    Key::new(
        "ssh_gateway_ports",
        Either(&[StrictFlag, Choice(&["yes", "no", "clientspecified"])]),
        Later("sshd's GatewayPorts stays what the image says"),
        "Whether ports forwarded through sshd are open to other machines: its GatewayPorts.",
    )
    .default("the image's")
    .taupage("The same.")
    .example("ssh_gateway_ports: \"yes\""),
    Key::new(
        "keep_instance_users",
        Flag,
        Later("the image's users stay as they are"),
        "Keeps the authorized_keys of the cloud image's own user.",
    )
    .default("false")
    .taupage("The same.")
    .example("keep_instance_users: true"),
    Key::new(
        "enhanced_cloudwatch_metrics",
        Flag,
        Read,
        "Sends the use of memory and of the root file system to CloudWatch every five minutes: MemoryUtilization and DiskSpaceUtilization in System/Linux, by InstanceId, and by AutoScalingGroupName where `lifecycle_hooks.group` or the instance's tags in its metadata say it.",
    )
    .default("false")
    .taupage("The same, by a script of AWS's that found the group by a call of EC2.")
    .ours("The role needs cloudwatch:PutMetricData and nothing else.")
    .example("enhanced_cloudwatch_metrics: true"),
    Key::new(
        "xray_enabled",
        Flag,
        Later("no X-Ray daemon runs"),
        "Runs the X-Ray daemon beside the container.",
    )
    .default("false")
    .taupage("The same.")
    .example("xray_enabled: true"),
];

pub(super) const AUDIT: &[Key] = &[
    Key::new(
        "instance_logs_url",
        Text(Grammar::Url),
        Read,
        "Where audit records are sent: the configuration without its values that may be secrets, how each boot ended, and the machine's audit.log once it is rotated, and at shutdown.",
    )
    .default("none: no audit record leaves the machine")
    .taupage("The configuration and audit.log, once each: what was refused was not sent again.")
    .ours("Sent again until it is taken. The boot record is a type of its own, BOOT_RECORD. In the configuration everything is masked that may be a secret, whatever its key is called.")
    .example("instance_logs_url: https://logsink.example.org/instance-logs"),
    Key::new(
        "logsink_username",
        Text(Grammar::NotEmpty),
        Read,
        "The user name for `instance_logs_url`.",
    )
    .default("none: nobody logs in")
    .taupage("The same.")
    .example("logsink_username: my-user"),
    Key::new(
        "logsink_password",
        Secret,
        Read,
        "The password for `instance_logs_url`. It is fetched when the first record is sent, so no boot waits for it.",
    )
    .default("none: an empty one")
    .taupage("In clear, or encrypted: then the text was sent as it stood.")
    .ours("A reference is fetched. It is sent over https, or to this machine itself.")
    .example("logsink_password: aws:kms:AQICAHhFeGFtcGxl"),
];

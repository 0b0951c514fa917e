//! The machine around the container, and who is told about it.

use super::Fate::Later;
use super::Shape::{Choice, Either, Flag, List, Map, Number, Secret, Text};
use super::{Grammar, Key};

const NOT_SENT: &str = "no audit record leaves the machine";

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "sysctl",
        Map {
            key: "the setting's name",
            value: &super::Shape::Scalar,
        },
        Later("no kernel setting is changed"),
        "Kernel settings.",
    )
    .taupage("Written on the host; net.* never reached a container with a network of its own.")
    .example("sysctl:\n  fs.file-max: 262144"),
    Key::new(
        "sysfs",
        Map {
            key: "the path below /sys",
            value: &super::Shape::Scalar,
        },
        Later("nothing below /sys is written"),
        "Kernel settings below /sys; only transparent huge pages may be set.",
    )
    .taupage("The same.")
    .example("sysfs:\n  /sys/kernel/mm/transparent_hugepage/enabled: never"),
    Key::new(
        "ssh_ports",
        List(&Number {
            least: 1,
            most: 65_535,
            unit: "",
        }),
        Later("sshd listens where the image says"),
        "Where sshd listens.",
    )
    .default("[22]")
    .taupage("The same.")
    .example("ssh_ports: [22, 2222]"),
    Key::new(
        "ssh_gateway_ports",
        Either(&[Flag, Choice(&["yes", "no", "clientspecified"])]),
        Later("sshd's GatewayPorts stays what the image says"),
        "sshd's GatewayPorts.",
    )
    .taupage("The same.")
    .example("ssh_gateway_ports: \"yes\""),
    Key::new(
        "keep_instance_users",
        Flag,
        Later("the image's users stay as they are"),
        "Keeps the cloud image's authorized_keys.",
    )
    .default("false")
    .taupage("The same.")
    .example("keep_instance_users: true"),
    Key::new(
        "enhanced_cloudwatch_metrics",
        Flag,
        Later("no metrics are sent"),
        "Memory and disk as CloudWatch metrics.",
    )
    .default("false")
    .taupage("The same.")
    .example("enhanced_cloudwatch_metrics: true"),
    Key::new(
        "xray_enabled",
        Flag,
        Later("no X-Ray daemon runs"),
        "The X-Ray daemon beside the container.",
    )
    .default("false")
    .taupage("The same.")
    .example("xray_enabled: true"),
];

pub(super) const AUDIT: &[Key] = &[
    Key::new(
        "instance_logs_url",
        Text(Grammar::Url),
        Later(NOT_SENT),
        "Where audit records go.",
    )
    .taupage("The same.")
    .example("instance_logs_url: https://logsink.example.org/instance-logs"),
    Key::new(
        "logsink_username",
        Text(Grammar::NotEmpty),
        Later(NOT_SENT),
        "Basic auth for it.",
    )
    .taupage("The same.")
    .example("logsink_username: my-user"),
    Key::new("logsink_password", Secret, Later(NOT_SENT), "Basic auth for it.")
        .taupage("The same.")
        .example("logsink_password: aws:kms:AQICAHh..."),
];

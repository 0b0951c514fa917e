//! The machine around the container, and who is told about it.

use super::Fate::{Later, Read};
use super::Shape::{Choice, Either, Flag, List, Map, Number, Object, Secret, StrictFlag, Text};
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
        Read,
        "Kernel settings, by the names of sysctl(8). What the container has of its own is set in the container: the settings of its network (net.ipv4.*, net.ipv6.*, net.unix.*, net.core.somaxconn, unless `networking` is `host`), of shared memory and of message queues (kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*). Everything else is set on the machine, before the container starts. The plan says which is which. A setting of the machine's that its kernel does not have is passed over with a warning; one that the kernel refuses ends the boot.",
    )
    .taupage("Written on the host; net.* never reached a container with a network of its own, and a setting that was refused left a machine that did nothing and said nothing.")
    .ours("A setting that names a program for the kernel to run as root is an error.")
    .example("sysctl:\n  fs.file-max: 262144\n  net.ipv4.tcp_keepalive_time: 60"),
    Key::new(
        "sysfs",
        Map {
            key: "the path below /sys",
            names: Grammar::SysfsPath,
            value: &super::Shape::Scalar,
        },
        Read,
        "Kernel settings below /sys, written before the container starts. Transparent huge pages are the only one that may be set: always, madvise or never. Another path is passed over with a warning.",
    )
    .taupage("The same.")
    .example("sysfs:\n  /sys/kernel/mm/transparent_hugepage/enabled: never"),
    Key::new(
        "ssh_ports",
        Either(&[List(&PORT), PORT]),
        Read,
        "The ports sshd listens on. They are written into a file of their own beside sshd's configuration, once sshd itself has found nothing wrong with it; whatever goes wrong is a warning, and sshd stays as it is. Ports that the image's own configuration names stay open besides. Where the key is left out sshd stays as the image has it.",
    )
    .default("[22]")
    .taupage("The same.")
    .ours("An empty list is an error: nobody could log in. So is a port that the container publishes.")
    .example("ssh_ports: [22, 2222]"),
    Key::new(
        "ssh_gateway_ports",
        Either(&[StrictFlag, Choice(&["yes", "no", "clientspecified"])]),
        Read,
        "Whether ports forwarded through sshd are open to other machines: its GatewayPorts.",
    )
    .default("the image's")
    .taupage("The same.")
    .example("ssh_gateway_ports: \"yes\""),
    Key::new(
        "keep_instance_users",
        Flag,
        Read,
        "Whether the cloud image's own users (admin, ubuntu, ec2-user and so on, and whom else cloud-init lets become root) keep their authorized_keys. `false` removes the files at every boot, once cloud-init has written them; the users stay, and root's file does.",
    )
    .default("nobody's are touched; the machine image that `packer/` builds says `false` in /etc/monopod/defaults.d")
    .taupage("Removed ubuntu's unless it was true.")
    .ours("A machine that has only the package installed is left as its owner logs into it: there the key has to be written.")
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
        Later("no X-Ray daemon runs; put the ADOT collector or the daemon into the application's image, or send traces to a collector of your own"),
        "Ran the X-Ray daemon beside the container. Here one machine runs one container: the collector belongs into the application's image, or on the network.",
    )
    .default("false")
    .taupage("Started the daemon that its image had.")
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
    Key::new(
        "events",
        Object(EVENTS),
        Read,
        "Whom the machine tells what happens on it, as it happens: a container that is not ours on the engine, a command in ours, ours stopped by somebody else, logins, a changed file under /etc/monopod or of the agent's units, opt-outs in force, and how each boot ended. One JSON object each, at least once, in order; what cannot be sent waits on the disk, 1000 of them at most.",
    )
    .default("none: they stand in the journal, and those about security in the audit")
    .example("events:\n  webhook: https://hooks.example.org/monopod\n  headers:\n    Authorization: aws:ssm:/monopod/webhook\n  event_bus: operations"),
];

const EVENTS: &[Key] = &[
    Key::new(
        "webhook",
        Text(Grammar::HiddenUrl),
        Read,
        "Gets a POST with each. Any status of 2xx is a yes; nothing is followed. The address may be a key in itself, so its path is never shown.",
    )
    .example("webhook: https://hooks.example.org/monopod"),
    Key::new(
        "headers",
        Map {
            key: "the header's name",
            names: Grammar::HeaderName,
            value: &Secret,
        },
        Read,
        "Sent with each POST to `webhook`. References are fetched when the first one is sent, so no boot waits for them, and again when the receiver says that it does not know us.",
    )
    .example("headers: {Authorization: aws:ssm:/monopod/webhook}"),
    Key::new(
        "event_bus",
        Text(Grammar::EventBus),
        Read,
        "The name or ARN of a bus in EventBridge that gets each, with the source `monopod` and the detail type `monopod KIND`. The role needs events:PutEvents on it.",
    )
    .example("event_bus: operations"),
];

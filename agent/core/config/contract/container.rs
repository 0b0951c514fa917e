//! The container's own options, under the names docker run and compose have for them.

use super::Fate::Read;
use super::Shape::{
    Choice, Decimal, Either, Flag, List, Map, Number, Object, Size, StrictFlag, Text, Time, Words,
};
use super::{Grammar, Key, Shape};

const SIDE: Shape = Text(Grammar::Port);
const PATHS: Shape = Text(Grammar::Tmpfs);

pub(super) const KEYS: &[Key] = &[
    Key::new("ports", Map { key: "the host's port", names: Grammar::HostPort, value: &SIDE }, Read, "Published ports: the host's on the left, the container's on the right. `/udp` may stand on either side; the container's counts.")
        .taupage("Single ports, handed to docker run as they stood.")
        .ours("Ranges and addresses too: `8000-8010: 9000-9010`, `\"127.0.0.1:80\": 8080`.")
        .example("ports:\n  80: 8080\n  53/udp: 53"),
    Key::new("entrypoint", Words, Read, "Replaces the image's ENTRYPOINT; `[]` removes it. No shell runs.")
        .default("the image's")
        .example("entrypoint: [/usr/bin/my-app]"),
    Key::new("command", Words, Read, "Replaces the image's CMD, which follows the entrypoint. No shell runs.")
        .default("the image's")
        .example("command: [serve, --port, \"8080\"]"),
    Key::new("args", Words, Read, "Another name for `command`, for those who come from Kubernetes: what is `command` there is `entrypoint` here.")
        .default("the image's")
        .example("args: [serve]"),
    Key::new("user", Either(&[Text(Grammar::User), Number { least: 0, most: 2_147_483_647, unit: "" }]), Read, "Whom the container runs as. Uid 0 needs `root: true` as well.")
        .default("999, with the group the image gives it")
        .example("user: \"999:999\""),
    Key::new("root", StrictFlag, Read, "Runs the container as the image's own user, which is often root, with Docker's default capabilities.")
        .default("false")
        .taupage("Any string counted as true, \"false\" included.")
        .ours("A string is an error.")
        .example("root: true"),
    Key::new("privileged", StrictFlag, Read, "Gives the container all devices and capabilities and no system-call filter: whoever is root in it is root on the machine.")
        .default("false")
        .taupage("Any string counted as true.")
        .ours("A string is an error.")
        .example("privileged: true"),
    Key::new("read_only", Flag, Read, "The container's root file system cannot be written; /tmp becomes memory.")
        .default("false")
        .taupage("The same, without the /tmp.")
        .example("read_only: true"),
    Key::new("capabilities_add", List(&Text(Grammar::Capability)), Read, "Capabilities of Linux that the container gets beyond those it has.")
        .default("none")
        .taupage("The same, on top of Docker's default set; a string was taken letter by letter.")
        .ours("For a user that is not root they work through file capabilities only; adding one switches no-new-privileges off, which the plan shows.")
        .example("capabilities_add: [NET_BIND_SERVICE]"),
    Key::new("capabilities_drop", List(&Text(Grammar::Capability)), Read, "Capabilities of Linux that the container loses.")
        .default("ALL, unless root")
        .taupage("The same, with nothing dropped beyond what Docker drops.")
        .example("capabilities_drop: [ALL]"),
    Key::new("seccomp", Text(Grammar::Seccomp), Read, "The system-call filter: the engine's own, none, or a profile that lies in the machine's image.")
        .default("default")
        .example("seccomp: /etc/monopod/seccomp/my-app.json"),
    Key::new("docker_daemon_access", StrictFlag, Read, "Mounts the engine's socket into the container, which is root on the machine by another name.")
        .default("false")
        .taupage("Any string counted as true; the docker program and its libraries were mounted too.")
        .ours("Refused unless the policy of the machine's image allows it; the socket alone is mounted; a string is an error.")
        .example("docker_daemon_access: true"),
    Key::new("hostname", Text(Grammar::Hostname), Read, "The host name inside the container.")
        .default("the container's id")
        .taupage("The same.")
        .example("hostname: my-app"),
    Key::new("networking", Choice(&["bridge", "host", "none"]), Read, "The container's network: one of its own behind a bridge, the machine's, or none.")
        .default("bridge")
        .taupage("The same, and `container:X`.")
        .ours("`container:X` is refused: there is only one container.")
        .example("networking: host"),
    Key::new("instance_metadata", StrictFlag, Read, "Whether the container may reach the instance metadata service, and with it whatever the instance's role may do.")
        .default("true, unless the policy of the machine's image says otherwise")
        .taupage("Always.")
        .ours("`false` refuses its packets to 169.254.169.254 and fd00:ec2::254. With `networking: host` that needs control groups of version 2.")
        .example("instance_metadata: false"),
    Key::new("egress", List(&Either(&[Text(Grammar::Network), Object(EGRESS)])), Read, "Where the container may open connections to; `[]` is nowhere. Its name servers are always among them, answers to those who came in always pass, and the metadata service is the matter of `instance_metadata`. With `networking: host` it needs control groups of version 2.")
        .default("everywhere")
        .example("egress:\n  - 10.0.0.0/8\n  - {to: db.example.org, ports: [5432]}"),
    Key::new("dns", Either(&[List(&Text(Grammar::Address)), Text(Grammar::Address)]), Read, "Name servers of the container, asked in this order.")
        .default("the machine's")
        .example("dns: [10.0.0.2]"),
    Key::new("extra_hosts", Either(&[Map { key: "the name", names: Grammar::HostName, value: &Text(Grammar::HostAddress) }, List(&Text(Grammar::HostEntry))]), Read, "Names and addresses added to /etc/hosts; the address `host-gateway` is the machine itself.")
        .default("none")
        .example("extra_hosts:\n  db: 10.0.0.12"),
    Key::new("mount_certs", Flag, Read, "Mounts the machine's /etc/ssl/certs into the container, read-only.")
        .default("false")
        .taupage("The same.")
        .example("mount_certs: true"),
    Key::new("mount_var_log", Flag, Read, "Mounts the machine's /var/log at /var/log-host, read-only.")
        .default("false")
        .taupage("The same.")
        .example("mount_var_log: true"),
    Key::new("mount_custom_log", Flag, Read, "Mounts the machine's /var/log-custom at /var/log, for log files the application writes itself.")
        .default("false")
        .taupage("The same.")
        .example("mount_custom_log: true"),
    Key::new("tmpfs", Either(&[Map { key: "the path", names: Grammar::Path, value: &Text(Grammar::MountOptions) }, List(&PATHS), PATHS]), Read, "Memory mounted as file systems, with their mount options. nosuid, nodev and noexec hold unless the options say otherwise.")
        .default("none; /tmp with `read_only`")
        .example("tmpfs:\n  /run: size=16m"),
    Key::new("files", Map { key: "the path in the container", names: Grammar::Path, value: &Shape::Scalar }, Read, "Small files and their text, mounted read-only, 64 at most. They lie in memory on the machine, readable to the container's user; not for secrets. A text that is a reference is fetched at a boot of the machine and never while it runs.")
        .default("none")
        .example("files:\n  /etc/my-app/config.ini: |\n    [server]\n    threads = 8"),
    Key::new("gpus", Choice(&["all", "none"]), Read, "Which of the machine's NVIDIA graphics processors the container gets.")
        .default("all, if the machine has any")
        .taupage("Any /dev/nvidia* gave the container all of them.")
        .example("gpus: all"),
];

const PORT_RANGE: Shape = Either(&[
    Number {
        least: 1,
        most: 65_535,
        unit: "",
    },
    Text(Grammar::PortRange),
]);

const EGRESS: &[Key] = &[
    Key::new("to", Text(Grammar::Destination), Read, "A network, an address, or a DNS name. A name is resolved on the machine every 30 s, and each address it had stays open for 10 minutes; where every answer is another one, write the network.")
        .required()
        .example("to: db.example.org"),
    Key::new("ports", Either(&[List(&PORT_RANGE), PORT_RANGE]), Read, "Ports and ranges of ports. A name needs them.")
        .default("all")
        .example("ports: [5432, 8000-8010]"),
    Key::new("protocol", Choice(&["tcp", "udp", "any"]), Read, "The protocol. `any` is TCP and UDP where there are ports, and everything where there are none.")
        .default("tcp with ports, any without")
        .example("protocol: udp"),
];

const LIMIT: Shape = Text(Grammar::Limit);

const ULIMIT: &[Key] = &[
    Key::new("soft", LIMIT, Read, "The limit in force; not above the hard one.")
        .required()
        .example("soft: 1024"),
    Key::new("hard", LIMIT, Read, "How far the process itself may raise it.")
        .required()
        .example("hard: 4096"),
];

pub(super) const LIMITS: &[Key] = &[
    Key::new("memory", Size { least: 6 << 20 }, Read, "The most memory the container gets, with no swap beside it. Beyond it the kernel kills the container.")
        .default("the machine's memory, less the larger of 256 MiB and 10 %")
        .taupage("No limit: an app that ate all memory took the machine with it.")
        .example("memory: 512m"),
    Key::new("cpus", Decimal { least_thousandths: 10, most: 1024, unit: "processors" }, Read, "The most processor time the container gets, counted in processors.")
        .default("all")
        .example("cpus: 1.5"),
    Key::new("pids_limit", Number { least: 1, most: 4_194_304, unit: "processes and threads" }, Read, "The most processes and threads the container may have at once.")
        .default("4096")
        .example("pids_limit: 512"),
    Key::new("ulimits", Map { key: "the limit's name, such as nofile", names: Grammar::LimitName, value: &Either(&[Object(ULIMIT), LIMIT]) }, Read, "Limits of setrlimit(2): one number for soft and hard, or both. -1 is unlimited.")
        .default("the engine's")
        .example("ulimits:\n  nofile: 65536"),
    Key::new("shm_size", Size { least: 1 }, Read, "The size of /dev/shm in the container.")
        .default("64m")
        .taupage("The same.")
        .example("shm_size: 256m"),
    Key::new("stop_signal", Text(Grammar::Signal), Read, "The signal that asks the container to end.")
        .default("the image's STOPSIGNAL, or SIGTERM")
        .example("stop_signal: SIGINT"),
    Key::new("stop_timeout", Time { least: 0, most: 3600 }, Read, "How long the container may take to end before it is killed.")
        .default("10s")
        .example("stop_timeout: 30s"),
];

//! The container's own options, under the names docker run and compose have for them.

use super::Fate::Read;
use super::Shape::{
    Choice, Decimal, Either, Flag, List, Map, Number, Object, Size, StrictFlag, Text, Time, Words,
};
use super::{Grammar, Key, Shape};

const SIDE: Shape = Text(Grammar::Port);
const PATHS: Shape = Text(Grammar::Any);

pub(super) const KEYS: &[Key] = &[
    Key::new("ports", Map { key: "the host's port", value: &SIDE }, Read, "Published ports, the host's first. `/udp` may stand on either side; the container's counts.")
        .taupage("Single ports only.")
        .ours("Ranges and addresses too: `8000-8010: 9000-9010`, `\"127.0.0.1:80\": 8080`.")
        .example("ports:\n  80: 8080\n  53/udp: 53"),
    Key::new("entrypoint", Words, Read, "Replaces the image's ENTRYPOINT; `[]` removes it. A string is split at blanks as a shell would, and no shell runs.")
        .default("the image's")
        .example("entrypoint: [/usr/bin/my-app]"),
    Key::new("command", Words, Read, "Replaces the image's CMD: what follows the entrypoint. A string is split at blanks as a shell would, and no shell runs.")
        .default("the image's")
        .example("command: [serve, --port, \"8080\"]"),
    Key::new("args", Words, Read, "Another name for `command`; in Kubernetes `command` is what is `entrypoint` here.")
        .default("the image's")
        .example("args: [serve]"),
    Key::new("user", Either(&[Text(Grammar::User), Number { least: 0, most: 2_147_483_647, unit: "" }]), Read, "The uid, or uid:gid, the container runs as. Root needs `root: true` as well.")
        .default("999, with the group the image gives it")
        .example("user: \"999:999\""),
    Key::new("root", StrictFlag, Read, "Keeps the image's own user, which is often root, and Docker's default capabilities.")
        .default("false")
        .taupage("Any string counted as true, \"false\" included.")
        .ours("A string is an error.")
        .example("root: true"),
    Key::new("privileged", StrictFlag, Read, "All devices, all capabilities, no filter: root on the machine.")
        .default("false")
        .taupage("Any string counted as true.")
        .ours("A string is an error.")
        .example("privileged: true"),
    Key::new("read_only", Flag, Read, "The root file system cannot be written; /tmp becomes memory.")
        .default("false")
        .taupage("The same, without the /tmp.")
        .example("read_only: true"),
    Key::new("capabilities_add", List(&Text(Grammar::Capability)), Read, "Capabilities the container gets, without CAP_.")
        .default("none")
        .taupage("The same; a string was taken letter by letter.")
        .ours("For a user that is not root they work through file capabilities only; adding one switches no-new-privileges off, which the plan shows.")
        .example("capabilities_add: [NET_BIND_SERVICE]"),
    Key::new("capabilities_drop", List(&Text(Grammar::Capability)), Read, "Capabilities the container loses.")
        .default("ALL, unless root")
        .taupage("The same, with nothing dropped by default.")
        .example("capabilities_drop: [ALL]"),
    Key::new("seccomp", Text(Grammar::Seccomp), Read, "The system-call filter: `default`, `unconfined`, or the absolute path of a profile in the machine image.")
        .default("default")
        .example("seccomp: /etc/monopod/seccomp/my-app.json"),
    Key::new("docker_daemon_access", StrictFlag, Read, "Mounts the engine's socket: root on the machine by another name. Only where the image's policy allows it.")
        .default("false")
        .taupage("Any string counted as true.")
        .ours("A string is an error, and the image's policy has to allow it.")
        .example("docker_daemon_access: true"),
    Key::new("hostname", Text(Grammar::Hostname), Read, "The host name inside the container.")
        .default("the container's id")
        .taupage("The same.")
        .example("hostname: my-app"),
    Key::new("networking", Choice(&["bridge", "host", "none"]), Read, "A network of its own behind a bridge, the machine's, or none.")
        .default("bridge")
        .taupage("The same, and `container:X`.")
        .ours("`container:X` is refused: there is only one container.")
        .example("networking: host"),
    Key::new("dns", Either(&[List(&Text(Grammar::Address)), Text(Grammar::Address)]), Read, "Name servers, asked in this order.")
        .default("the machine's")
        .example("dns: [10.0.0.2]"),
    Key::new("extra_hosts", Either(&[Map { key: "the name", value: &Text(Grammar::NotEmpty) }, List(&Text(Grammar::NotEmpty))]), Read, "Names for /etc/hosts; the address may be `host-gateway`, which is the machine.")
        .default("none")
        .example("extra_hosts:\n  db: 10.0.0.12"),
    Key::new("mount_certs", Flag, Read, "The machine's /etc/ssl/certs, read-only.")
        .default("false")
        .taupage("The same.")
        .example("mount_certs: true"),
    Key::new("mount_var_log", Flag, Read, "The machine's /var/log at /var/log-host, read-only.")
        .default("false")
        .taupage("The same.")
        .example("mount_var_log: true"),
    Key::new("mount_custom_log", Flag, Read, "The machine's /var/log-custom at /var/log, for log files of the application's own.")
        .default("false")
        .taupage("The same.")
        .example("mount_custom_log: true"),
    Key::new("tmpfs", Either(&[Map { key: "the path", value: &PATHS }, List(&PATHS), PATHS]), Read, "Memory mounted as file systems: path and mount options. nosuid, nodev and noexec hold unless the options say otherwise.")
        .default("none; /tmp with `read_only`")
        .example("tmpfs:\n  /run: size=16m"),
    Key::new("files", Map { key: "the path in the container", value: &Shape::Scalar }, Read, "Small files, mounted read-only. They lie in memory on the machine, readable to the container's user.")
        .default("none")
        .example("files:\n  /etc/my-app/config.ini: |\n    [server]\n    threads = 8"),
    Key::new("gpus", Choice(&["all", "none"]), Read, "Graphics processors of NVIDIA.")
        .default("all, if the machine has any")
        .taupage("Any /dev/nvidia* gave the container all of them.")
        .example("gpus: all"),
];

const ULIMIT: &[Key] = &[
    Key::new(
        "soft",
        Number {
            least: 0,
            most: u32::MAX,
            unit: "",
        },
        Read,
        "The limit in force.",
    )
    .required()
    .example("soft: 1024"),
    Key::new(
        "hard",
        Number {
            least: 0,
            most: u32::MAX,
            unit: "",
        },
        Read,
        "How far the process may raise it.",
    )
    .required()
    .example("hard: 4096"),
];

pub(super) const LIMITS: &[Key] = &[
    Key::new("memory", Size { least: 6 << 20 }, Read, "The most memory the container gets; there is no swap. Beyond it the kernel kills it.")
        .default("the machine's, less the larger of 256 MiB and 10 %")
        .taupage("No limit: an app that ate all memory took the machine with it.")
        .example("memory: 512m"),
    Key::new("cpus", Decimal { least_thousandths: 10, most: 1024, unit: "processors" }, Read, "The most processor time, in processors.")
        .default("all")
        .example("cpus: 1.5"),
    Key::new("pids_limit", Number { least: 1, most: 4_194_304, unit: "processes and threads" }, Read, "The most processes and threads.")
        .default("4096")
        .example("pids_limit: 512"),
    Key::new("ulimits", Map { key: "the limit's name, such as nofile", value: &Either(&[Object(ULIMIT), Number { least: 0, most: u32::MAX, unit: "" }, Text(Grammar::NotEmpty)]) }, Read, "Limits of setrlimit(2): one number for both, `soft:hard`, or a map. -1 is unlimited.")
        .default("the engine's")
        .example("ulimits:\n  nofile: 65536"),
    Key::new("shm_size", Size { least: 1 }, Read, "The size of /dev/shm.")
        .default("64m")
        .taupage("The same.")
        .example("shm_size: 256m"),
    Key::new("log_budget", Size { least: 3 << 20 }, Read, "Bytes of the container's output that are kept on the machine. What is not shipped before it is rotated away is counted as lost.")
        .default("192m")
        .taupage("No budget: full disks were its most frequent outage.")
        .example("log_budget: 1g"),
    Key::new("stop_signal", Text(Grammar::Signal), Read, "What the container is asked to end with.")
        .default("the image's STOPSIGNAL, or SIGTERM")
        .example("stop_signal: SIGINT"),
    Key::new("stop_timeout", Time { least: 0, most: 3600 }, Read, "How long it may take to end before it is killed.")
        .default("10s")
        .example("stop_timeout: 30s"),
];

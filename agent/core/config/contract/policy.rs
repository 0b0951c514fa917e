//! The image's own file: what user data may ask for on machines made from it.

use super::Fate::Read;
use super::Shape::{Choice, Flag, List, Object, Text};
use super::{Grammar, Key};

const ALLOW: &[Key] = &[
    Key::new("root", Flag, Read, "`root: true`, and a `user` with uid 0.")
        .default("true")
        .example("root: false"),
    Key::new("privileged", Flag, Read, "`privileged: true`.")
        .default("true")
        .example("privileged: false"),
    Key::new(
        "docker_daemon_access",
        Flag,
        Read,
        "The engine's socket in the container.",
    )
    .default("false")
    .example("docker_daemon_access: true"),
    Key::new("host_networking", Flag, Read, "`networking: host`.")
        .default("true")
        .example("host_networking: false"),
    Key::new("seccomp_unconfined", Flag, Read, "`seccomp: unconfined`.")
        .default("true")
        .example("seccomp_unconfined: false"),
    Key::new("undigested_tags", Flag, Read, "An image named by its tag alone.")
        .default("true")
        .example("undigested_tags: false"),
    Key::new(
        "capabilities",
        List(&Text(Grammar::Capability)),
        Read,
        "The only capabilities that may be added.",
    )
    .default("all")
    .example("capabilities: [NET_BIND_SERVICE]"),
    Key::new(
        "registries",
        List(&Text(Grammar::NotEmpty)),
        Read,
        "The only registries images may come from; `*.example.org` is a whole domain.",
    )
    .default("all")
    .example("registries: [registry.example.org]"),
];

/// Keys of `/etc/monopod/policy.yaml`.
pub(crate) const POLICY: &[Key] = &[
    Key::new(
        "locked",
        List(&Text(Grammar::NotEmpty)),
        Read,
        "Keys that only the image may set; `logging.s3_bucket` locks one key inside a map.",
    )
    .default("none")
    .example("locked: [logging, instance_logs_url]"),
    Key::new(
        "unknown_keys",
        Choice(&["warn", "deny"]),
        Read,
        "Whether a key that nobody knows is a warning or an error.",
    )
    .default("warn")
    .example("unknown_keys: deny"),
    Key::new("allow", Object(ALLOW), Read, "What user data may ask for.")
        .example("allow:\n  root: false\n  registries: [registry.example.org]"),
];

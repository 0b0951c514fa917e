//! The image's own file: what user data may ask for on machines made from it.

use super::Fate::Read;
use super::Shape::{Choice, List, Object, StrictFlag, Text};
use super::{Grammar, Key};

const ALLOW: &[Key] = &[
    Key::new(
        "root",
        StrictFlag,
        Read,
        "Whether user data, and the image's own defaults, may say `root: true`.",
    )
    .default("true")
    .example("root: false"),
    Key::new(
        "privileged",
        StrictFlag,
        Read,
        "Whether user data, and the image's own defaults, may say `privileged: true`.",
    )
    .default("true")
    .example("privileged: false"),
    Key::new(
        "docker_daemon_access",
        StrictFlag,
        Read,
        "Whether user data, and the image's own defaults, may say `docker_daemon_access: true`.",
    )
    .default("false")
    .example("docker_daemon_access: true"),
    Key::new(
        "host_networking",
        StrictFlag,
        Read,
        "Whether user data, and the image's own defaults, may say `networking: host`.",
    )
    .default("true")
    .example("host_networking: false"),
    Key::new(
        "seccomp_unconfined",
        StrictFlag,
        Read,
        "Whether user data, and the image's own defaults, may say `seccomp: unconfined`. Where they may not, a profile has to lie below /etc/monopod/seccomp.",
    )
    .default("true")
    .example("seccomp_unconfined: false"),
    Key::new(
        "undigested_tags",
        StrictFlag,
        Read,
        "Whether `source` may name its image by a tag alone, without a digest.",
    )
    .default("true")
    .example("undigested_tags: false"),
    Key::new(
        "secrets_in_environment",
        StrictFlag,
        Read,
        "Whether `environment` may hold secrets, which the engine writes into a file of its own; `secrets` delivers them in memory.",
    )
    .default("true")
    .example("secrets_in_environment: false"),
    Key::new(
        "capabilities",
        List(&Text(Grammar::CapabilityName)),
        Read,
        "The capabilities that may be added; all others are refused.",
    )
    .default("all")
    .example("capabilities: [NET_BIND_SERVICE]"),
    Key::new(
        "registries",
        List(&Text(Grammar::NotEmpty)),
        Read,
        "The registries images may come from; `*.example.org` is all that lies below a domain.",
    )
    .default("all")
    .example("registries: [registry.example.org]"),
];

/// Keys of `/etc/monopod/policy.yaml`.
pub const POLICY: &[Key] = &[
    Key::new(
        "locked",
        List(&Text(Grammar::NotEmpty)),
        Read,
        "Keys that the image alone may set; `logging.s3_bucket` locks one key inside a map.",
    )
    .default("none")
    .example("locked: [logging, instance_logs_url]"),
    Key::new(
        "unknown_keys",
        Choice(&["warn", "deny"]),
        Read,
        "What an unknown key in user data is: a warning, or an error.",
    )
    .default("warn")
    .example("unknown_keys: deny"),
    Key::new("allow", Object(ALLOW), Read, "What user data may ask for.")
        .example("allow:\n  root: false\n  registries: [registry.example.org]"),
];

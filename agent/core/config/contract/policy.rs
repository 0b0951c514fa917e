//! The image's own file: what user data may ask for on machines made from it.

use super::Fate::Read;
use super::Shape::{Choice, Either, List, Object, StrictFlag, Text, Time};
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
        "instance_metadata",
        StrictFlag,
        Read,
        "Whether containers may reach the instance metadata service. Where they may not, user data that says `instance_metadata: true` is refused, and all others are as if they said `false`.",
    )
    .default("true")
    .example("instance_metadata: false"),
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
        "admin_access",
        StrictFlag,
        Read,
        "Whether `monopod access grant --role admin` may let somebody in who is root by sudo.",
    )
    .default("false")
    .example("admin_access: true"),
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
        "The registries images may come from, mirrors among them; `*.example.org` is all that lies below a domain.",
    )
    .default("all")
    .example("registries: [registry.example.org]"),
];

/// A login that is longer is no visit.
const LONGEST_ACCESS: u32 = 30 * 86_400;

const ACCESS: &[Key] = &[
    Key::new(
        "key_service",
        Text(Grammar::Url),
        Read,
        "Where the public keys of people lie who are let in without `--key`: `<url>/public-keys/NAME/sshkey.pub`, over https, or over http from the machine itself.",
    )
    .taupage("`ssh_access_granting_service_url` in a file of the image, asked over http too.")
    .example("key_service: https://even.example.org"),
    Key::new(
        "default_duration",
        Time {
            least: 1,
            most: LONGEST_ACCESS,
        },
        Read,
        "How long a login is granted that says nothing, the granting service's always.",
    )
    .default("1h")
    .example("default_duration: 30m"),
    Key::new(
        "max_duration",
        Time {
            least: 1,
            most: LONGEST_ACCESS,
        },
        Read,
        "How long a login may be granted at most, by anybody.",
    )
    .default("24h")
    .example("max_duration: 8h"),
];

const KEY_FILE: &[Key] = &[
    Key::new(
        "file",
        Text(Grammar::KeyFile),
        Read,
        "The file: PEM, a P-256 public key as `cosign generate-key-pair` writes it.",
    )
    .required()
    .example("file: /etc/monopod/keys/old.pub"),
    Key::new(
        "not_after",
        Text(Grammar::Day),
        Read,
        "The last day, in UTC, on which a signature by this key counts, by the machine's clock when it verifies.",
    )
    .default("it counts for ever")
    .example("not_after: 2027-06-30"),
];

const IMAGE_RULE: &[Key] = &[
    Key::new(
        "match",
        Text(Grammar::ImagePattern),
        Read,
        "The images it is about, registry and repository: `*` is anything within one component, `**` one component or more, `*.example.org` every registry below a domain, and `**` alone is every image.",
    )
    .required()
    .example("match: registry.example.org/team/*"),
    Key::new(
        "require",
        Choice(&["nothing", "digest", "header", "signature"]),
        Read,
        "What has to be true before it is pulled: nothing; a digest in `source`; a registry that answers X-Production-Ready-Taupage or X-Trusted with `true`; a signature by one of `keys`, as `cosign sign --key` makes it, whose payload names the digest and, where it names a repository, this one.",
    )
    .required()
    .taupage("Every image of Pier One needed the header.")
    .example("require: signature"),
    Key::new(
        "keys",
        List(&Either(&[Text(Grammar::KeyFile), Object(KEY_FILE)])),
        Read,
        "For `require: signature`: the public keys, one of which has to have signed. The files lie in the machine's image.",
    )
    .example("keys: [/etc/monopod/keys/team.pub]"),
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
    Key::new(
        "access",
        Object(ACCESS),
        Read,
        "Logins for a time, by `monopod access`.",
    )
    .example("access:\n  key_service: https://even.example.org\n  max_duration: 8h"),
    Key::new(
        "images",
        List(&Object(IMAGE_RULE)),
        Read,
        "What images have to prove before they are pulled. The first rule that matches counts; an image that none matches is refused, and a rule behind a wider one is an error. A container that exists is not verified again: an instance keeps its image, and so its policy.",
    )
    .default("nothing is required")
    .taupage("The header, and only for Pier One.")
    .example(
        "images:\n  - match: registry.example.org/team/*\n    require: signature\n    keys:\n      - /etc/monopod/keys/team.pub\n      - {file: /etc/monopod/keys/old.pub, not_after: 2027-06-30}\n  - match: \"**\"\n    require: digest",
    ),
];

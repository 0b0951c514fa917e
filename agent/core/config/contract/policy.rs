//! The image's own file: what user data may ask for on machines made from it.

use super::Fate::Read;
use super::Shape::{Choice, Either, List, Object, StrictFlag, Text, Time};
use super::{Grammar, Key, Shape};

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
        "The registries images may come from, mirrors among them; `*.example.org` is all that lies below a domain.",
    )
    .default("all")
    .example("registries: [registry.example.org]"),
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

/// What a verdict may be.
const LEVEL: Shape = Choice(&["ignore", "warn", "deny"]);

const VERDICTS: &[Key] = &[
    Key::new(
        "SCM_SOURCE_JSON_MISSING",
        LEVEL,
        Read,
        "The image has no /scm-source.json, and not both labels org.opencontainers.image.source and org.opencontainers.image.revision, which say the same.",
    )
    .default("ignore")
    .example("SCM_SOURCE_JSON_MISSING: deny"),
    Key::new(
        "SCM_SOURCE_JSON_INVALID",
        LEVEL,
        Read,
        "/scm-source.json is there and cannot be used: no file, larger than 64 KiB, no JSON, or without one of the texts url, revision, author and status.",
    )
    .default("warn")
    .example("SCM_SOURCE_JSON_INVALID: deny"),
    Key::new(
        "ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY",
        LEVEL,
        Read,
        "The image was built with changes that no commit has: `status` is not empty, or the revision says `(locally modified)` or `-dirty`.",
    )
    .default("warn")
    .example("ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY: deny"),
    Key::new(
        "ILLEGAL_SCM_REPOSITORY",
        LEVEL,
        Read,
        "The image was built from none of `scm_repositories`, or does not say from which. Without that list nothing follows.",
    )
    .default("warn")
    .example("ILLEGAL_SCM_REPOSITORY: deny"),
    Key::new(
        "EC2_WITH_A_SNAPSHOT_IMAGE",
        LEVEL,
        Read,
        "The tag of `source` says SNAPSHOT. The only one that `validate` and `plan` can tell; without a digest such a tag is refused in any case.",
    )
    .default("warn")
    .example("EC2_WITH_A_SNAPSHOT_IMAGE: deny"),
    Key::new(
        "IMAGE_TOO_OLD",
        LEVEL,
        Read,
        "The image was built longer ago than `max_image_age`, or does not say when. Without that key nothing follows.",
    )
    .default("warn")
    .example("IMAGE_TOO_OLD: deny"),
    Key::new(
        "OUTDATED_TAUPAGE",
        LEVEL,
        Read,
        "The machine's own image is past the `expires` of its image.json, or that cannot be read. Without `expires` nothing follows.",
    )
    .default("warn")
    .taupage("The same, for images of Taupage.")
    .example("OUTDATED_TAUPAGE: deny"),
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
    Key::new(
        "verdicts",
        Object(VERDICTS),
        Read,
        "What follows from where an image comes from, under the names that Fullstop used: `ignore`; `warn`, told once a boot and kept in the record; `deny`, after which the container is removed again before it starts and the boot fails. A container that exists is judged as at its creation: what is denied later is a warning.",
    )
    .taupage("Fullstop found the same out from outside, after the fact.")
    .example("verdicts:\n  SCM_SOURCE_JSON_MISSING: deny\n  OUTDATED_TAUPAGE: warn"),
    Key::new(
        "max_image_age",
        Time {
            least: 60,
            most: 315_360_000,
        },
        Read,
        "How old a container's image may be, for the verdict IMAGE_TOO_OLD: by the engine's date of the image, or its label org.opencontainers.image.created.",
    )
    .default("any age")
    .example("max_image_age: 90d"),
    Key::new(
        "scm_repositories",
        List(&Text(Grammar::RepositoryPattern)),
        Read,
        "The repositories that images may be built from, for the verdict ILLEGAL_SCM_REPOSITORY, host and path: `*` is anything within one component, `**` one component or more, `*.example.org` every host below a domain. All addresses of one repository count alike.",
    )
    .default("all")
    .example("scm_repositories: [github.com/my-org/*]"),
];

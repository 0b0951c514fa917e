//! Who runs, from which image.

use super::Fate::{Later, Read, Refused};
use super::Shape::{Anything, Map, Object, Secret, Text};
use super::{Grammar, Key, Shape};

const NOTIFY: &[Key] = &[
    Key::new("stack", Text(Grammar::NotEmpty), Read, "The stack's name.")
        .required()
        .example("stack: my-stack"),
    Key::new(
        "resource",
        Text(Grammar::NotEmpty),
        Read,
        "The logical id of the resource that waits.",
    )
    .required()
    .example("resource: AppServer"),
];

const LOGIN: &[Key] = &[
    Key::new(
        "auth",
        Secret,
        Read,
        "The base64 of `user:password`, or `aws:kms:` with that encrypted.",
    )
    .required()
    .example("auth: aws:kms:AQICAHh..."),
    Key::new(
        "email",
        Anything,
        Read,
        "Registries stopped asking for it; it is not read.",
    )
    .example("email: team@example.org"),
];

pub(super) const KEYS: &[Key] = &[
    Key::new("application_id", Text(Grammar::ApplicationId), Read, "Names the application, everywhere: in its environment, in log lines, in the status.")
        .required()
        .taupage("The same; exported to the container as APPLICATION_ID.")
        .example("application_id: my-app"),
    Key::new("application_version", Text(Grammar::ApplicationVersion), Read, "The application's version, everywhere beside its id.")
        .required()
        .taupage("The same; exported as APPLICATION_VERSION.")
        .ours("An unquoted 1.0 is taken as it is written, with a warning, instead of as YAML reads it.")
        .example("application_version: \"1.0\""),
    Key::new("runtime", Shape::Choice(&["Docker"]), Read, "What runs the container. There is one answer.")
        .default("Docker")
        .taupage("Had to be there.")
        .ours("May be left out.")
        .example("runtime: Docker"),
    Key::new("source", Text(Grammar::Image), Read, "The image. A tag is resolved to a digest once in the life of the instance.")
        .required()
        .taupage("`latest` and tags with SNAPSHOT were refused; ports, digests and short names could not be read.")
        .ours("The whole grammar of image references is taken; mutable tags are still refused.")
        .example("source: registry.example.org/team/my-app:1.0"),
    Key::new("dockercfg", Map { key: "the registry's address", value: &Object(LOGIN) }, Read, "Logins for registries, in the form docker had before 2015. Each is sent to its own registry only.")
        .taupage("The same; the merged file was mounted into the container, passwords included.")
        .ours("Passwords stay out of the container and off the disk, and may be `aws:kms:` values.")
        .example("dockercfg:\n  https://registry.example.org:\n    auth: aws:kms:AQICAHh..."),
    Key::new("environment", Map { key: "the variable's name", value: &Shape::Scalar }, Read, "Environment variables. `aws:kms:<base64>` is decrypted at boot.")
        .taupage("The same; a YAML true reached the container as `True`, null as `None`, 1.50 as `1.5`, as Python prints them.")
        .ours("The same spelling, because images rely on it; put a value in quotes to have it as it stands.")
        .example("environment:\n  DB_HOST: db.example.org\n  DB_PASSWORD: aws:kms:AQICAHh..."),
    Key::new("deployment_id", Text(Grammar::NotEmpty), Read, "Names the deployment; a label of the container.")
        .taupage("Was told to the tokeninfo service only.")
        .example("deployment_id: d-2026-11"),
    Key::new("notify_cfn", Object(NOTIFY), Refused("CloudFormation would wait for a signal nobody sends"), "Tells CloudFormation how the boot ended.")
        .taupage("Sent nothing when a step before the container failed, and sent again at every reboot.")
        .ours("Not sent by this version, so a file that asks for it is refused.")
        .example("notify_cfn:\n  stack: my-stack\n  resource: AppServer"),
    Key::new("mint_bucket", Text(Grammar::NotEmpty), Refused("an app booted without its credentials cannot work"), "The bucket with the application's own credentials.")
        .taupage("Copied to /meta/credentials every two minutes; a failure at boot was ignored.")
        .ours("Not available in this version, so a file that asks for it is refused.")
        .example("mint_bucket: my-mint-bucket"),
    Key::new("unknown_keys", Shape::Choice(&["warn", "deny"]), Read, "Whether a key that nobody knows is a warning or an error. The image's policy can only make it stricter.")
        .default("warn")
        .example("unknown_keys: deny"),
    Key::new("etcd_discovery_domain", Text(Grammar::NotEmpty), Later("the container gets no ETCD_URL and the machine is not registered"), "Where etcd is found.")
        .taupage("Ran an etcd proxy beside the container and set ETCD_URL.")
        .example("etcd_discovery_domain: etcd.example.org"),
    Key::new("tokeninfo_url", Text(Grammar::Url), Read, "The container's TOKENINFO_URL, unless `environment` sets it.")
        .taupage("The same.")
        .example("tokeninfo_url: https://tokeninfo.example.org/oauth2/tokeninfo"),
    Key::new("local_planb_tokeninfo", Shape::Flag, Later("no tokeninfo service runs on the machine; TOKENINFO_URL is `tokeninfo_url`"), "A tokeninfo service on the machine itself.")
        .default("false")
        .taupage("Ran Plan B's tokeninfo on port 9021.")
        .example("local_planb_tokeninfo: true"),
];

//! Who runs, from which image.

use super::Fate::Read;
use super::Shape::{Anything, List, Map, Object, Secret, Text};
use super::{Grammar, Key, Shape};

const NOTIFY: &[Key] = &[
    Key::new(
        "stack",
        Text(Grammar::NotEmpty),
        Read,
        "The stack that waits for the machine.",
    )
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
    Key::new(
        "sign",
        Shape::Choice(&["instance", "role"]),
        Read,
        "Who signs: the instance with its identity document, which needs no permission, or its role, which needs cloudformation:SignalResource.",
    )
    .default("instance")
    .ours("New.")
    .example("sign: role"),
    Key::new(
        "wait_handle",
        Text(Grammar::HiddenUrl),
        Read,
        "The URL of a wait condition's handle (`Ref` of an AWS::CloudFormation::WaitConditionHandle), which is told the result with its reason. Whoever has the URL can answer in the machine's place, so only its host is shown.",
    )
    .ours("New: the signal itself has no room for a reason.")
    .example("wait_handle: https://cloudformation-waitcondition-eu-central-1.s3.eu-central-1.amazonaws.com/handle?signature"),
];

const LOGIN: &[Key] = &[
    Key::new(
        "auth",
        Secret,
        Read,
        "The login: the base64 of `user:password`, or `aws:kms:` and the ciphertext of that base64.",
    )
    .example("auth: aws:kms:AQICAHhFeGFtcGxl"),
    Key::new(
        "username",
        Secret,
        Read,
        "The user, where `auth` is not written.",
    )
    .example("username: robot"),
    Key::new(
        "password",
        Secret,
        Read,
        "The password of that user.",
    )
    .example("password: aws:kms:AQICAHhFeGFtcGxl"),
    Key::new(
        "login",
        Shape::Choice(&["basic", "ecr", "instance-identity"]),
        Read,
        "Who makes the login: this file (`basic`), ECR for the instance's role (`ecr`), or the instance itself with its identity document, as Pier One takes it (`instance-identity`).",
    )
    .default("basic")
    .ours("New. A registry whose host is ACCOUNT.dkr.ecr.REGION.amazonaws.com has `ecr`, and pierone.stups.zalan.do `instance-identity`, without an entry.")
    .example("login: instance-identity"),
    Key::new(
        "region",
        Text(Grammar::Region),
        Read,
        "Which region's ECR makes the login, where the registry's name does not say it.",
    )
    .example("region: eu-central-1"),
    Key::new(
        "email",
        Anything,
        Read,
        "An address registries once asked for; it is not read.",
    )
    .example("email: team@example.org"),
];

pub(super) const KEYS: &[Key] = &[
    Key::new("application_id", Text(Grammar::ApplicationId), Read, "Names the application everywhere: in its environment, on log lines, in the status.")
        .required()
        .taupage("The same; exported to the container as APPLICATION_ID.")
        .example("application_id: my-app"),
    Key::new("application_version", Text(Grammar::ApplicationVersion), Read, "The application's version, everywhere beside its id.")
        .required()
        .taupage("The same; exported as APPLICATION_VERSION.")
        .ours("An unquoted 1.0 is taken as it is written, with a warning, instead of as YAML reads it.")
        .example("application_version: \"1.0\""),
    Key::new("runtime", Shape::Choice(&["Docker"]), Read, "What runs the container; there is one answer.")
        .default("Docker")
        .taupage("Had to be there.")
        .ours("May be left out.")
        .example("runtime: Docker"),
    Key::new("source", Text(Grammar::Image), Read, "The image to run. Its tag is resolved to a digest once in the life of the instance, and the digest runs.")
        .required()
        .taupage("`latest` and tags with SNAPSHOT were refused; ports, digests and short names could not be read.")
        .ours("The whole grammar of image references is taken; mutable tags are still refused.")
        .example("source: registry.example.org/team/my-app:1.0"),
    Key::new("dockercfg", Map { key: "the registry's address", names: Grammar::Registry, value: &Object(LOGIN) }, Read, "Logins for registries, in the form docker had before 2015, or below `auths` as ~/.docker/config.json has them. Each login is sent to its own registry only, over TLS (or to this machine itself).")
        .taupage("The form without `auths`; the merged file was mounted into the container, passwords included.")
        .ours("Passwords stay out of the container and off the disk, and may be `aws:kms:` values.")
        .example("dockercfg:\n  https://registry.example.org:\n    auth: aws:kms:AQICAHhFeGFtcGxl"),
    Key::new("registry_mirrors", Map { key: "the registry's address", names: Grammar::Registry, value: &List(&Text(Grammar::Mirror)) }, Read, "Where else a registry's images are, in the order they are asked; the registry itself comes last. An image is loaded by its digest, so a mirror can only have the right one or none; a tag is resolved by the first that answers, or by the registry alone where a rule of the policy's `images` lets the image run without a header or a signature.")
        .ours("New. A mirror is a host, and perhaps a path that stands before the image's name there. Its login is the entry of `dockercfg` for its own host; the registry's login never goes to a mirror. Where the image's policy has `allow.registries`, it has to allow the mirrors' hosts, too; its `images` are about the name in `source`, and what they ask for is asked of the registry itself. Changing mirrors replaces no container.")
        .example("registry_mirrors:\n  registry.example.org: [mirror.example.org, other.example.org/cache]"),
    Key::new("environment", Map { key: "the variable's name", names: Grammar::Variable, value: &Shape::Scalar }, Read, "Environment variables of the container. A value `aws:kms:<base64>` is decrypted at boot; `aws:ssm:<name>` and `aws:secretsmanager:<name>` are fetched.")
        .taupage("The same; a YAML true reached the container as `True`, null as `None`, 1.50 as `1.5`, as Python prints them.")
        .ours("The same spelling, because images rely on it: quote a value to have it as it stands. APPLICATION_ID, APPLICATION_VERSION and CREDENTIALS_DIR belong to monopod: a value for them here has no effect. OTEL_RESOURCE_ATTRIBUTES says who the application is and where it runs (service.name, service.version, service.instance.id, cloud.*, host.*), filled in on the machine, unless it stands here.")
        .example("environment:\n  DB_HOST: db.example.org\n  DB_PASSWORD: aws:kms:AQICAHhFeGFtcGxl"),
    Key::new("deployment_id", Text(Grammar::NotEmpty), Read, "Names the deployment; becomes a label of the container.")
        .taupage("Told to the local tokeninfo service only.")
        .example("deployment_id: d-2026-11"),
    Key::new("notify_cfn", Object(NOTIFY), Read, "The resource in a CloudFormation stack that is told how the boot ended: SUCCESS or FAILURE, once in the life of the instance.")
        .taupage("Sent nothing when a step before the container failed, and sent again at every reboot.")
        .ours("Sent however the boot ends, where stack and resource can be read: text that is no YAML included.")
        .example("notify_cfn:\n  stack: my-stack\n  resource: AppServer"),
    Key::new("unknown_keys", Shape::Choice(&["warn", "deny"]), Read, "What an unknown key is: a warning, or an error. The image's policy can only make it stricter.")
        .default("warn")
        .ours("New; Taupage ignored unknown keys in silence.")
        .example("unknown_keys: deny"),
    Key::new("etcd_discovery_domain", Text(Grammar::Server), Read, "The domain of an etcd cluster: ETCD_URL of the container is http://etcd-server.DOMAIN:2379, whatever `environment` says. `disable` means etcd on the machine itself. While the machine is healthy it is registered there as /taupage/HOSTNAME, with what others may know of the application as JSON: a lease of 15 s, renewed every 5 s, and given back when the machine is unhealthy or leaves.")
        .taupage("Ran an etcd proxy (v2) on the machine, found the cluster by its SRV records, and pointed ETCD_URL to the proxy. The entry was the whole user data but for `environment`, passwords included.")
        .ours("There is no proxy, and with `disable` no etcd is started: container and agent talk to the cluster itself, at the A record that stups-etcd-cluster keeps, and by etcd's v3 interface (3.4 and later). The entry holds id, version, image, ports and health check. An etcd that is away is told once and ends nothing.")
        .example("etcd_discovery_domain: etcd.example.org"),
    Key::new("tokeninfo_url", Text(Grammar::Url), Read, "The address of a tokeninfo service: TOKENINFO_URL of the container, unless `environment` sets that.")
        .taupage("The same.")
        .example("tokeninfo_url: https://tokeninfo.example.org/oauth2/tokeninfo"),
    Key::new("local_planb_tokeninfo", Shape::Flag, Read, "Points TOKENINFO_URL to a tokeninfo service on port 9021 of the machine, unless `environment` sets it. Before the container is made, `/health` there is asked for up to 30 s; without a 200 it is `tokeninfo_url`, with a warning, for as long as this container lives.")
        .default("false")
        .taupage("Ran Plan B's tokeninfo, and gave the container http://localhost:9021, which is the container itself unless `networking` is `host`. When the service was late there was no TOKENINFO_URL at all.")
        .ours("The service is the image's to run, and has to listen on the bridge's address, not only on 127.0.0.1. The container gets the address of the bridge's gateway, or 127.0.0.1 with `networking: host`.")
        .example("local_planb_tokeninfo: true"),
];

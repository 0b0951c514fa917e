//! Why each code matters, with a text that produces it and one that does not.
//!
//! A test parses both, so an example here is never wrong for long.

use super::super::problem::Code;

/// What is to be learned from a code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lesson {
    pub(super) code: Code,
    /// What goes wrong otherwise, and what to do.
    pub(super) why: &'static str,
    pub(super) example: Example,
}

/// A mistake, and the same without it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Example {
    /// Lines of a file in which everything else is right; no good lines mean that the bad ones have to go.
    Lines { bad: &'static str, good: &'static str },
    /// Whole texts.
    Text { bad: &'static str, good: &'static str },
    /// Lines, on a machine whose image has a policy.
    Policy {
        policy: &'static str,
        bad: &'static str,
        good: &'static str,
    },
    /// Nobody wants to see it; why.
    Unshown(
        #[cfg_attr(not(test), expect(dead_code, reason = "said to whoever reads the table"))] &'static str,
    ),
}

/// What is to be learned from this one.
pub(super) fn lesson(code: Code) -> Option<&'static Lesson> {
    LESSONS.iter().find(|lesson| lesson.code == code)
}

const fn lines(code: Code, why: &'static str, bad: &'static str, good: &'static str) -> Lesson {
    let example = Example::Lines { bad, good };
    Lesson { code, why, example }
}

const fn text(code: Code, why: &'static str, bad: &'static str, good: &'static str) -> Lesson {
    let example = Example::Text { bad, good };
    Lesson { code, why, example }
}

const fn policy(
    code: Code,
    why: &'static str,
    policy: &'static str,
    bad: &'static str,
    good: &'static str,
) -> Lesson {
    let example = Example::Policy { policy, bad, good };
    Lesson { code, why, example }
}

const fn unshown(code: Code, why: &'static str, reason: &'static str) -> Lesson {
    let example = Example::Unshown(reason);
    Lesson { code, why, example }
}

const WHOLE: &str = "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1.0\"\nsource: registry.example.org/team/my-app:1.0";
const IN_A_TEMPLATE: &str = concat!(
    "Resources:\n  App:\n    Type: AWS::EC2::Instance\n    Properties:\n      UserData:\n        Fn::Base64: |\n",
    "          #taupage-ami-config\n          application_id: my-app\n          application_version: \"1.0\"\n",
    "          source: registry.example.org/team/my-app:1.0\n"
);
const DEEP: &str =
    "environment: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[too deep]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]";

pub(super) const LESSONS: &[Lesson] = &[
    text(
        Code::Empty,
        "A machine without user data has nothing to run. Often the launch template has the text in the wrong field, or a variable that was empty.",
        "",
        WHOLE,
    ),
    unshown(
        Code::TooLarge,
        "The agent reads a bounded amount, so that nobody can fill its memory. Large values belong into the image or into a bucket.",
        "64 KiB do not fit on a screen",
    ),
    unshown(
        Code::NotUtf8,
        "YAML is UTF-8. An editor saved the file in another encoding, or the bytes are no text at all.",
        "bytes that are no text cannot be printed",
    ),
    text(
        Code::Header,
        "Only a text that begins with this line is read, so that a script or a cloud-config is never taken for one and user data never becomes code. A comment may follow in the second line.",
        "application_id: my-app\napplication_version: \"1.0\"\nsource: registry.example.org/team/my-app:1.0",
        WHOLE,
    ),
    unshown(
        Code::Encoded,
        "gzip, base64 and MIME are unpacked, as cloud-init did it; these bytes look like one of them and are damaged or cut off. Send the file again, whole.",
        "packed bytes cannot be printed",
    ),
    unshown(
        Code::OverEc2Limit,
        "EC2 refuses to launch an instance with more than 16 KiB of user data: this file works from a disk only. Move files and long values into the image.",
        "16 KiB do not fit on a screen",
    ),
    lines(
        Code::Unprintable,
        "YAML has no control characters, and a terminal that shows them obeys them. They come from copying coloured output.",
        "hostname: \u{7}web",
        "hostname: web",
    ),
    unshown(
        Code::Nesting,
        "A text may be packed three times, such as base64 of gzip in a MIME message. More is a mistake or an attack on whoever unpacks it.",
        "packed bytes cannot be printed",
    ),
    text(
        Code::NoPart,
        "A MIME message is for cloud-init, and monopod reads the one part that begins with its own header. Here no part does.",
        "Content-Type: text/x-shellscript\n\n#!/bin/sh\n",
        WHOLE,
    ),
    text(
        Code::TwoParts,
        "There is one container, so there is one configuration. Which of two should count, nobody can tell: put them together.",
        concat!(
            "Content-Type: multipart/mixed; boundary=B\n\n--B\n\n#taupage-ami-config\napplication_id: a1\n",
            "--B\n\n#taupage-ami-config\napplication_id: b1\n--B--\n"
        ),
        WHOLE,
    ),
    text(
        Code::PartIgnored,
        "monopod runs no scripts and no cloud-config, so what stands in other parts of the message does not happen on this machine. Do it in the image.",
        concat!(
            "Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n",
            "--B\n\n#taupage-ami-config\napplication_id: my-app\napplication_version: \"1.0\"\nsource: a/b:1\n--B--\n"
        ),
        WHOLE,
    ),
    text(
        Code::IncludeForm,
        "The hash is not optional: without it, whoever can write to the bucket decides what runs here. Make it with sha256sum.",
        "#include s3://my-bucket/my-app.yaml",
        WHOLE,
    ),
    text(
        Code::Elsewhere,
        "Only a machine fetches the text, because only it has the right to. Check the file itself.",
        "#include s3://my-bucket/my-app.yaml sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        WHOLE,
    ),
    lines(
        Code::Syntax,
        "Nothing in a text that is not YAML can be trusted, so no key of it is read. The place is where the reader gave up; the cause is often a line above.",
        "environment: {DB_HOST: db.example.org",
        "environment: {DB_HOST: db.example.org}",
    ),
    lines(
        Code::Tab,
        "YAML forbids tabs as indentation, because nobody can see how wide they are.",
        "environment:\n\tDB_HOST: db.example.org",
        "environment:\n  DB_HOST: db.example.org",
    ),
    lines(
        Code::NoBreakSpace,
        "It looks like a space and is none, so the key gets another name. It comes from copying out of web pages.",
        "environment:\n\u{a0}\u{a0}DB_HOST: db.example.org",
        "environment:\n  DB_HOST: db.example.org",
    ),
    lines(
        Code::Template,
        "Somebody else was to fill this in (Senza, CloudFormation, Helm), and did not. The machine would run with the braces as a value.",
        "application_version: \"{{ImageVersion}}\"",
        "application_version: \"1.0\"",
    ),
    lines(
        Code::Tag,
        "A tag names a type that this reader does not make: most are Python's, and those once ran code.",
        "hostname: !!python/name:os.system web",
        "hostname: web",
    ),
    lines(
        Code::Limit,
        "A few lines of YAML can expand to gigabytes. Real files are four levels deep and repeat little.",
        DEEP,
        "environment: {JSON: '[[1]]'}",
    ),
    lines(
        Code::DuplicateKey,
        "The last one counts, and whoever reads the first one does not know. Two edits were merged.",
        "hostname: blue\nhostname: green",
        "hostname: green",
    ),
    lines(
        Code::SecondDocument,
        "Only one document is read. `---` begins another, which would be dropped in silence.",
        "---\nhostname: web",
        "hostname: web",
    ),
    text(
        Code::NotAMap,
        "The text has to be keys with values. A dash in front of the keys makes it a list.",
        "#taupage-ami-config\n- application_id: my-app",
        WHOLE,
    ),
    lines(
        Code::Alias,
        "The anchor an alias refers to has to stand above it.",
        "environment:\n  FIRST: *shared\n  SECOND: &shared one",
        "environment:\n  FIRST: &shared one\n  SECOND: *shared",
    ),
    lines(
        Code::Unreadable,
        "YAML 1.1 reads it as a number or a date, and there is no such number or date. Taupage ended with a stack trace.",
        "environment:\n  SINCE: 2001-13-01",
        "environment:\n  SINCE: \"2001-13-01\"",
    ),
    lines(
        Code::KeyForm,
        "Keys are words. A list or a map as a key names nothing.",
        "environment:\n  ? [DB, HOST]\n  : db.example.org",
        "environment:\n  DB_HOST: db.example.org",
    ),
    lines(
        Code::UnknownKey,
        "Taupage ignored it in silence, and a typo in the name of the health check went unnoticed. A key that your application reads itself may stay; `unknown_keys: deny` makes it an error.",
        "ports: {80: 8080}\nheath_check_path: /health",
        "ports: {80: 8080}\nhealth_check_path: /health",
    ),
    lines(
        Code::NoEffectYet,
        "The key is checked and kept, so that the file stays as it is; the message says what does not happen.",
        "xray_enabled: true",
        "",
    ),
    unshown(
        Code::NotAvailable,
        "Booting without it would lose data, so the machine refuses to boot. Stay on the image you have, or remove the key if you do not need it.",
        "this version carries out every key that it would have to refuse",
    ),
    lines(
        Code::Retired,
        "What Taupage did here talked to a service that is gone. `monopod explain KEY` says what to use instead.",
        "newrelic_account_key: 0123456789",
        "environment:\n  NEW_RELIC_LICENSE_KEY: aws:kms:AQICAHhFeGFtcGxl",
    ),
    text(
        Code::Missing,
        "There is no sensible default for it.",
        "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1.0\"",
        WHOLE,
    ),
    lines(
        Code::WrongType,
        "A value of another type means something else was intended. For `root` and its like any string once counted as true, \"false\" included.",
        "root: \"false\"",
        "root: false",
    ),
    lines(
        Code::BadValue,
        "The type fits, but no container can be run with this value.",
        "memory: lots",
        "memory: 512m",
    ),
    lines(
        Code::Coerced,
        "Templates render booleans as strings. It is clear what was meant, so it is taken; without the warning nobody would mend the template.",
        "read_only: \"true\"",
        "read_only: true",
    ),
    lines(
        Code::BadCiphertext,
        "KMS would refuse it after the machine has booted. Most often the end was cut off.",
        "environment:\n  DB_PASSWORD: aws:kms:AQICAHhFeGFtcGx",
        "environment:\n  DB_PASSWORD: aws:kms:AQICAHhFeGFtcGxl",
    ),
    lines(
        Code::SecretNotHere,
        "Host names, arguments and labels are seen by everybody on the machine. Secrets go into `secrets`, `files`, `environment` and logins.",
        "hostname: aws:kms:AQICAHhFeGFtcGxl",
        "hostname: web",
    ),
    lines(
        Code::SecretReference,
        "The service would refuse it after the machine has booted, or the application would get the reference instead of the secret.",
        "secrets:\n  db: aws:ssm:/my app/db",
        "secrets:\n  db: aws:ssm:/my-app/db",
    ),
    lines(
        Code::EnvironmentName,
        "No program could read a variable of this name.",
        "environment:\n  \"DB=HOST\": db.example.org",
        "environment:\n  DB_HOST: db.example.org",
    ),
    lines(
        Code::EnvironmentOverridden,
        "The container always gets its id and version from monopod, as it did from Taupage: this value is never seen.",
        "environment:\n  APPLICATION_ID: other",
        "environment:\n  OTHER_ID: other",
    ),
    lines(
        Code::ImageReference,
        "The engine could not pull it. Repository names have no upper-case letters, and no scheme stands in front.",
        "source: registry.example.org/Team/my-app:1.0",
        "source: registry.example.org/team/my-app:1.0",
    ),
    lines(
        Code::MutableImage,
        "`latest`, a missing tag and SNAPSHOT tags are pushed again and again: two machines of one group would run different programs. Name a tag that is never pushed twice, best with its digest.",
        "source: registry.example.org/team/my-app:latest",
        "source: registry.example.org/team/my-app:1.0",
    ),
    lines(
        Code::Port,
        "A mapping is the host's port, a colon, and the container's.",
        "ports: {8600: 8600/upd}",
        "ports: {8600: 8600/udp}",
    ),
    lines(
        Code::PortTaken,
        "Only one of the two could be published.",
        "ports: {80: 8080, 80/tcp: 8081}",
        "ports: {80: 8080, 81: 8081}",
    ),
    lines(
        Code::PortProtocol,
        "One mapping has one protocol; the container's side counts.",
        "ports: {53/udp: 53/tcp}",
        "ports: {53/udp: 53}",
    ),
    lines(
        Code::Capability,
        "The engine would refuse to create the container.",
        "capabilities_add: [NET_BIND_SERVISE]",
        "capabilities_add: [NET_BIND_SERVICE]",
    ),
    lines(
        Code::HealthCheck,
        "A check that cannot pass keeps the machine from ever being ready; one without effect is a machine nobody checks.",
        "ports: {80: 8080}\nhealth_check_path: health",
        "ports: {80: 8080}\nhealth_check_path: /health",
    ),
    lines(
        Code::RegistryLogin,
        "The registry would refuse the login. `auth` is the base64 of user:password, directly below the registry's address.",
        "dockercfg:\n  registry.example.org:\n    auth: user:password",
        "dockercfg:\n  registry.example.org:\n    auth: dXNlcjpwYXNzd29yZA==",
    ),
    lines(
        Code::Networking,
        "The mode shares another container's network, and a machine has only one container.",
        "networking: \"container:other\"",
        "networking: host",
    ),
    lines(
        Code::SourceText,
        "YAML reads 1.10 as the number 1.1. The key is text, so what stands in the file is taken; other programs that read the file will not do so.",
        "deployment_id: 1.10",
        "deployment_id: \"1.10\"",
    ),
    lines(
        Code::NothingSaid,
        "An empty value may be a variable that was not filled in.",
        "deployment_id: \"\"",
        "deployment_id: d-2026-11",
    ),
    lines(
        Code::OldLayout,
        "Taupage stopped reading this layout in 2015: no volume was attached, and nobody was told.",
        "volumes:\n  /dev/sdf: my-volume",
        "volumes:\n  ebs:\n    /dev/sdf: my-volume",
    ),
    lines(
        Code::NoEffectHere,
        "The key does something only together with another, or two keys speak of one matter and one of them counts. Logs above all are missed when it is too late: who names a bucket wants something in it. So is a machine that was to replace itself.",
        "logging:\n  s3_bucket: my-logs",
        "logging:\n  log_destination: s3\n  s3_bucket: my-logs",
    ),
    lines(
        Code::OverBudget,
        "Something larger bounds it. Full disks were the most frequent outage, so `log_budget` is the stronger: files are smaller than asked for, or fewer are kept. It is the same with time: `boot_timeout` ends a wait for load balancers, `drain_timeout` the container's stop.",
        "application_logrotate_size: 4g",
        "log_budget: 16g\napplication_logrotate_size: 2g",
    ),
    lines(
        Code::NotAttached,
        "A file that attaches volumes and then mounts a device it does not attach has most often a slip in one of the two names. Disks of instance store, and volumes that a launch template attaches, belong to the machine: for them the warning can be left as it is.",
        "volumes:\n  ebs:\n    /dev/sdf: my-volume\nmounts:\n  /data:\n    partition: /dev/xvdg",
        "volumes:\n  ebs:\n    /dev/sdf: my-volume\nmounts:\n  /data:\n    partition: /dev/xvdf",
    ),
    policy(
        Code::Forbidden,
        "Whoever built the machine's image decides what may run on it. Use another image, or do without.",
        "allow:\n  root: false",
        "root: true",
        "root: false",
    ),
    policy(
        Code::Locked,
        "The image has a value for this key, such as the address that audit records go to, which no team may change.",
        "locked: [hostname]",
        "hostname: web",
        "",
    ),
    lines(
        Code::NotAllowed,
        "The key gives the container the machine, so an image has to allow it: `monopod explain policy.allow.docker_daemon_access`.",
        "docker_daemon_access: true",
        "docker_daemon_access: false",
    ),
    policy(
        Code::NoRule,
        "The image has rules for what may run, and says nothing about this one: whoever wrote the rules did not mean it. Use an image that a rule is about.",
        "images:\n  - match: registry.example.org/team/*\n    require: nothing",
        "source: registry.example.org/others/app:1",
        "source: registry.example.org/team/app:1",
    ),
    policy(
        Code::DigestNeeded,
        "A tag is whatever the registry says today. With the digest the user data says itself what runs.",
        "images:\n  - match: \"**\"\n    require: digest",
        "source: registry.example.org/team/app:1",
        "source: registry.example.org/team/app:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ),
    unshown(
        Code::RuleNeverMatches,
        "The first rule that matches counts, so one behind a wider one, or one whose pattern fits no image, protects nothing, and whoever wrote it believes that it does. Put the narrower rule first; write registry and repository in full, without a tag.",
        "the mistake is in the policy, and examples are user data",
    ),
    unshown(
        Code::TrustKey,
        "Without its key a rule can verify nothing. The file has to be in the machine's image, below /etc/monopod, and hold one P-256 public key as PEM (`cosign public-key --key ...` writes it).",
        "the mistake is in the policy, and examples are user data",
    ),
    policy(
        Code::Snapshot,
        "A snapshot is what somebody built last, not a release that can be named, found and built again. A digest pins its bytes and makes it no release. The policy of the machine's image says what follows: `monopod explain policy.verdicts.EC2_WITH_A_SNAPSHOT_IMAGE`.",
        "verdicts:\n  EC2_WITH_A_SNAPSHOT_IMAGE: deny",
        "source: registry.example.org/team/app:1-SNAPSHOT@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "source: registry.example.org/team/app:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ),
    text(
        Code::NoUserData,
        "The file is a template, but no machine in it has user data that begins with `#taupage-ami-config`.",
        "Resources:\n  App:\n    Type: AWS::EC2::Instance\n    Properties: {InstanceType: t3.small}\n",
        IN_A_TEMPLATE,
    ),
    text(
        Code::TemplateShape,
        "A function of the template is not used as CloudFormation takes it, so nobody can say what the user data will be.",
        "Resources:\n  App:\n    Type: AWS::EC2::Instance\n    Properties:\n      UserData: {'Fn::Base64': {'Fn::Join': [x]}}\n",
        IN_A_TEMPLATE,
    ),
    text(
        Code::NotBase64,
        "EC2 takes user data as Base64: CloudFormation refuses the stack. Put it into Fn::Base64.",
        "Resources:\n  App:\n    Type: AWS::EC2::Instance\n    Properties:\n      UserData: |\n        #taupage-ami-config\n        application_id: my-app\n",
        IN_A_TEMPLATE,
    ),
    text(
        Code::NotInTemplate,
        "All of the user data is a parameter's value, so there is nothing to check before somebody gives it. Check the value by itself.",
        "Parameters:\n  Text: {Type: String}\nResources:\n  App:\n    Type: AWS::EC2::Instance\n    Properties:\n      UserData: {'Fn::Base64': {Ref: Text}}\n",
        IN_A_TEMPLATE,
    ),
    text(
        Code::LinesFilledIn,
        "A parameter stands where whole lines belong, which may be any keys. Fill in single values instead, and all of them can be checked.",
        concat!(
            "Parameters:\n  More: {Type: String}\nResources:\n  App:\n    Type: AWS::EC2::Instance\n    Properties:\n",
            "      UserData:\n        Fn::Base64:\n          Fn::Sub: |\n            #taupage-ami-config\n            application_id: my-app\n",
            "            application_version: \"1.0\"\n            source: a/b:1\n            ${More}\n"
        ),
        IN_A_TEMPLATE,
    ),
    text(
        Code::UnknownName,
        "CloudFormation refuses a template that refers to a parameter or resource it does not have. Often it is a typo, or `${` that was meant as it stands: write `${!`.",
        concat!(
            "Resources:\n  App:\n    Type: AWS::EC2::Instance\n    Properties:\n      UserData:\n        Fn::Base64:\n",
            "          Fn::Sub: |\n            #taupage-ami-config\n            application_id: my-app\n",
            "            application_version: ${Versoin}\n            source: a/b:1\n"
        ),
        IN_A_TEMPLATE,
    ),
    unshown(
        Code::SignalTimeout,
        "CloudFormation gives up on the machine before monopod does, so a failure has no reason and a slow boot is rolled back. Give the signal more time than `boot_timeout`.",
        "it takes a group, a launch template and `notify_cfn`, which this version refuses",
    ),
    unshown(
        Code::Directive,
        "Lines that come and go with a condition can be checked only as what they become. Check what `terraform show -json` prints.",
        "it takes a file whose name ends in .tftpl",
    ),
    unshown(
        Code::TemplateTooLarge,
        "CloudFormation takes no template of more than 1 MB either.",
        "1 MiB does not fit on a screen",
    ),
    text(
        Code::SecondHeader,
        "Two user data were put one behind the other. The second header is a comment, and keys that stand twice count once.",
        concat!(
            "Resources:\n  App:\n    Type: AWS::EC2::Instance\n    Properties:\n      UserData:\n        Fn::Base64: |\n",
            "          #taupage-ami-config\n          application_id: my-app\n          application_version: \"1.0\"\n",
            "          #taupage-ami-config\n          source: a/b:1\n"
        ),
        IN_A_TEMPLATE,
    ),
    refused(
        Code::OtherDigest,
        "The user data names a digest and the registry resolved it to another one, which no working registry does. Nothing was pulled.",
    ),
    refused(
        Code::Unsigned,
        "The policy wants a signature, and there is none under `sha256-<digest>.sig` beside the image. Sign the digest with `cosign sign --key`, in the pipeline that pushes it; signing needs the registry and the image's repository.",
    ),
    refused(
        Code::WrongKey,
        "Somebody signed the image, but nobody whose key the rule names. Sign it with such a key, or have the key baked into the machine's image.",
    ),
    refused(
        Code::WrongDigest,
        "The signature is a true one of another image: copied, by mistake or to deceive. Find out who may push there.",
    ),
    refused(
        Code::WrongName,
        "The signature was made for another repository. A key often signs many images, and one of them under the name of another is not what was approved. Sign it again under its new name.",
    ),
    refused(
        Code::KeyExpired,
        "The rule's `not_after` for this key has passed, by the machine's clock. Sign the image again with a newer key; machines that run already go on.",
    ),
    refused(
        Code::BadSignature,
        "What lies where the signature should be is not what `cosign sign --key` writes. Sign it again.",
    ),
    refused(
        Code::NoHeader,
        "The registry answers for the image with neither X-Production-Ready-Taupage nor X-Trusted. Have it approved there.",
    ),
    refused(
        Code::HeaderRefused,
        "The registry says that the image may not run, and often why: the reason stands in the message.",
    ),
    refused(
        Code::TagMoved,
        "The registry speaks only about tags, and since the tag was resolved another image was pushed under it, so that what it says is not about the image that would run. Launch again, or name the digest in `source`.",
    ),
    refused(
        Code::ImageGone,
        "The image was in the registry when its tag was resolved, and is not any more.",
    ),
    refused(
        Code::Unverifiable,
        "The registry was not there, or refused to say what the policy asks for. What is not known to be right does not run. A registry that is away is tried again while the boot budget lasts.",
    ),
];

const fn refused(code: Code, why: &'static str) -> Lesson {
    unshown(
        code,
        why,
        "it takes a registry, and is said when the machine boots",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::super::{ImageLayer, Text, read, template};
    use super::*;

    fn codes(user_data: &str, policy: Option<&str>) -> BTreeSet<&'static str> {
        if let Some(template) = template::templates(user_data.as_bytes(), "template.yaml") {
            return template
                .all_problems()
                .map(|problem| problem.code.as_str())
                .collect();
        }
        let image = ImageLayer {
            defaults: Vec::new(),
            policy: policy.map(|policy| Text {
                name: "policy",
                bytes: policy.as_bytes(),
            }),
            ..ImageLayer::default()
        };
        let user_data = Text {
            name: "user data",
            bytes: user_data.as_bytes(),
        };
        let report = read(user_data, &image);
        report
            .problems()
            .iter()
            .map(|problem| problem.code.as_str())
            .collect()
    }

    /// A whole file around the lines, without the keys they bring along.
    fn around(lines: &str) -> String {
        let brings = |line: &&str| {
            line.split_once(':').is_none_or(|(key, _)| {
                key.starts_with('#') || !lines.lines().any(|own| own.starts_with(&format!("{key}:")))
            })
        };
        let rest: Vec<&str> = WHOLE.lines().filter(brings).collect();
        format!("{}\n{lines}\n", rest.join("\n"))
    }

    #[test]
    fn every_code_has_a_lesson() {
        for code in Code::ALL {
            let found = LESSONS.iter().filter(|lesson| lesson.code == *code).count();
            assert_eq!(
                found,
                1,
                "{code} ({}) needs one entry in LESSONS, in agent/core/config/contract/lessons.rs: \
                 lines(Code::{code:?}, \"why it matters, what to do.\", \"lines that are reported\", \"the same lines put right\"), \
                 or unshown(...) if no text of user data can show it",
                code.meaning()
            );
        }
    }

    #[test]
    fn every_example_does_what_it_says() {
        for Lesson { code, why, example } in LESSONS {
            assert!(why.ends_with('.') || why.ends_with('`'), "{code}: {why}");
            let (bad, good, policy) = match *example {
                Example::Unshown(reason) => {
                    assert!(!reason.is_empty());
                    continue;
                }
                Example::Text { bad, good } => (bad.to_owned(), good.to_owned(), None),
                Example::Lines { bad, good } => (around(bad), around(good), None),
                Example::Policy { policy, bad, good } => (around(bad), around(good), Some(policy)),
            };
            let (found, left) = (codes(&bad, policy), codes(&good, policy));
            assert!(
                found.contains(code.as_str()),
                "{code} is not reported but {found:?}:\n{bad}"
            );
            // What is right may still be a key for later.
            let left: Vec<_> = left
                .into_iter()
                .filter(|code| !matches!(*code, "MP0202" | "MP0203"))
                .collect();
            assert!(left.is_empty(), "{code}: {left:?}:\n{good}");
        }
    }
}

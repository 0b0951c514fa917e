//! The image's files and the user data, together.

use super::*;
use crate::trace::{Level, VerdictName};

const USER: &str = "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1\"\nsource: registry.example.org/a:1\n";

fn with(user: &str, defaults: &[&str], policy: &str) -> Report {
    let user = format!("{USER}{user}\n");
    let names = ["defaults.yaml", "defaults.d/10-team.yaml"];
    let image = ImageLayer {
        defaults: names
            .iter()
            .zip(defaults)
            .map(|(name, text)| Text {
                name,
                bytes: text.as_bytes(),
            })
            .collect(),
        policy: (!policy.is_empty()).then_some(Text {
            name: "policy.yaml",
            bytes: policy.as_bytes(),
        }),
        ..ImageLayer::default()
    };
    read(
        Text {
            name: "user data",
            bytes: user.as_bytes(),
        },
        &image,
    )
}

fn config(user: &str, defaults: &[&str]) -> Config {
    let report = with(user, defaults, "");
    report
        .config()
        .cloned()
        .unwrap_or_else(|| panic!("{}", report.render(Style::Plain)))
}

#[test]
fn user_data_lies_on_the_images_defaults() {
    let defaults = "hostname: image\nread_only: true\nports: {80: 80}\nenvironment: {A: image, B: image}\n";
    let drop_in = "# more\nhostname: drop-in\nlogging: {s3_acl: private}\n";
    let config = config(
        "ports: {90: 90}\nenvironment: {B: team, C: team}\nlogging: {s3_timekey: 1m}",
        &[defaults, drop_in],
    );
    assert_eq!(config.hostname(), Some("drop-in"));
    assert!(config.read_only());
    assert_eq!(config.ports().len(), 1, "ports don't merge");
    let variables: Vec<(&str, bool)> = config
        .environment()
        .iter()
        .map(|(name, value)| (name.as_str(), *value == EnvValue::Plain("image".into())))
        .collect();
    assert_eq!(variables, [("A", true), ("B", false), ("C", false)]);
    assert_eq!(config.logging().s3.acl.as_deref(), Some("private"));
    assert_eq!(config.logging().s3.timekey_seconds, Some(60));
    let origin = |key: &str| {
        let origin = config.origins().iter().find(|origin| origin.key == key).unwrap();
        format!("{}:{}", origin.text, origin.line)
    };
    assert_eq!(origin("hostname"), "defaults.d/10-team.yaml:2");
    assert_eq!(origin("read_only"), "defaults.yaml:2");
    assert_eq!(origin("environment.A"), "defaults.yaml:4");
    assert_eq!(origin("environment.B"), "user data:6");
    assert_eq!(origin("source"), "user data:4");
}

#[test]
fn null_on_top_is_empty_and_leaving_out_is_not() {
    let defaults = "hostname: image\nenvironment: {A: image}\n";
    assert_eq!(config("hostname:", &[defaults]).hostname(), None);
    assert!(config("environment:", &[defaults]).environment().is_empty());
    assert_eq!(config("", &[defaults]).hostname(), Some("image"));
    let one = config("environment: {A: }", &[defaults]);
    assert_eq!(one.environment()[0].1, EnvValue::Plain("None".into()));
    assert_eq!(config("", &["", "# nothing\n"]).hostname(), None);
}

#[test]
fn a_mistake_in_the_images_files_names_the_file() {
    for (defaults, policy, place) in [
        ("hostname: a_b", "", "defaults.yaml:1:11"),
        ("a: 'x", "", "defaults.yaml:1"),
        ("- a", "", "defaults.yaml:1:1"),
        ("", "allow: {roots: false}", "policy.yaml:1:9"),
        ("", "allow: {root: 'false'}", "policy.yaml:1:15"),
        ("", "allow: {capabilities: [NET_RAWW]}", "policy.yaml:1:24"),
        ("", "allow: {capabilities: }", "policy.yaml:1:9"),
        ("", "locked:\n", "policy.yaml:1:1"),
        ("", "locked: [enviroment]", "policy.yaml:1:10"),
        ("", "locked: [logging.s3_alc]", "policy.yaml:1:10"),
        ("", "locked: [source.x]", "policy.yaml:1:10"),
        ("", "locked: [hostname]\nlocked: []", "policy.yaml:2:1"),
        ("", "lock: [a]", "policy.yaml:1:1"),
        ("", "unknown_keys: never", "policy.yaml:1:15"),
        ("", "{", "policy.yaml:1"),
    ] {
        let report = with("", &[defaults], policy);
        let shown = report.render(Style::Plain);
        assert!(report.has_errors(), "{defaults}{policy}");
        assert!(shown.contains(&format!("--> {place}")), "{shown}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn a_policy_refuses_and_names_its_rule() {
    let digest = format!("source: registry.example.org/a@sha256:{}", "0".repeat(64));
    for (user, policy, code) in [
        ("root: true", "allow: {root: false}", Code::Forbidden),
        ("root: true\nuser: 0", "allow: {root: false}", Code::Forbidden),
        ("privileged: true", "allow:\n  privileged: false", Code::Forbidden),
        (
            "networking: host",
            "allow: {host_networking: false}",
            Code::Forbidden,
        ),
        (
            "seccomp: unconfined",
            "allow: {seccomp_unconfined: false}",
            Code::Forbidden,
        ),
        (
            "docker_daemon_access: true",
            "allow: {docker_daemon_access: false}",
            Code::Forbidden,
        ),
        (
            "capabilities_add: [SYS_ADMIN]",
            "allow: {capabilities: [NET_RAW]}",
            Code::Forbidden,
        ),
        (
            "",
            "allow: {registries: ['*.example.com', other.example.org]}",
            Code::Forbidden,
        ),
        (
            "registry_mirrors: {Registry.example.org: [ok.example.org, evil.example.net/hub], a.org: [b.org]}",
            "allow: {registries: ['*.example.org']}",
            Code::Forbidden,
        ),
        ("", "allow: {undigested_tags: false}", Code::Forbidden),
        (
            "environment: {A: plain, B: 'aws:ssm:/my-app/b'}",
            "allow: {secrets_in_environment: false}",
            Code::Forbidden,
        ),
        ("hostname: x", "locked: [hostname]", Code::Locked),
        ("hostname:", "locked: [hostname]", Code::Locked),
        (
            "logging: {s3_acl: private}",
            "locked: [logging.s3_acl]",
            Code::Locked,
        ),
        (
            "environment: {A: x}",
            "locked: [logging, environment.A]",
            Code::Locked,
        ),
        ("args: [x]", "locked: [command]", Code::Locked),
        ("command: [x]", "locked: [args]", Code::Locked),
        (
            "environment: {my.key: x}",
            "locked: [environment.my.key]",
            Code::Locked,
        ),
        (
            "files: {/etc/ca.pem: x}",
            "locked: [files./etc/ca.pem]",
            Code::Locked,
        ),
        (
            "seccomp: /var/log-custom/x.json",
            "allow: {seccomp_unconfined: false}",
            Code::Forbidden,
        ),
        (
            "capabilities_add: [ALL]",
            "allow: {capabilities: [CAP_NET_RAW]}",
            Code::Forbidden,
        ),
        ("my_key: 1", "unknown_keys: deny", Code::UnknownKey),
        ("logging: {my_key: 1}", "unknown_keys: deny", Code::UnknownKey),
    ] {
        let report = with(user, &[], policy);
        let errors: Vec<&Problem> = report
            .problems()
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .collect();
        assert_eq!(
            errors.len(),
            1,
            "{user} {policy}: {}",
            report.render(Style::Plain)
        );
        assert_eq!(errors[0].code, code, "{user} {policy}");
        let rule = errors[0]
            .related
            .as_ref()
            .unwrap_or_else(|| panic!("{user} {policy}"));
        assert_eq!(report.text_name(rule.place), "policy.yaml");
        assert!(
            report.one_line(errors[0]).contains("policy.yaml:"),
            "{}",
            report.one_line(errors[0])
        );
    }
    for (user, policy) in [
        (
            "root: true\nprivileged: true\nnetworking: host",
            "allow: {root: true}",
        ),
        (
            "docker_daemon_access: true",
            "allow: {docker_daemon_access: true}",
        ),
        ("capabilities_add: [NET_RAW]", "allow: {capabilities: [NET_RAW]}"),
        ("", "allow: {registries: ['*.example.org']}"),
        (
            "registry_mirrors: {registry.example.org: [ok.example.org, other.example.net:5000/hub], a.org: [b.org]}",
            "allow: {registries: ['*.Example.org', 'other.example.net:5000']}",
        ),
        (
            "seccomp: /etc/monopod/seccomp/x.json",
            "allow: {seccomp_unconfined: false}",
        ),
        (
            "capabilities_add: [net_raw]",
            "allow: {capabilities: [CAP_NET_RAW]}",
        ),
        (digest.as_str(), "allow: {undigested_tags: false}"),
        ("logging: {s3_timekey: 1m}", "locked: [logging.s3_acl, hostname]"),
        (
            "environment: {A: plain}\nsecrets: {b: 'aws:ssm:/my-app/b'}",
            "allow: {secrets_in_environment: false}",
        ),
        ("root: true", "# nothing yet\n{}\n"),
    ] {
        let report = with(user, &[], policy);
        assert!(
            !report.has_errors(),
            "{user} {policy}: {}",
            report.render(Style::Plain)
        );
    }
}

#[test]
fn a_mirror_that_is_not_allowed_is_shown_where_it_stands() {
    let report = with(
        "registry_mirrors:\n  registry.example.org:\n    - ok.example.org\n    - evil.example.net",
        &[],
        "allow:\n  registries: ['*.example.org']",
    );
    let [problem] = report.problems() else {
        panic!("{}", report.render(Style::Plain));
    };
    assert_eq!(problem.place.map(|place| place.line), Some(8));
    let rule = problem.related.as_ref().unwrap();
    assert_eq!(
        (rule.label.as_str(), rule.place.line),
        ("the rule `allow.registries`", 2)
    );
    assert!(!problem.message.contains("evil"));
}

#[test]
fn a_policy_file_that_says_nothing_is_no_policy_in_silence() {
    for text in ["", "\n", "# allow: {root: false}\n", "---\n", "null\n"] {
        let policy = Text {
            name: "policy.yaml",
            bytes: text.as_bytes(),
        };
        let image = ImageLayer {
            policy: Some(policy),
            ..ImageLayer::default()
        };
        let (name, bytes) = ("user data", USER.as_bytes());
        let report = read(Text { name, bytes }, &image);
        assert!(report.has_errors() && report.config().is_none(), "{text:?}");
        let [problem] = report.problems() else {
            panic!("{text:?}: {}", report.render(Style::Plain));
        };
        assert_eq!(
            problem.place.map(|place| report.text_name(place)),
            Some("policy.yaml")
        );
        assert!(
            problem.help.as_deref().is_some_and(|help| help.contains("`{}`")),
            "{text:?}: {problem:?}"
        );
    }
}

#[test]
fn a_locked_key_is_the_images_own() {
    let report = with("", &["hostname: image"], "locked: [hostname, logging]");
    assert_eq!(report.config().unwrap().hostname(), Some("image"));
    let report = with(
        "environment: {B: x}",
        &["environment: {A: image}"],
        "locked: [environment.A]",
    );
    assert!(!report.has_errors(), "{}", report.render(Style::Plain));
}

#[test]
fn user_data_can_be_stricter_than_the_image() {
    let report = with("unknown_keys: deny\nmy_key: 1", &[], "unknown_keys: warn");
    assert_eq!(report.problems()[0].code, Code::UnknownKey);
    assert!(report.has_errors());
    let report = with("unknown_keys: warn\nmy_key: 1", &[], "unknown_keys: deny");
    assert!(report.has_errors());
}

#[test]
fn what_is_locked_cannot_be_taken_away_either() {
    for (image, locked, user) in [
        ("environment: {A: image}", "environment.A", "environment:"),
        ("logging: {s3_acl: private}", "logging.s3_acl", "logging: null"),
        (
            "sysctl: {vm.swappiness: 1}",
            "sysctl.vm.swappiness",
            "sysctl: {fs.file-max: 1}",
        ),
        ("files: {/a: x}", "files./a", "files: {/b: y}"),
    ] {
        let policy = format!("locked: [{locked}]");
        let report = with(user, &[image], &policy);
        let codes: Vec<Code> = report.problems().iter().map(|problem| problem.code).collect();
        assert!(codes.contains(&Code::Locked), "{user}: {codes:?}");
        assert!(!with("", &[image], &policy).has_errors(), "{image}");
        let other = format!("{user}\n{}", "hostname: x");
        assert!(
            !with(&other, &[], &policy)
                .problems()
                .iter()
                .any(|problem| problem.code == Code::Locked)
        );
    }
}

#[test]
fn a_command_replaces_the_image_s_arguments() {
    let one = config("command: [mine]", &["args: [image]"]);
    assert_eq!(one.options().command.as_deref(), Some(&["mine".to_owned()][..]));
}

const RULES: &str = "images:
  - match: registry.example.org/team/*
    require: signature
    keys:
      - /etc/monopod/keys/team.pub
      - {file: /etc/monopod/keys/old.pub, not_after: 2027-06-30}
  - {match: 'registry.example.org/pinned/**', require: digest}
  - {match: 'pierone.example.org/**', require: header}
  - {match: 'docker.io/library/*', require: nothing}
";

/// With an image of its own, and these keys on the machine.
fn on(source: &str, policy: &str, keys: &[(&str, Result<&str, &str>)]) -> Report {
    let user = USER.replace("registry.example.org/a:1", source);
    let keys = keys
        .iter()
        .map(|(path, content)| KeyFile {
            path,
            content: content.map(str::as_bytes),
        })
        .collect();
    let image = ImageLayer {
        policy: Some(Text {
            name: "policy.yaml",
            bytes: policy.as_bytes(),
        }),
        keys,
        ..ImageLayer::default()
    };
    read(
        Text {
            name: "user data",
            bytes: user.as_bytes(),
        },
        &image,
    )
}

const KEYS: [(&str, Result<&str, &str>); 2] = [
    ("/etc/monopod/keys/team.pub", Ok(crate::trust::key::tests::TEAM)),
    ("/etc/monopod/keys/old.pub", Ok(crate::trust::key::tests::OLD)),
];

#[test]
fn an_image_has_to_prove_what_its_rule_says() {
    let pinned = format!("registry.example.org/pinned/a/b@sha256:{}", "0".repeat(64));
    for (source, wanted, line) in [
        (
            "registry.example.org/team/app:1",
            "a signature by team.pub or old.pub (until 2027-06-30)",
            2,
        ),
        (pinned.as_str(), "a digest in `source`", 7),
        (
            "pierone.example.org/team/app:1",
            "a header of the registry that says the image may run",
            8,
        ),
        ("nginx:1", "nothing", 9),
    ] {
        let report = on(source, RULES, &KEYS);
        assert!(!report.has_errors(), "{}", report.render(Style::Plain));
        let trust = report.config().unwrap().trust();
        let rule = trust.rule.as_ref().unwrap();
        assert_eq!(
            (
                trust.requirement.to_string().as_str(),
                rule.file.as_str(),
                rule.line
            ),
            (wanted, "policy.yaml", line),
            "{source}"
        );
    }
    for (source, code) in [
        ("registry.example.org/app:1", Code::NoRule),
        ("registry.example.org:5000/team/app:1", Code::NoRule),
        ("registry.example.org/pinned/app:1", Code::DigestNeeded),
    ] {
        let report = on(source, RULES, &KEYS);
        let [problem] = report.problems() else {
            panic!("{}", report.render(Style::Plain));
        };
        assert_eq!(problem.code, code);
        let line = report.one_line(problem);
        let rule = if code == Code::NoRule { 1 } else { 7 };
        assert!(line.contains(&format!("policy.yaml:{rule})")), "{line}");
    }
    let without = with("", &[], "allow: {root: true}");
    assert_eq!(without.config().unwrap().trust(), &crate::trust::Trust::NOTHING);
    assert_eq!(on("nginx:1", "images: []", &[]).problems()[0].code, Code::NoRule);
}

#[test]
fn a_rule_that_protects_nothing_is_an_error() {
    let two = |one: &str, other: &str| {
        format!("images:\n- {{match: '{one}', require: nothing}}\n- {{match: '{other}', require: digest}}\n")
    };
    let keys = |keys: &str| format!("images: [{{match: '**', require: signature, keys: {keys}}}]\n");
    let team = "/etc/monopod/keys/team.pub";
    for (policy, code, line) in [
        (two("**", "docker.io/library/*"), Code::RuleNeverMatches, 3),
        (
            two("docker.io/library/*", "docker.io/library/*"),
            Code::RuleNeverMatches,
            3,
        ),
        (two("team/*", "**"), Code::RuleNeverMatches, 2),
        (two("docker.io/nginx", "**"), Code::RuleNeverMatches, 2),
        (two("docker.io/library/a:1", "**"), Code::RuleNeverMatches, 2),
        (
            "images: [{match: '**', require: signature}]".to_owned(),
            Code::Missing,
            1,
        ),
        (
            "images: [{match: '**', require: header, keys: [/etc/monopod/a]}]".to_owned(),
            Code::NoEffectHere,
            1,
        ),
        ("images: [{match: '**'}]".to_owned(), Code::Missing, 1),
        ("images: [{require: digest}]".to_owned(), Code::Missing, 1),
        (
            "images: [{match: '**', require: header, keys: }]".to_owned(),
            Code::Missing,
            1,
        ),
        (
            "images: [{match: , require: digest}]".to_owned(),
            Code::Missing,
            1,
        ),
        (
            "images: [{match: '**', require: sign}]".to_owned(),
            Code::BadValue,
            1,
        ),
        (
            "images: [{match: '**', require: digest, key: []}]".to_owned(),
            Code::UnknownKey,
            1,
        ),
        ("images: {}".to_owned(), Code::WrongType, 1),
        ("images:".to_owned(), Code::Missing, 1),
        (keys("[]"), Code::Missing, 1),
        (keys("[/etc/keys/team.pub]"), Code::BadValue, 1),
        (keys("[/etc/monopod/../team.pub]"), Code::BadValue, 1),
        (keys("[/etc/monopod/keys/gone.pub]"), Code::TrustKey, 1),
        (keys("[/etc/monopod/keys/private.key]"), Code::TrustKey, 1),
        (keys("[/etc/monopod/keys/unreadable.pub]"), Code::TrustKey, 1),
        (
            keys(&format!("[{team}, {{file: {team}, not_after: 2027-06-31}}]")),
            Code::Unreadable,
            1,
        ),
        (
            keys(&format!("[{team}, {{file: {team}, not_after: soon}}]")),
            Code::BadValue,
            1,
        ),
        (keys("[{not_after: 2027-06-30}]"), Code::Missing, 1),
    ] {
        let files = [
            KEYS[0],
            KEYS[1],
            (
                "/etc/monopod/keys/private.key",
                Ok("-----BEGIN EC PRIVATE KEY-----\n"),
            ),
            (
                "/etc/monopod/keys/unreadable.pub",
                Err("it cannot be read: denied"),
            ),
        ];
        let report = on("nginx:1", &policy, &files);
        assert!(report.config().is_none(), "{policy}");
        // An unreadable date is another error of YAML's own.
        let found = report.problems().iter().find(|problem| problem.code == code);
        let place = found
            .unwrap_or_else(|| panic!("{policy}: {}", report.render(Style::Plain)))
            .place
            .unwrap();
        assert_eq!(
            (report.text_name(place), place.line),
            ("policy.yaml", line),
            "{policy}"
        );
        assert!(
            !report
                .problems()
                .iter()
                .any(|problem| problem.code == Code::NoRule),
            "{policy}"
        );
    }
}

#[test]
fn the_policy_s_key_files_are_known_before_it_is_read() {
    assert_eq!(
        policy_key_files(RULES.as_bytes()),
        ["/etc/monopod/keys/old.pub", "/etc/monopod/keys/team.pub"]
    );
    for none in [
        "",
        "images: 5",
        "images: [{keys: [/etc/passwd, /etc/monopod/../passwd, {file: /etc/shadow}, 5, [a]]}]",
        "{",
    ] {
        assert_eq!(policy_key_files(none.as_bytes()), Vec::<String>::new(), "{none}");
    }
}

#[test]
fn what_follows_from_an_image_is_the_policy_s_to_say() {
    let rules = "# The rules.\nverdicts:\n  SCM_SOURCE_JSON_MISSING: deny\n  OUTDATED_TAUPAGE: ignore\nmax_image_age: 90d\nscm_repositories: [github.com/my-org/*]\n";
    let report = with("", &[], rules);
    let verdicts = report.config().unwrap().verdicts().clone();
    assert_eq!(
        verdicts.rows(),
        [
            ("SCM_SOURCE_JSON_MISSING", "deny (policy.yaml:3)".to_owned()),
            ("OUTDATED_TAUPAGE", "ignore (policy.yaml:4)".to_owned()),
            ("max_image_age", "90 d (policy.yaml:5)".to_owned()),
            (
                "scm_repositories",
                "[github.com/my-org/*] (policy.yaml:6)".to_owned()
            ),
        ]
    );
    assert_eq!(verdicts.level(VerdictName::ScmSourceJsonInvalid), Level::Warn);
    assert!(config("", &[]).verdicts().is_empty());
}

#[test]
fn a_rule_about_images_that_cannot_be_meant_is_an_error() {
    for (policy, code) in [
        ("verdicts: {SCM_SOURCE_JSON_MISING: deny}", Code::UnknownKey),
        ("verdicts: {SCM_SOURCE_JSON_MISSING: denied}", Code::BadValue),
        ("verdicts: {SCM_SOURCE_JSON_MISSING: }", Code::Missing),
        ("verdicts: deny", Code::WrongType),
        ("max_image_age: 90 days", Code::BadValue),
        ("max_image_age: 1s", Code::BadValue),
        ("scm_repositories: [github.com]", Code::RuleNeverMatches),
        (
            "scm_repositories: ['https://github.com/my-org/*']",
            Code::RuleNeverMatches,
        ),
    ] {
        let report = with("", &[], policy);
        assert!(report.config().is_none(), "{policy}");
        let codes: Vec<Code> = report.problems().iter().map(|problem| problem.code).collect();
        assert_eq!(codes, [code], "{policy}: {}", report.render(Style::Plain));
    }
}

#[test]
fn a_snapshot_is_known_before_it_runs() {
    let user = format!(
        "source: registry.example.org/a:1-SNAPSHOT@sha256:{}",
        "0".repeat(64)
    );
    for (policy, severity, rule) in [
        ("{}", Some(Severity::Warning), None),
        ("verdicts: {EC2_WITH_A_SNAPSHOT_IMAGE: ignore}", None, None),
        (
            "verdicts:\n  EC2_WITH_A_SNAPSHOT_IMAGE: warn",
            Some(Severity::Warning),
            Some(2),
        ),
        (
            "verdicts:\n  EC2_WITH_A_SNAPSHOT_IMAGE: deny",
            Some(Severity::Error),
            Some(2),
        ),
    ] {
        let report = with(&user, &[], policy);
        let found = report
            .problems()
            .iter()
            .find(|problem| problem.code == Code::Snapshot);
        assert_eq!(found.map(|problem| problem.severity), severity, "{policy}");
        assert_eq!(
            report.config().is_none(),
            severity == Some(Severity::Error),
            "{policy}"
        );
        let Some(problem) = found else { continue };
        assert!(
            problem.message.starts_with("EC2_WITH_A_SNAPSHOT_IMAGE: "),
            "{problem:?}"
        );
        assert_eq!(
            problem.related.as_ref().map(|related| related.place.line),
            rule,
            "{policy}"
        );
        assert!(problem.place.is_some() && problem.key.as_deref() == Some("source"));
    }
}

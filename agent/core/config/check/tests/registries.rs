//! `dockercfg` in both of docker's forms, and logins that are made on the machine.

use super::{clean, code, error, warned, warning};
use crate::config::{Code, RegistryLogin, Severity};
use crate::secret::SecretSource;

#[test]
fn the_form_docker_had_before_2015() {
    let config = clean(
        "dockercfg:\n  https://registry.example.org/v1/: {auth: dXNlcjpodW50ZXIy, email: a@example.org}\n  \
         https://index.docker.io/v1/: {auth: 'aws:kms:aGVsbG8='}\n  localhost:5000: {auth: dXNlcjpodW50ZXIy}",
    );
    let auths = config.registry_auths();
    let hosts: Vec<&str> = auths.iter().map(|auth| auth.registry.as_str()).collect();
    assert_eq!(hosts, ["registry.example.org", "docker.io", "localhost:5000"]);
    assert!(matches!(&auths[0].login,
        RegistryLogin::Auth(SecretSource::Literal(secret)) if secret.expose() == "dXNlcjpodW50ZXIy"));
    assert!(matches!(&auths[1].login,
        RegistryLogin::Auth(SecretSource::Stored(reference)) if reference.canonical() == "aws:kms:aGVsbG8="));
    for bad in [
        "{auth: aHVudGVyMg==}",
        "{auth: 'user:hunter2'}",
        "{auth: [hunter2]}",
        "{auth: }",
        "{email: hunter2}",
    ] {
        let problem = error(&format!("dockercfg:\n  https://registry.example.org: {bad}"));
        assert!(
            matches!(problem.code, Code::RegistryLogin | Code::Missing),
            "{bad}"
        );
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }
    assert_eq!(
        code("dockercfg: {registry.example.org: {auth: aws:kms:x}}"),
        Code::BadCiphertext
    );
    assert_eq!(code("dockercfg: aws:kms:aGVsbG8="), Code::WrongType);
    let (config, problem) =
        warning("dockercfg: {a.example: {auth: YTph}, 'https://a.example': {auth: YTpi}}");
    assert_eq!(
        (config.registry_auths().len(), problem.code),
        (1, Code::DuplicateKey)
    );
    assert_eq!(
        warning("dockercfg: {a.example: {auth: YTph, emial: x}}")
            .1
            .help
            .as_deref(),
        Some("did you mean `email`?")
    );
}

#[test]
fn the_form_docker_has_since_and_both_together() {
    let config = clean(
        "dockercfg:\n  b.example: {auth: YTph}\n  auths:\n    registry.example.org: {auth: dXNlcjpodW50ZXIy}\n    \
         https://index.docker.io/v1/: {username: robot, password: 'aws:kms:aGVsbG8='}",
    );
    let hosts: Vec<&str> = config
        .registry_auths()
        .iter()
        .map(|auth| auth.registry.as_str())
        .collect();
    assert_eq!(hosts, ["b.example", "registry.example.org", "docker.io"]);
    let RegistryLogin::Password { user, password } = &config.registry_auths()[2].login else {
        panic!("{config:?}")
    };
    assert!(matches!(user, SecretSource::Literal(user) if user.expose() == "robot"));
    assert!(
        matches!(password, SecretSource::Stored(reference) if reference.canonical() == "aws:kms:aGVsbG8=")
    );
    assert!(clean("dockercfg: {auths: }").registry_auths().is_empty());
    let (config, problem) =
        warning("dockercfg: {a.example: {auth: YTph}, auths: {'https://a.example': {auth: YTpi}}}");
    assert_eq!(
        (config.registry_auths().len(), problem.code),
        (1, Code::DuplicateKey)
    );
    assert_eq!(code("dockercfg: {auths: [x]}"), Code::WrongType);
    let problem = error("dockercfg: {auths: {registry.example.org: {auth: hunter2}}}");
    assert_eq!(problem.code, Code::RegistryLogin);
    assert_eq!(
        problem.key.as_deref(),
        Some("dockercfg.auths.registry.example.org.auth")
    );
    assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
}

#[test]
fn what_docker_runs_or_renews_is_refused_by_name() {
    for (lines, named) in [
        ("dockercfg: {credsStore: hunter2}", "credsStore"),
        ("dockercfg: {credHelpers: {a.example: hunter2}}", "credHelpers"),
        (
            "dockercfg: {auths: {registry.example.org: {identitytoken: hunter2}}}",
            "identitytoken",
        ),
        (
            "dockercfg: {registry.example.org: {auth: YTph, identitytoken: hunter2}}",
            "identitytoken",
        ),
    ] {
        let problem = error(lines);
        assert_eq!(problem.code, Code::RegistryLogin, "{lines}");
        assert!(
            problem.message.contains(named) && problem.help.is_some(),
            "{problem:?}"
        );
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }
}

#[test]
fn a_user_without_a_password_is_no_login() {
    for half in ["{username: hunter2}", "{password: hunter2}", "{}"] {
        let problem = error(&format!("dockercfg: {{registry.example.org: {half}}}"));
        assert_eq!(problem.code, Code::Missing, "{half}");
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }
    let (config, problem) = warning("dockercfg: {registry.example.org: {auth: YTph, password: x}}");
    assert_eq!(problem.code, Code::NoEffectHere);
    assert!(matches!(config.registry_auths()[0].login, RegistryLogin::Auth(_)));
    // Of a registry that is not asked it is worth a word, not a boot.
    let (config, problems) = warned("dockercfg: {other.example.org: {username: x}}");
    assert!(config.registry_auths().is_empty());
    assert!(
        problems
            .iter()
            .all(|problem| problem.severity == Severity::Warning),
        "{problems:?}"
    );
}

#[test]
fn logins_that_are_made_on_the_machine() {
    const ECR: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    let login = |lines: &str| clean(lines).registry_auth().map(|auth| auth.login);
    let ecr = |region: &str| {
        Some(RegistryLogin::Ecr {
            region: region.to_owned(),
        })
    };
    assert_eq!(login(""), None);
    assert_eq!(
        login("dockercfg: {registry.example.org: {login: instance-identity}}"),
        Some(RegistryLogin::InstanceIdentity)
    );
    assert_eq!(
        login("dockercfg: {registry.example.org: {login: ecr, region: us-east-1}}"),
        ecr("us-east-1")
    );
    // The host's name says it, and an entry counts before the name.
    let at = |source: &str, dockercfg: &str| format!("source: {source}/team/app:1.0\ndockercfg: {dockercfg}");
    let login = |lines: &str| warned(lines).0.registry_auth().map(|auth| auth.login);
    assert_eq!(login(&at(ECR, "{}")), ecr("eu-central-1"));
    assert_eq!(
        login(&at(ECR, &format!("{{{ECR}: {{login: ecr}}}}"))),
        ecr("eu-central-1")
    );
    assert_eq!(
        login(&at("pierone.stups.zalan.do", "{}")),
        Some(RegistryLogin::InstanceIdentity)
    );
    assert!(matches!(
        login(&at(ECR, &format!("{{{ECR}: {{auth: YTph}}}}"))),
        Some(RegistryLogin::Auth(_))
    ));
    for (entry, expected) in [
        ("{login: ecr}", Code::Missing),
        ("{login: ecr, region: hunter2}", Code::BadValue),
        ("{login: hunter2}", Code::BadValue),
    ] {
        let problem = error(&format!("dockercfg: {{registry.example.org: {entry}}}"));
        assert_eq!(problem.code, expected, "{entry}");
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }
    // What the name says cannot be said otherwise.
    let elsewhere = at(ECR, &format!("{{{ECR}: {{login: ecr, region: us-east-1}}}}"));
    assert_eq!(code(&elsewhere), Code::RegistryLogin);
    let (_, problem) = warning("dockercfg: {registry.example.org: {login: instance-identity, auth: YTph}}");
    assert_eq!(problem.code, Code::NoEffectHere);
    let (_, problem) = warning("dockercfg: {registry.example.org: {auth: YTph, region: eu-central-1}}");
    assert_eq!(problem.code, Code::NoEffectHere);
}

#[test]
fn mirrors_are_read_in_their_order_by_the_registry_they_stand_for() {
    let config = clean(
        "registry_mirrors: {https://registry.example.org: [mirror.example.org, 'other.example.org:5000/hub'], docker.io: []}",
    );
    let names: Vec<String> = config.registry_mirrors()[0]
        .mirrors
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["mirror.example.org", "other.example.org:5000/hub"]);
    assert_eq!(config.registry_mirrors()[0].registry, "registry.example.org");
    // Another way to the same image makes no other container.
    assert_eq!(config.canonical(), clean("").canonical());
}

#[test]
fn what_is_no_mirror_is_refused_without_quoting_it() {
    for lines in [
        "registry_mirrors: {registry.example.org: [canary]}",
        "registry_mirrors: {registry.example.org: ['https://canary.example.org']}",
        "registry_mirrors: {registry.example.org: ['canary.example.org/Upper']}",
        "registry_mirrors: {registry.example.org: canary.example.org}",
        "registry_mirrors: [canary.example.org]",
    ] {
        let problem = error(lines);
        assert!(!format!("{problem:?}").contains("canary"), "{problem:?}");
    }
}

#[test]
fn a_login_and_a_mirror_are_found_however_the_registry_is_spelled() {
    let (_, problem) = warning(
        "dockercfg: {'https://Registry.Example.org:443': {auth: YTph}, registry.example.org: {auth: YTpi}}",
    );
    assert_eq!(problem.code, Code::DuplicateKey);
    for address in ["registry.example.org:99999", "a..b", "[::x]"] {
        let problem = error(&format!("dockercfg: {{'{address}': {{auth: YTph}}}}"));
        assert_eq!(problem.code, Code::RegistryLogin, "{address}");
    }
    let config = clean(
        "dockercfg: {'https://Registry.Example.org:443/v2/': {auth: YTph}, registry.hub.docker.com: {auth: YTpi}}\n\
         registry_mirrors: {'REGISTRY.example.org:0443': [mirror.example.org]}",
    );
    let found = |registry: &str| {
        config
            .registry_auth_of(registry)
            .map(|auth| (auth.registry.clone(), auth.login.kind()))
    };
    for registry in [
        "registry.example.org",
        "Registry.example.org:443",
        "docker.io",
        "registry-1.docker.io",
    ] {
        // As it is asked for, so that whoever logs in there finds it by that name.
        assert_eq!(found(registry), Some((registry.to_owned(), "basic")));
    }
    assert_eq!(found("registry.example.org:5000"), None);
    assert_eq!(config.registry_mirrors()[0].registry, "registry.example.org");
    let pier_one = config.registry_auth_of("PierOne.stups.zalan.do:443").unwrap();
    assert_eq!(pier_one.login.kind(), "instance-identity");
}

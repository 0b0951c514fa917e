//! `aws_credentials`: what it takes, what contradicts it, what a policy asks of it.

use super::{clean, code, error, file, report, warned, warning};
use crate::config::{Code, ImageLayer, Problem, Severity, Text, read};
use crate::identity::{Credentials, Metadata, RoleArn, Served};

const ROLE: &str = "arn:aws:iam::123456789012:role/my-app";

fn role() -> RoleArn {
    RoleArn::parse(ROLE).unwrap()
}

#[test]
fn instance_none_or_a_role() {
    for (lines, wanted) in [
        ("", Credentials::Instance),
        ("aws_credentials: ~", Credentials::Instance),
        ("aws_credentials: instance", Credentials::Instance),
        ("aws_credentials: none", Credentials::None),
    ] {
        assert_eq!(clean(lines).identity().credentials, wanted, "{lines}");
    }
    let config = clean(&format!("aws_credentials: {ROLE}"));
    assert_eq!(config.identity().served(), Some(Served::Role(role())));
    assert!(config.identity().blocks_metadata());
    assert!(!clean("aws_credentials: instance").identity().blocks_metadata());
}

#[test]
fn what_is_no_role_is_told_from_one() {
    for (value, help) in [
        ("my-app", "write the whole of it"),
        ("arn:aws:iam::1:role/my-app", "write the whole of it"),
        ("instanc", "did you mean `instance`?"),
        ("None", "did you mean `none`?"),
        (
            "arn:aws:iam::123456789012:instance-profile/my-app",
            "of an instance profile",
        ),
        ("arn:aws:sts::123456789012:assumed-role/my-app/x", "of a session"),
    ] {
        let problem = error(&format!("aws_credentials: {value}"));
        assert_eq!(problem.code, Code::BadValue, "{value}");
        assert!(problem.help.unwrap().contains(help), "{value}");
        assert!(
            !problem.message.contains("my-app"),
            "a message quotes no value: {value}"
        );
    }
    assert_eq!(code("aws_credentials: [none]"), Code::WrongType);
    assert_eq!(code("aws_credentials: 'aws:kms:aGk='"), Code::SecretNotHere);
}

#[test]
fn the_key_replaces_a_container_and_leaving_it_out_does_not() {
    let intent = |lines: &str| clean(lines).canonical();
    assert!(!intent("").to_string().contains("aws_credentials"));
    let all = ["", "aws_credentials: none", &format!("aws_credentials: {ROLE}")].map(intent);
    assert_ne!(all[0], all[1]);
    assert_ne!(all[1], all[2]);
}

#[test]
fn a_role_and_the_metadata_service_exclude_each_other() {
    for credentials in ["none", ROLE] {
        let lines = format!("instance_metadata: true\naws_credentials: {credentials}");
        let errors: Vec<Problem> = report(&lines)
            .problems()
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .cloned()
            .collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].key.as_deref(), Some("instance_metadata"));
        assert_eq!(errors[0].code, Code::BadValue);
    }
    for lines in [
        "instance_metadata: true\naws_credentials: instance",
        "instance_metadata: true",
        "instance_metadata: false\naws_credentials: none",
    ] {
        assert!(!report(lines).has_errors(), "{lines}");
    }
}

#[test]
fn without_a_network_a_role_is_no_use() {
    let lines = format!("networking: none\naws_credentials: {ROLE}");
    let (config, problem) = warning(&lines);
    assert_eq!(problem.code, Code::NoEffectHere);
    assert_eq!(config.identity().metadata, Metadata::Unreachable);
    clean("networking: none\naws_credentials: none");
}

#[test]
fn variables_of_the_user_s_that_say_something_else() {
    let with = |name: &str, credentials: &str| {
        warned(&format!(
            "environment: {{{name}: x}}\naws_credentials: {credentials}"
        ))
        .1
    };
    for (name, credentials, wanted) in [
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ROLE,
            Some(Code::EnvironmentOverridden),
        ),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            ROLE,
            Some(Code::EnvironmentOverridden),
        ),
        (
            "AWS_EC2_METADATA_DISABLED",
            ROLE,
            Some(Code::EnvironmentOverridden),
        ),
        (
            "AWS_EC2_METADATA_DISABLED",
            "none",
            Some(Code::EnvironmentOverridden),
        ),
        ("AWS_ACCESS_KEY_ID", ROLE, Some(Code::NoEffectHere)),
        (
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            ROLE,
            Some(Code::NoEffectHere),
        ),
        // Who gets none from us may bring his own.
        ("AWS_ACCESS_KEY_ID", "none", None),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "none", None),
        ("AWS_EC2_METADATA_DISABLED", "instance", None),
        ("AWS_REGION", ROLE, None),
    ] {
        let problems = with(name, credentials);
        let codes: Vec<Code> = problems.iter().map(|problem| problem.code).collect();
        assert_eq!(
            codes,
            wanted.into_iter().collect::<Vec<_>>(),
            "{name} {credentials}"
        );
    }
}

fn under_policy(lines: &str, policy: &str) -> Vec<Problem> {
    let user = file(lines);
    let image = ImageLayer {
        policy: Some(Text {
            name: "policy.yaml",
            bytes: policy.as_bytes(),
        }),
        ..ImageLayer::default()
    };
    let user = Text {
        name: "user data",
        bytes: user.as_bytes(),
    };
    read(user, &image).problems().to_vec()
}

#[test]
fn a_policy_may_keep_the_instance_s_own() {
    let policy = "allow: {instance_credentials: false}";
    for lines in [
        "",
        "aws_credentials: instance",
        "aws_credentials: ''",
        "aws_credentials:",
        "networking: host",
    ] {
        let problems = under_policy(lines, policy);
        let forbidden: Vec<&Problem> = problems
            .iter()
            .filter(|problem| problem.code == Code::Forbidden)
            .collect();
        assert_eq!(forbidden.len(), 1, "{lines}: {problems:?}");
        assert_eq!(forbidden[0].key.as_deref(), Some("aws_credentials"), "{lines}");
        assert!(
            forbidden[0]
                .help
                .as_ref()
                .unwrap()
                .contains("aws_credentials: none")
        );
    }
    for lines in [
        "aws_credentials: none",
        &format!("aws_credentials: {ROLE}"),
        "networking: none",
    ] {
        assert_eq!(under_policy(lines, policy).len(), 0, "{lines}");
    }
    // One mistake is one problem.
    assert_eq!(under_policy("aws_credentials: my-app", policy).len(), 1);
    assert_eq!(under_policy("", "allow: {instance_credentials: true}").len(), 0);
}

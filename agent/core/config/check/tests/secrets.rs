//! References to secrets, wherever they may stand.

use super::{clean, code, error, warning};
use crate::config::{Code, EnvValue, OnChange, Refresh, RegistryLogin};
use crate::secret::{SecretSource, Source};

#[test]
fn secrets_are_references_under_a_file_s_name() {
    let config = clean(
        "secrets:\n  db_password: aws:ssm:/my-app/db?key=password\n  api.key: aws:secretsmanager:my-app/api\n  tls-key: aws:kms:aGVsbG8=",
    );
    let all: Vec<(&str, String)> = config
        .secrets()
        .iter()
        .map(|(name, reference)| (name.as_str(), reference.canonical()))
        .collect();
    assert_eq!(
        all,
        [
            ("db_password", "aws:ssm:/my-app/db?key=password".to_owned()),
            ("api.key", "aws:secretsmanager:my-app/api".to_owned()),
            ("tls-key", "aws:kms:aGVsbG8=".to_owned()),
        ]
    );
    assert_eq!(config.refresh(), None);
    assert!(!config.keep_secrets());
}

#[test]
fn what_is_no_reference_is_not_quoted() {
    let problem = error("secrets: {db: hunter2-hunter2}");
    assert_eq!(problem.code, Code::SecretReference);
    assert!(!format!("{problem:?}").contains("hunter2"));
    let slip = error("secrets: {db: 'aws:smm:/my-app/db'}");
    assert_eq!(slip.help.as_deref(), Some("did you mean `aws:ssm:`?"));
    assert_eq!(code("secrets: {db: 'aws:ssm:/my app/db'}"), Code::SecretReference);
    assert_eq!(code("secrets: {db: 'aws:kms:aGk'}"), Code::BadCiphertext);
    assert_eq!(code("secrets: {db: [a]}"), Code::WrongType);
    for name in ["../db", ".db", "a/b", "''", "-x"] {
        assert_eq!(
            code(&format!("secrets: {{{name}: 'aws:ssm:x'}}")),
            Code::BadValue,
            "{name}"
        );
    }
    let many: Vec<String> = (0..65).map(|n| format!("s{n}: 'aws:ssm:x'")).collect();
    assert_eq!(code(&format!("secrets: {{{}}}", many.join(", "))), Code::BadValue);
}

#[test]
fn a_variable_takes_every_reference_and_hears_of_slips() {
    let config = clean(
        "environment: {A: 'aws:ssm:/a', B: 'aws:secretsmanager:b?stage=AWSPREVIOUS', C: 'aws:s3:bucket'}",
    );
    let fetched = |name: &str| {
        let (_, value) = config.environment().iter().find(|(one, _)| one == name).unwrap();
        matches!(value, EnvValue::Secret(_))
    };
    assert!(fetched("A") && fetched("B"));
    assert!(!fetched("C"), "what is like no store is a text");
    let (config, problem) = warning("environment: {A: 'aws:secretmanager:a'}");
    assert_eq!(problem.code, Code::SecretReference);
    assert_eq!(
        problem.help.as_deref(),
        Some("did you mean `aws:secretsmanager:`?")
    );
    assert!(matches!(&config.environment()[0].1, EnvValue::Plain(_)));
}

#[test]
fn a_context_is_the_file_s_unless_the_value_has_its_own() {
    let config = clean(
        "encryption_context: {app: my-app}\nenvironment: {A: 'aws:kms:aGk=', B: 'aws:kms:aGk=?context.app=other'}\nsecrets: {c: 'aws:kms:aGk='}\n\
         dockercfg: {registry.example.org: {auth: 'aws:kms:aGk='}}",
    );
    let app = |source: &Source| match source {
        Source::Kms { context, .. } => context.get("app").cloned().unwrap_or_default(),
        other => panic!("{other:?}"),
    };
    let variable = |index: usize| match &config.environment()[index].1 {
        EnvValue::Secret(reference) => app(&reference.source),
        other => panic!("{other:?}"),
    };
    assert_eq!((variable(0), variable(1)), ("my-app".into(), "other".into()));
    assert_eq!(app(&config.secrets()[0].1.source), "my-app");
    let RegistryLogin::Auth(SecretSource::Stored(login)) = &config.registry_auths()[0].login else {
        panic!("{config:?}")
    };
    assert_eq!(app(&login.source), "my-app");
}

#[test]
fn a_secret_stands_only_where_nobody_sees_it() {
    for lines in [
        "hostname: aws:ssm:x",
        "command: ['aws:secretsmanager:x']",
        "entrypoint: run aws:kms:aGk=",
        "deployment_id: aws:ssm:x",
    ] {
        let problem = error(lines);
        assert_eq!(problem.code, Code::SecretNotHere, "{lines}");
        assert!(problem.help.is_some_and(|help| help.contains("`secrets`")));
    }
}

#[test]
fn refresh_has_defaults_and_an_order() {
    let refresh = |lines: &str| {
        clean(&format!("secrets: {{a: 'aws:ssm:x'}}\n{lines}"))
            .refresh()
            .cloned()
    };
    let defaults = Refresh {
        interval_seconds: 300,
        on_change: OnChange::None,
        max_age_seconds: None,
    };
    assert_eq!(refresh("refresh: {}"), Some(defaults));
    let all = refresh("refresh: {interval: 10m, on_change: hup, max_age: 1h}").unwrap();
    assert_eq!(
        (all.interval_seconds, all.on_change, all.max_age_seconds),
        (600, OnChange::Signal("SIGHUP".into()), Some(3600))
    );
    assert_eq!(
        refresh("refresh: {on_change: restart}").unwrap().on_change,
        OnChange::Restart
    );
    assert_eq!(code("refresh: {on_change: reload}"), Code::BadValue);
}

#[test]
fn an_age_is_longer_than_any_interval() {
    let stored = "secrets: {a: 'aws:ssm:x'}\n";
    assert_eq!(code(&format!("{stored}refresh: {{max_age: 5m}}")), Code::BadValue);
    assert_eq!(
        code("mint_bucket: bucket\nrefresh: {interval: 30s, max_age: 90s}"),
        Code::BadValue,
        "credentials have an interval of their own"
    );
    clean(&format!("{stored}refresh: {{interval: 30s, max_age: 90s}}"));
    clean("mint_bucket: bucket\nrefresh: {max_age: 121s}");
}

#[test]
fn what_has_no_effect_is_said() {
    for lines in [
        "refresh: {interval: 1m}",
        "refresh: {on_change: restart}\nsecrets: {a: 'aws:kms:aGk='}",
        "keep_secrets: true",
        "encryption_context: {app: my-app}",
        "encryption_context: {app: my-app}\nenvironment: {A: 'aws:kms:aGk=?context.app=x'}",
    ] {
        assert_eq!(warning(lines).1.code, Code::NoEffectHere, "{lines}");
    }
    clean("keep_secrets: true\nfiles: {/a: 'aws:ssm:x'}");
    clean("keep_secrets: false");
}

#[test]
fn a_bucket_is_a_name() {
    for wrong in ["s3://bucket", "arn:aws:s3:::bucket", "Bucket", "ab", "-ab"] {
        assert_eq!(
            code(&format!("mint_bucket: '{wrong}'")),
            Code::BadValue,
            "{wrong}"
        );
    }
    assert_eq!(
        clean("mint_bucket: my-mint.bucket-1").mint_bucket(),
        Some("my-mint.bucket-1")
    );
}

#[test]
fn nothing_is_mounted_below_what_is_read_only() {
    assert_eq!(
        code("secrets: {a: 'aws:ssm:x'}\nfiles: {/run/secrets/b: text}"),
        Code::BadValue
    );
    assert_eq!(
        code("secrets: {a: 'aws:ssm:x'}\ntmpfs: /run/secrets"),
        Code::BadValue
    );
    assert_eq!(
        code("mint_bucket: bucket\nfiles: {/meta/credentials/user.json: text}"),
        Code::BadValue
    );
    clean("secrets: {a: 'aws:ssm:x'}\ntmpfs: /run");
}

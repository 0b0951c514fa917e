use super::*;
use proptest::prelude::*;

fn read(text: &str) -> SecretRef {
    SecretRef::parse(text)
        .unwrap()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> NotAReference {
    SecretRef::parse(text).unwrap().unwrap_err()
}

#[test]
fn each_store_has_its_form() {
    let kms = read("aws:kms:aGVsbG8=?context.app=my%20app&context.stage=prod");
    let Source::Kms { ciphertext, context } = &kms.source else {
        panic!("{kms:?}")
    };
    assert_eq!(ciphertext.as_bytes(), b"hello");
    assert_eq!(context.get("app").map(String::as_str), Some("my app"));
    assert_eq!(context.len(), 2);
    let parameter = read("aws:ssm:/prod/db:3?key=password");
    assert_eq!(
        parameter.source,
        Source::Parameter {
            name: "/prod/db:3".into()
        }
    );
    assert_eq!(parameter.key.as_deref(), Some("password"));
    let secret = read("aws:secretsmanager:prod/db?key=/users/0/name&stage=AWSPREVIOUS");
    assert_eq!(secret.key.as_deref(), Some("/users/0/name"));
    assert_eq!(secret.source.to_string(), "the secret prod/db at AWSPREVIOUS");
    let arn = read("aws:secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf");
    assert_eq!(arn.source.region(), Some("eu-west-1"));
    assert_eq!(
        read("aws:ssm:arn:aws:ssm:eu-west-1:123456789012:parameter/prod/db")
            .source
            .region(),
        Some("eu-west-1")
    );
    assert_eq!(parameter.source.region(), None);
}

#[test]
fn what_begins_otherwise_is_no_reference() {
    for text in [
        "",
        "hello",
        "aws:kms",
        "AWS:KMS:aGk=",
        "aws:s3:x",
        " aws:kms:aGk=",
    ] {
        assert!(SecretRef::parse(text).is_none(), "{text}");
    }
}

#[test]
fn each_mistake_has_its_name() {
    use NotAReference as Not;
    for (text, wanted) in [
        ("aws:kms:", Not::NoCiphertext),
        ("aws:kms:aGk", Not::Ciphertext),
        (
            "aws:kms:aGk=?stage=x",
            Not::Option("`context.NAME=VALUE` and `key=KEY`"),
        ),
        (
            "aws:kms:aGk=?context.=x",
            Not::Option("`context.NAME=VALUE` and `key=KEY`"),
        ),
        ("aws:ssm:", Not::ParameterName),
        ("aws:ssm:a b", Not::ParameterName),
        ("aws:ssm:a:1:2", Not::ParameterName),
        ("aws:ssm:a:", Not::ParameterName),
        ("aws:ssm:arn:aws:ssm:eu-west-1:1:document/x", Not::ParameterName),
        ("aws:ssm:a?stage=x", Not::Option("`key=KEY`")),
        ("aws:secretsmanager:", Not::SecretName),
        ("aws:secretsmanager:a:b", Not::SecretName),
        (
            "aws:secretsmanager:arn:aws:secretsmanager:r:1:secret:n:key::",
            Not::SecretName,
        ),
        ("aws:secretsmanager:a?stage=x&version=y", Not::StageAndVersion),
        ("aws:secretsmanager:a?key", Not::Query),
        ("aws:secretsmanager:a?key=", Not::Query),
        ("aws:secretsmanager:a?key=%zz", Not::Query),
        ("aws:secretsmanager:a?key=%0a", Not::Query),
        ("aws:secretsmanager:a?key=a&key=b", Not::Twice),
    ] {
        assert_eq!(refused(text), wanted, "{text}");
    }
}

#[test]
fn a_key_picks_one_value() {
    let secret =
        Secret::new(r#"{"user": "me", "port": 5432, "list": [{"a/b": "deep"}], "none": null}"#.into());
    let pick = |key: &str| {
        read(&format!("aws:ssm:x?key={key}"))
            .pick(&secret)
            .map(|one| one.expose().to_owned())
    };
    assert_eq!(pick("user").unwrap(), "me");
    assert_eq!(pick("port").unwrap(), "5432");
    assert_eq!(pick("/list/0/a~1b").unwrap(), "deep");
    assert_eq!(
        pick("absent").unwrap_err(),
        NotInThere::NoKey { key: "absent".into() }
    );
    let plain = Secret::new("hunter2-hunter2".into());
    let error = read("aws:ssm:x?key=user").pick(&plain).unwrap_err();
    assert_eq!(error, NotInThere::NotJson { key: "user".into() });
    assert!(!error.to_string().contains("hunter2"));
    assert_eq!(
        read("aws:ssm:x").pick(&plain).unwrap().expose(),
        "hunter2-hunter2"
    );
}

#[test]
fn only_some_sources_can_change() {
    for (text, wanted) in [
        ("aws:kms:aGk=", false),
        ("aws:ssm:x", true),
        ("aws:secretsmanager:x", true),
        ("aws:secretsmanager:x?stage=AWSPREVIOUS", true),
        ("aws:secretsmanager:x?version=1", false),
    ] {
        assert_eq!(read(text).source.can_change(), wanted, "{text}");
    }
}

proptest! {
    #[test]
    fn the_canonical_text_reads_as_itself(blob in proptest::collection::vec(any::<u8>(), 1..40), name in "[a-z ]{1,8}", value in "[ -~]{1,12}", key in "[ -~]{1,12}") {
        let context = BTreeMap::from([(name, value)]);
        let one = SecretRef { source: Source::Kms { ciphertext: Ciphertext::new(blob), context }, key: Some(key) };
        prop_assert_eq!(read(&one.canonical()), one);
    }

    #[test]
    fn no_text_makes_it_panic(text in "aws:(kms|ssm|secretsmanager):\\PC{0,60}") {
        let _read = SecretRef::parse(&text).is_some();
    }
}

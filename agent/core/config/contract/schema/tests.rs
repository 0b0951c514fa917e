//! The schema against the validator: for every key, whatever one refuses the other refuses.

use std::collections::BTreeSet;

use boon::{Compiler, Draft, Schemas};
use proptest::prelude::*;

use super::*;
use crate::config::{Code, ImageLayer, Severity, Text, parse, read};

/// Keys of which the validator refuses more than a schema can say.
const LOOSER: &[(&str, &str)] = &[
    ("application_id", "a template that was not expanded"),
    ("boot_timeout", "the range of a time with units"),
    ("mint_bucket", "how a number is spelled"),
    ("etcd_discovery_domain", "digits that are no address"),
    ("interval", "an age that is not above it"),
    ("max_age", "an interval that is not below it"),
    ("secrets", "what may follow a question mark"),
    ("stop_timeout", "the range of a time with units"),
    ("s3_timekey", "the range of a time with units"),
    ("cpus", "the range of a fraction in quotes"),
    ("sampling_rate", "how a number is spelled"),
    ("memory", "the least of a size in quotes"),
    ("log_budget", "the least of a size in quotes"),
    ("rsyslog_max_message_size", "the least of a size in quotes"),
    ("application_logrotate_size", "the least of a size in quotes"),
    ("customlog_logrotate_size", "the least of a size in quotes"),
    ("shm_size", "the least of a size in quotes"),
    ("auth", "base64 of a user and a password"),
    ("files", "what is mounted at one place"),
    ("tmpfs", "what is mounted at one place"),
    ("health_check_timeout_seconds", "keys that depend on each other"),
    ("dockercfg", "base64 of a user and a password"),
    ("login", "the region that has to stand beside it"),
    ("user", "the range of an id in quotes"),
    ("ulimits", "a soft limit above the hard one"),
    ("soft", "a soft limit above the hard one"),
    ("hard", "a soft limit above the hard one"),
    ("ports", "ranges of different length, ports that meet"),
    ("tmpfs", "one path twice"),
    ("filesystem", "depends on the partition"),
    ("partition", "depends on the file system"),
    ("mounts", "what is inside"),
    ("health_check_command", "an empty command"),
    ("health_check_type", "depends on the keys beside it"),
    ("scalyr_agent_applog_sampling", "what the text says"),
    ("scalyr_agent_syslog_sampling", "what the text says"),
    ("scalyr_agent_authlog_sampling", "what the text says"),
    ("scalyr_agent_customlog_sampling", "what the text says"),
    ("applog_filter_exclude", "whether a pattern can be run"),
    ("customlog_filter_exclude", "whether a pattern can be run"),
    ("applog_multiline_start", "whether a pattern can be run"),
    ("customlog_multiline_start", "whether a pattern can be run"),
    ("match_expression", "whether a pattern can be run"),
    ("pattern", "whether a pattern can be run"),
    ("redact", "one of two names for a pattern"),
    ("rsyslog_ca", "whether certificates are damaged"),
    ("s3_bucket", "how a number is spelled, and who needs it"),
    ("rsyslog_host", "how a number is spelled, and lengths"),
    ("logging", "what a destination needs"),
    ("cloudwatch_logs", "a star inside a path"),
    ("health_check_status_codes", "an empty list"),
    (
        "health_check_headers",
        "headers that every request writes for itself",
    ),
    (
        "headers",
        "headers that every request writes for itself, and bytes",
    ),
    ("events", "what is inside"),
    (
        "ssh_ports",
        "an empty list, and a port that the container publishes",
    ),
    ("namespace", "those of AWS's own"),
    ("names", "an empty list"),
    (
        "headers",
        "headers that every request writes for itself, and what no header may have",
    ),
    ("signals", "an empty list"),
    ("loadbalancer_name", "depends on the type"),
    ("healthcheck", "what the type needs"),
    ("lifecycle_hooks", "one of two keys is needed"),
    ("timeout", "the range of a time with units"),
    ("min_uptime", "the range of a time with units"),
    ("drain_timeout", "the range of a time with units"),
];

/// Keys of which the schema refuses what the validator takes without reading it.
const STRICTER: &[(&str, &str)] = &[
    ("notify_cfn", "false, nothing and {} ask for nothing"),
    ("match_expression", "any single value, as Scalyr took it"),
    ("sampling_rate", "minus nothing"),
    (
        "dockercfg",
        "a login that nobody asks for is a warning, whatever it is",
    ),
    (
        "auth",
        "a login that nobody asks for is a warning, whatever it is",
    ),
    ("on_change", "an empty text is as if it were left out"),
    ("s3_region", "an empty text is as if it were left out"),
    ("shutdown", "off and no mean never"),
    ("sysctl", "a warning"),
    ("sysfs", "a path that may not be written is a warning"),
];

struct Judge {
    schemas: Schemas,
    index: boon::SchemaIndex,
}

impl Judge {
    fn new(schema: Value) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.set_default_draft(Draft::V2020_12);
        let id = schema["$id"].as_str().unwrap().to_owned();
        compiler.add_resource(&id, schema).unwrap();
        let index = compiler
            .compile(&id, &mut schemas)
            .unwrap_or_else(|error| panic!("{error:#}"));
        Self { schemas, index }
    }

    fn takes(&self, value: &Value) -> bool {
        self.schemas.validate(value, self.index).is_ok()
    }
}

/// A key and those it stands in, the outermost first.
type Path = Vec<&'static Key>;

fn paths(keys: &'static [Key], before: &Path, out: &mut Vec<Path>) {
    for key in keys {
        let mut path = before.clone();
        path.push(key);
        inside(&key.shape, &path, out);
        out.push(path);
    }
}

fn inside(shape: &'static Shape, path: &Path, out: &mut Vec<Path>) {
    match shape {
        Shape::Object(keys) => paths(keys, path, out),
        Shape::Map { value, .. } => inside(value, path, out),
        Shape::List(item) => inside(item, path, out),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| inside(shape, path, out)),
        _ => {}
    }
}

fn user_data_paths() -> Vec<Path> {
    let mut out = Vec::new();
    CONTRACT
        .iter()
        .for_each(|group| paths(group.keys, &Vec::new(), &mut out));
    out
}

fn dotted(path: &Path) -> String {
    let names: Vec<&str> = path.iter().map(|key| key.name).collect();
    names.join(".")
}

/// A name of the family.
fn name(key: &Key) -> String {
    key.name.replace('*', "x")
}

/// The object with `value` as the innermost key of `path`, inside what its parents have as examples.
fn wrapped(path: &[&'static Key], value: Value) -> Map<String, Value> {
    let (key, rest) = path.split_first().unwrap();
    let mut map = Map::new();
    if rest.is_empty() {
        map.insert(name(key), value);
        return map;
    }
    let inner = wrapped(rest, value);
    let mut own = example(key).filter(|own| !own.is_string()).unwrap_or(Value::Null);
    let target = match own.as_object_mut() {
        // The names of a map are the user's: its first entry is the object that is meant.
        Some(map) if matches!(key.shape, Shape::Map { .. }) => map.values_mut().next(),
        Some(_) => Some(&mut own),
        None => None,
    };
    match target.and_then(Value::as_object_mut) {
        Some(target) => target.extend(inner),
        None => {
            // Limits and sampling rules have other forms in their examples.
            let mut all: Map<String, Value> = key
                .shape
                .map()
                .map(objects)
                .unwrap_or_default()
                .iter()
                .map(|key| (key.name.to_owned(), example(key).unwrap()))
                .collect();
            all.extend(inner);
            // Two names for one thing.
            if key.name == "redact" {
                let is_pattern = rest[0].name != "match_expression";
                all.remove(if is_pattern { "match_expression" } else { "pattern" });
            }
            own = if key.name == "ulimits" {
                json!({"nofile": all})
            } else {
                json!([all])
            };
        }
    }
    map.insert(name(key), own);
    map
}

fn objects(shape: &'static Shape) -> &'static [Key] {
    match shape {
        Shape::Map { value, .. } => value.map().map(objects).unwrap_or_default(),
        shape => shape.known(),
    }
}

/// A whole file in which nothing else can be wrong.
fn document(path: &Path, value: Value) -> Value {
    let mut map = Map::new();
    for (name, value) in [
        ("application_id", json!("my-app")),
        ("application_version", json!("1.0")),
        ("source", json!("registry.example.org/team/app:1.0")),
        ("ports", json!({"80": 8080})),
    ] {
        map.insert(name.to_owned(), value);
    }
    match path[0].name {
        "user" => map.extend([("root".to_owned(), true.into())]),
        "logging" => map.extend([("scalyr_account_key".to_owned(), "aws:ssm:/key".into())]),
        "health_check_type" => map.extend([
            ("health_check_path".to_owned(), "/".into()),
            ("health_check_command".to_owned(), "true".into()),
        ]),
        _ => {}
    }
    map.extend(wrapped(path, value));
    if let (Some(logging), true) = (
        map.get_mut("logging").and_then(Value::as_object_mut),
        path.len() > 1,
    ) {
        logging
            .entry("rsyslog_host")
            .or_insert_with(|| "logs.example.org".into());
    }
    if let (Some(balancers), true) = (
        map.get_mut("healthcheck").and_then(Value::as_object_mut),
        path.len() > 1,
    ) {
        // Either type then has what it needs.
        let arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/a/0";
        balancers.entry("target_groups").or_insert_with(|| arn.into());
    }
    Value::Object(map)
}

/// Whether the validator has nothing against it but what is not the file's fault.
fn validator_takes(document: &Value) -> bool {
    let report = parse(
        format!("#taupage-ami-config\n{document}\n").as_bytes(),
        "user data",
    );
    report.problems().iter().all(|problem| {
        problem.severity == Severity::Warning || matches!(problem.code, Code::NotAvailable | Code::NotAllowed)
    })
}

/// What may be right or wrong anywhere.
fn anything() -> Vec<Value> {
    serde_json::from_str(include_str!("values.json")).unwrap()
}

/// The edges of its range, and its words.
fn edges(shape: &'static Shape) -> Vec<Value> {
    match shape {
        Shape::Number { least, most, .. } | Shape::Time { least, most } => {
            [i64::from(*least), i64::from(*most)]
                .into_iter()
                .flat_map(|edge| [edge - 1, edge, edge + 1])
                .flat_map(|edge| [json!(edge), json!(edge.to_string())])
                .collect()
        }
        Shape::Size { least } => [*least - 1, *least, *least + 1].map(Value::from).to_vec(),
        Shape::Decimal { most, .. } => [json!(most), json!(f64::from(*most) + 0.5)].to_vec(),
        Shape::Choice(words) => words
            .iter()
            .flat_map(|word| [json!(word), json!(word.to_uppercase())])
            .collect(),
        Shape::Either(shapes) => shapes.iter().flat_map(edges).collect(),
        _ => Vec::new(),
    }
}

/// Whether the schema takes it; an error says that the two disagree.
fn compared(judge: &Judge, path: &Path, value: &Value) -> Result<bool, String> {
    let document = document(path, value.clone());
    let (ours, theirs) = (validator_takes(&document), judge.takes(&document));
    let key = path.last().unwrap();
    let listed = |list: &[(&str, &str)]| list.iter().any(|(name, _)| *name == key.name);
    // A name with nothing behind it is not looked at.
    let empty = value
        .as_object()
        .is_some_and(|map| map.values().all(Value::is_null));
    let known = if theirs {
        listed(LOOSER)
    } else {
        listed(STRICTER) || empty
    };
    if ours == theirs || known {
        return Ok(theirs);
    }
    let takes = |takes| if takes { "takes" } else { "refuses" };
    Err(format!(
        "{}: {value}: the validator {} it, the schema {} it",
        dotted(path),
        takes(ours),
        takes(theirs)
    ))
}

#[test]
fn validator_and_schema_agree_about_every_key() {
    let judge = Judge::new(schema());
    let pool = anything();
    let (mut wrong, mut taken, mut refused) = (Vec::new(), 0, 0);
    for path in user_data_paths() {
        let key = path.last().unwrap();
        let mut values = pool.clone();
        values.extend(edges(&key.shape));
        values.extend(example(key));
        for value in &values {
            match compared(&judge, &path, value) {
                Ok(true) => taken += 1,
                Ok(false) => refused += 1,
                Err(message) => wrong.push(message),
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} disagree:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        taken > 5000 && refused > 5000,
        "{taken} taken, {refused} refused: nothing was tested"
    );
}

#[test]
fn every_exception_is_a_key() {
    let judge = Judge::new(schema());
    let known: BTreeSet<&str> = user_data_paths()
        .iter()
        .filter_map(|path| path.last())
        .map(|key| key.name)
        .collect();
    for (name, _) in LOOSER.iter().chain(STRICTER) {
        assert!(known.contains(name), "{name}");
    }
    assert!(!judge.takes(&json!({})) && !judge.takes(&json!([])));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn they_agree_about_texts_by_chance(
        pick in any::<prop::sample::Index>(),
        texts in prop::collection::vec("[a-cA-C0-2:/._@ '\"\\\\=-]{0,9}", 20),
    ) {
        static JUDGE: std::sync::LazyLock<Judge> = std::sync::LazyLock::new(|| Judge::new(schema()));
        let judge = &*JUDGE;
        let all: Vec<Path> = user_data_paths()
            .into_iter()
            .filter(|path| !matches!(path.last().unwrap().shape, Shape::Anything))
            .collect();
        let path = pick.get(&all);
        for text in texts {
            let compared = compared(judge, path, &json!(text));
            prop_assert!(compared.is_ok(), "{}", compared.unwrap_err());
        }
    }
}

/// One key alone has an effect that its example may not have in this version.
fn own_fate(code: Code, key: &Key) -> bool {
    matches!(code, Code::NoEffectYet | Code::NotAvailable | Code::Retired)
        || (code == Code::NotAllowed && key.name == "docker_daemon_access")
}

#[test]
fn every_example_is_taken_as_it_stands() {
    for path in user_data_paths() {
        let key = path.last().unwrap();
        let Some(value) = example(key) else {
            assert!(matches!(key.fate, Fate::Retired(_)), "{}", key.name);
            continue;
        };
        let document = document(&path, value);
        let report = parse(
            format!("#taupage-ami-config\n{document}\n").as_bytes(),
            "user data",
        );
        for problem in report.problems() {
            // What is put beside it to make it complete may be too much.
            let beside = matches!(problem.code, Code::HealthCheck | Code::NoEffectHere)
                && problem.severity == Severity::Warning;
            assert!(
                own_fate(problem.code, path[0]) || beside,
                "{}: {}",
                dotted(&path),
                report.one_line(problem)
            );
        }
        // The text itself, not what became of it.
        if let [key] = path.as_slice()
            && !key.required
        {
            let text = format!(
                "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1.0\"\nsource: a:1\n{}\n",
                key.example
            );
            for problem in parse(text.as_bytes(), "user data").problems() {
                let alone = matches!(problem.code, Code::HealthCheck | Code::NoEffectHere);
                assert!(own_fate(problem.code, key) || alone, "{}: {problem:?}", key.name);
            }
        }
    }
}

fn policy_takes(text: &str) -> bool {
    let user_data = b"#taupage-ami-config\napplication_id: my-app\napplication_version: a\nsource: registry.example.org/a:1\n";
    let image = ImageLayer {
        defaults: Vec::new(),
        policy: Some(Text {
            name: "policy",
            bytes: text.as_bytes(),
        }),
        ..ImageLayer::default()
    };
    let report = read(
        Text {
            name: "user data",
            bytes: user_data,
        },
        &image,
    );
    // A rule that refuses this user data is a rule that was read.
    report.problems().iter().all(|problem| {
        problem.severity == Severity::Warning
            || matches!(
                problem.code,
                Code::Forbidden
                    | Code::Locked
                    | Code::NoRule
                    | Code::DigestNeeded
                    | Code::TrustKey
                    | Code::Snapshot
            )
    })
}

#[test]
fn the_policy_s_schema_and_its_reader_agree() {
    let judge = Judge::new(policy());
    let mut all = Vec::new();
    paths(POLICY, &Vec::new(), &mut all);
    let mut wrong = Vec::new();
    for path in &all {
        let key = path.last().unwrap();
        assert!(
            policy_takes(&Value::Object(wrapped(path, example(key).unwrap())).to_string()),
            "{}",
            dotted(path)
        );
        for value in anything() {
            let document = Value::Object(wrapped(path, value));
            let (ours, theirs) = (policy_takes(&document.to_string()), judge.takes(&document));
            // Which keys there are to be locked, a schema could only list, and so could not complete inner ones.
            // Whether there are to be keys depends on what is required.
            // Nor can it compare two values.
            let looser = theirs
                && matches!(
                    key.name,
                    "locked" | "require" | "keys" | "default_duration" | "max_duration"
                );
            if ours != theirs && !looser {
                wrong.push(format!("{document}: reader {ours}, schema {theirs}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!judge.takes(&json!({"alow": {}})) && !policy_takes("alow: {}"));
    assert!(!judge.takes(&json!({"allow": {"rot": true}})));
}

#[test]
fn a_schema_comment_in_the_second_line_is_harmless() {
    let keys = "application_id: my-app\napplication_version: \"1.0\"\nsource: a:1\n";
    let comment = "# yaml-language-server: $schema=https://example.org/schema.json\n";
    let second = parse(
        format!("#taupage-ami-config\n{comment}{keys}").as_bytes(),
        "user data",
    );
    assert!(second.problems().is_empty(), "{:?}", second.problems());
    let first = parse(
        format!("{comment}#taupage-ami-config\n{keys}").as_bytes(),
        "user data",
    );
    assert_eq!(first.problems()[0].code, Code::Header);
}

#[test]
fn defaults_and_examples_are_values_the_schema_takes() {
    let judge = Judge::new(schema());
    for path in user_data_paths() {
        let key = path.last().unwrap();
        for value in default(key).into_iter().chain(example(key)) {
            assert!(
                judge.takes(&document(&path, value.clone())),
                "{}: {value}",
                dotted(&path)
            );
        }
    }
    let all = schema();
    for (key, value) in [
        ("restart", json!("on-failure")),
        ("health_check_timeout_seconds", json!(60)),
        ("root", json!(false)),
        ("log_budget", json!("2g")),
        ("ssh_ports", json!([22])),
    ] {
        assert_eq!(all["properties"][key]["default"], value, "{key}");
    }
    assert!(all["properties"]["memory"].get("default").is_none());
    assert_eq!(all["patternProperties"]["^newrelic_."]["deprecated"], true);
    assert_eq!(
        all["properties"]["environment"]["examples"][0]["DB_HOST"],
        "db.example.org"
    );
}

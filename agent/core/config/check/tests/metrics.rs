//! Figures beside those that are always told.

use super::{clean, code, error, warning};
use crate::config::Code;
use crate::metrics::MetricsPlan;
use crate::metrics::relay::Relay;

fn relay(more: &str) -> String {
    format!("metrics: {{cloudwatch: {{port: 9102, namespace: shop, names: [queue_depth]{more}}}}}")
}

#[test]
fn what_is_told_beside() {
    assert_eq!(clean("").host().metrics, MetricsPlan::default());
    assert_eq!(clean("metrics: {}").host().metrics, MetricsPlan::default());
    let all = clean(&format!(
        "{}\nnetworking: host",
        relay(", path: /actuator/prometheus, interval: 30s").replace(
            "metrics: {",
            "metrics: {textfile_directory: /var/lib/prometheus/node-exporter, "
        )
    ));
    let wanted = MetricsPlan {
        textfile_directory: Some("/var/lib/prometheus/node-exporter".to_owned()),
        relay: Some(Relay {
            port: 9102,
            path: "/actuator/prometheus".to_owned(),
            namespace: "shop".to_owned(),
            names: vec!["queue_depth".to_owned()],
            interval_seconds: 30,
        }),
    };
    assert_eq!(all.host().metrics, wanted);
    let least = clean(&relay("")).host().metrics.relay.clone().unwrap();
    assert_eq!((least.path.as_str(), least.interval_seconds), ("/metrics", 60));
}

#[test]
fn what_cannot_be_told() {
    let many: Vec<String> = (0..21).map(|number| format!("a{number}")).collect();
    let many = relay("").replace("queue_depth", &many.join(", "));
    for (lines, wanted) in [
        ("metrics: true".to_owned(), Code::WrongType),
        (
            "metrics: {textfile_directory: figures}".to_owned(),
            Code::BadValue,
        ),
        (
            "metrics: {textfile_directory: /a/../b}".to_owned(),
            Code::BadValue,
        ),
        (relay("").replace("namespace: shop, ", ""), Code::Missing),
        (relay("").replace("9102", "70000"), Code::BadValue),
        (relay("").replace("shop", "AWS/EC2"), Code::BadValue),
        (relay("").replace("shop", "a b"), Code::BadValue),
        (relay("").replace("shop", "''"), Code::BadValue),
        (relay("").replace("queue_depth", ""), Code::BadValue),
        (relay("").replace("queue_depth", "'a{b=\"c\"}'"), Code::BadValue),
        (relay("").replace("queue_depth", "1a"), Code::BadValue),
        (relay(", interval: 5s"), Code::BadValue),
        (relay(", path: metrics"), Code::BadValue),
        (relay("") + "\nnetworking: none", Code::NoEffectHere),
        (many, Code::BadValue),
    ] {
        assert_eq!(code(&lines), wanted, "{lines}");
    }
    let networkless = error(&(relay("") + "\nnetworking: none"));
    assert_eq!(networkless.key.as_deref(), Some("metrics.cloudwatch"));
    let twice = warning(&relay("").replace("queue_depth", "a, a"));
    assert_eq!(twice.1.code, Code::DuplicateKey);
    assert_eq!(twice.0.host().metrics.relay.as_ref().unwrap().names, ["a"]);
}

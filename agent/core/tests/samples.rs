//! The samples people start from: each is taken, and says what its comments promise.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use monopod_core::config::{
    Config, EnvValue, Networking, Probe, Problem, RestartPolicy, Severity, Style, parse,
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config-samples")
}

fn sample(name: &str) -> (Config, Vec<Problem>) {
    let bytes = std::fs::read(folder().join(name)).unwrap();
    let report = parse(&bytes, name);
    assert!(!report.has_errors(), "{}", report.render(Style::Plain));
    report.into_config().unwrap()
}

fn clean(name: &str) -> Config {
    let (config, problems) = sample(name);
    assert!(problems.is_empty(), "{name}: {problems:?}");
    config
}

/// The variable's text; `None` when it is encrypted.
fn plain<'c>(config: &'c Config, name: &str) -> Option<&'c str> {
    match &config
        .environment()
        .iter()
        .find(|(known, _)| known == name)
        .unwrap()
        .1
    {
        EnvValue::Plain(text) => Some(text),
        EnvValue::Kms(_) => None,
    }
}

#[test]
fn no_sample_is_left_out_here() {
    let names: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    let tested = [
        "batch.yaml",
        "hardened.yaml",
        "secrets.yaml",
        "taupage-legacy.yaml",
        "web.yaml",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), tested);
}

#[test]
fn web() {
    let config = clean("web.yaml");
    let check = config.health_check().unwrap();
    let probe = Probe::Http {
        port: 80,
        path: "/health".to_owned(),
    };
    assert_eq!((check.probe, check.timeout_seconds), (probe, 120));
    assert_eq!(config.application_version(), "1.10");
    assert_eq!(plain(&config, "FEATURE_SEARCH"), Some("true"));
    assert_eq!(plain(&config, "HTTP_THREADS"), Some("16"));
}

#[test]
fn batch() {
    let config = clean("batch.yaml");
    assert_eq!(
        (config.restart(), config.health_check()),
        (RestartPolicy::OnFailure, None)
    );
    assert!(config.ports().is_empty());
    assert_eq!(config.shm_size(), Some(256 << 20));
    assert_eq!(
        plain(&config, "REPORT_TITLE"),
        Some("Sales of the day, by country")
    );
}

#[test]
fn secrets() {
    let config = clean("secrets.yaml");
    let encrypted = config
        .environment()
        .iter()
        .filter(|(_, value)| matches!(value, EnvValue::Kms(_)))
        .count();
    assert_eq!((encrypted, config.registry_auths().len()), (2, 1));
    assert_eq!(
        config.registry_auths().first().unwrap().registry,
        config.source().registry()
    );
}

#[test]
fn hardened() {
    let config = clean("hardened.yaml");
    assert!(config.source().digest().is_some() && config.read_only());
    assert!(!config.root() && !config.privileged());
    assert_eq!(config.networking(), Networking::Bridge);
    assert_eq!(
        (config.capabilities_add().len(), config.capabilities_drop()),
        (0, &["ALL".to_owned()][..])
    );
}

#[test]
fn taupage_legacy() {
    let (config, problems) = sample("taupage-legacy.yaml");
    assert_eq!(plain(&config, "CUTOFF"), Some("1350"));
    assert_eq!(plain(&config, "UMASK_DIRS"), Some("493"));
    assert_eq!(plain(&config, "VERBOSE"), Some("True"));
    assert_eq!(
        (config.application_version(), config.hostname()),
        ("1.0", Some("faithful"))
    );
    assert!(
        problems
            .iter()
            .all(|problem| problem.severity == Severity::Warning && problem.place.is_some())
    );
    let keys: Vec<&str> = problems
        .iter()
        .filter_map(|problem| problem.key.as_deref())
        .collect();
    assert_eq!(
        keys,
        [
            "application_version",
            "runtime",
            "read_only",
            "capabilities_add",
            "environment.APPLICATION_ID",
            "rsyslog_aws_metadata",
            "scalyr_account_key",
            "newrelic_account_key",
            "appdynamics_application",
            "hostname",
            "team_dashboard",
        ]
    );
}

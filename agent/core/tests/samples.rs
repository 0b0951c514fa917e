//! The samples people start from: each is taken, and says what its comments promise.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use monopod_core::config::{
    Code, Config, EnvValue, Filesystem, Gpus, ImageLayer, Networking, Probe, Problem, RaidLevel, Report,
    RestartPolicy, Severity, Shutdown, Style, Text, parse, policy_key_files, read,
};
use monopod_core::lifecycle::{OnBootFailure, OnUnhealthy, Require};
use monopod_core::logs::LogPlan;

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
        EnvValue::Secret(_) => None,
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
        "ecr.yaml",
        "fleet.yaml",
        "gpu.yaml",
        "hardened.yaml",
        "isolated.yaml",
        "logs.yaml",
        "migrate-from-taupage.yaml",
        "postgres-ebs.yaml",
        "raid-instance-store.yaml",
        "secrets.yaml",
        "taupage-legacy.yaml",
        "web.yaml",
        "worker.yaml",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), tested);
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for name in tested {
        assert!(
            readme.contains(&format!("[{name}]({name})")),
            "README.md has no line for {name}"
        );
    }
}

#[test]
fn web() {
    let config = clean("web.yaml");
    let check = config.health_check().unwrap();
    let probe = Probe::Http {
        port: 80,
        path: "/health".to_owned(),
        statuses: Vec::new(),
        headers: Vec::new(),
    };
    assert_eq!((check.probe, check.timeout_seconds), (probe, 120));
    assert_eq!((check.interval_seconds, check.healthy_threshold), (5, 3));
    let options = config.options();
    assert_eq!(
        (options.memory, options.stop_timeout),
        (Some(1536 << 20), Some(30))
    );
    assert!(config.read_only() && config.restart() == RestartPolicy::Always);
    assert_eq!(config.application_version(), "1.10");
    assert_eq!(plain(&config, "FEATURE_SEARCH"), Some("true"));
    assert_eq!(plain(&config, "HTTP_THREADS"), Some("16"));
}

/// What the warnings are about.
fn keys(problems: &[Problem]) -> Vec<&str> {
    problems
        .iter()
        .filter_map(|problem| problem.key.as_deref())
        .collect()
}

#[test]
fn worker() {
    let config = clean("worker.yaml");
    let check = config.health_check().unwrap();
    let command = vec!["/app/worker".to_owned(), "ping".to_owned()];
    assert_eq!(check.probe, Probe::Exec { command });
    assert!(config.ports().is_empty() && config.restart() == RestartPolicy::Always);
    assert!(plain(&config, "QUEUE_PASSWORD").is_none());
    let options = config.options();
    assert_eq!(
        options.command.as_ref().unwrap(),
        &["consume", "--queue", "orders"]
    );
    assert_eq!(
        (options.nano_cpus, options.log_budget, options.stop_timeout),
        (Some(1_500_000_000), Some(512 << 20), Some(60))
    );
}

#[test]
fn batch() {
    let config = clean("batch.yaml");
    assert_eq!(config.shutdown(), Shutdown::OnExit);
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
    assert_eq!(
        config.options().files.first().unwrap().path,
        "/etc/report/mail.ini"
    );
}

#[test]
fn fleet() {
    let config = clean("fleet.yaml");
    let life = config.lifecycle();
    assert_eq!(
        (life.balancers.all.len(), life.balancers.require),
        (2, Require::All)
    );
    assert_eq!(
        (life.hooks.launch.as_deref(), life.hooks.terminate.as_deref()),
        (Some("booted"), Some("drained"))
    );
    assert_eq!(
        (
            life.on_boot_failure,
            life.on_unhealthy,
            life.brakes.min_uptime_seconds
        ),
        (OnBootFailure::Replace, OnUnhealthy::Replace, 900)
    );
    assert!(life.drain.on_rebalance && life.signal.is_some());
    let Probe::Http {
        statuses, headers, ..
    } = config.health_check().unwrap().probe
    else {
        panic!("the check is no http check");
    };
    assert_eq!((statuses, headers.len()), (vec![200, 204], 1));
}

#[test]
fn postgres_on_ebs() {
    let config = clean("postgres-ebs.yaml");
    let storage = config.storage();
    assert_eq!(storage.ebs.first().unwrap().name_tag, "orders-db-data");
    let mount = storage.mounts.first().unwrap();
    assert_eq!((mount.path.as_str(), mount.erase_on_boot), ("/data", Some(false)));
    assert!(plain(&config, "PGDATA").unwrap().starts_with("/data/"));
    assert_eq!(config.health_check().unwrap().probe, Probe::Tcp { port: 5432 });
    assert_eq!(config.options().stop_signal.as_deref(), Some("SIGINT"));
    assert_eq!(config.shm_size(), Some(1 << 30));
}

#[test]
fn raid_on_instance_store() {
    let (config, problems) = sample("raid-instance-store.yaml");
    assert!(
        keys(&problems).iter().all(|key| key.starts_with("sysctl")),
        "{problems:?}"
    );
    let storage = config.storage();
    let raid = storage.raid.first().unwrap();
    assert_eq!((raid.level, raid.members.len()), (RaidLevel::Raid0, 2));
    let mount = storage.mounts.first().unwrap();
    assert_eq!(
        (mount.partition.as_ref(), mount.filesystem, mount.erase_on_boot),
        (Some(&raid.device), Filesystem::Xfs, None)
    );
}

#[test]
fn gpu() {
    let config = clean("gpu.yaml");
    assert_eq!(config.options().gpus, Some(Gpus::All));
    assert_eq!(config.shm_size(), Some(4 << 30));
}

#[test]
fn ecr() {
    let config = clean("ecr.yaml");
    assert!(config.source().registry().ends_with(".amazonaws.com"));
    assert!(
        config.source().digest().is_some() && config.registry_auths().is_empty(),
        "with a digest, an image that is on the machine needs neither registry nor login"
    );
}

#[test]
fn secrets() {
    let config = clean("secrets.yaml");
    let encrypted = config
        .environment()
        .iter()
        .filter(|(_, value)| matches!(value, EnvValue::Secret(_)))
        .count();
    assert_eq!((encrypted, config.registry_auths().len()), (2, 1));
    let files: Vec<&str> = config.secrets().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(files, ["db_password", "api_token", "tls.key"]);
    assert!(config.keep_secrets() && config.refresh().is_some());
    assert_eq!(
        config.registry_auths().first().unwrap().registry,
        config.source().registry()
    );
}

#[test]
fn logs() {
    let config = clean("logs.yaml");
    let plan = LogPlan::new(&config);
    let routes: Vec<String> = plan
        .routes
        .iter()
        .map(|route| format!("{} {}", route.stream, route.target.sink()))
        .collect();
    assert_eq!(
        routes,
        [
            "applog s3",
            "syslog s3",
            "authlog rsyslog",
            "customlog s3",
            "customlog scalyr",
            "applog cloudwatch",
            "file cloudwatch",
        ]
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
fn migrate_from_taupage() {
    let (config, problems) = sample("migrate-from-taupage.yaml");
    assert_eq!(plain(&config, "DEBUG"), Some("False"));
    assert_eq!(config.registry_auths().len(), 1);
    assert_eq!(
        keys(&problems),
        [
            "logging.fluentd_enabled",
            "logging.s3_bucket",
            "newrelic_account_key",
        ]
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
    assert_eq!(
        keys(&problems),
        [
            "application_version",
            "runtime",
            "read_only",
            "capabilities_add",
            "environment.APPLICATION_ID",
            "xray_enabled",
            "newrelic_account_key",
            "appdynamics_application",
            "hostname",
            "team_dashboard",
        ]
    );
}

/// Reads `user_data` on a machine whose image has the files of `image/`.
fn on_the_image(user_data: &str) -> Report {
    let file = |name: &str| std::fs::read(folder().join("image").join(name)).unwrap();
    let (defaults, drop_in, policy) = (
        file("defaults.yaml"),
        file("defaults.d/10-logging.yaml"),
        file("policy.yaml"),
    );
    let text = |name, bytes| Text { name, bytes };
    let image = ImageLayer {
        defaults: vec![
            text("defaults.yaml", &defaults),
            text("10-logging.yaml", &drop_in),
        ],
        policy: Some(text("policy.yaml", &policy)),
        ..ImageLayer::default()
    };
    read(text("user data", user_data.as_bytes()), &image)
}

#[test]
fn an_image_to_start_from() {
    let web = std::fs::read_to_string(folder().join("web.yaml")).unwrap();
    let report = on_the_image(&web);
    assert!(!report.has_errors(), "{}", report.render(Style::Plain));
    let config = report.planned().unwrap();
    assert_eq!(plain(config, "NO_PROXY"), Some("169.254.169.254,.example.org"));
    assert_eq!(plain(config, "LOG_LEVEL"), Some("info"), "the user data's counts");
    assert_eq!(config.options().mount_certs, Some(true));

    for (line, code) in [
        ("root: true", "MP0401"),
        ("networking: host", "MP0401"),
        ("capabilities_add: [SYS_ADMIN]", "MP0401"),
        ("tokeninfo_url: https://example.org", "MP0402"),
        ("logging: {s3_bucket: mine}", "MP0402"),
        ("docker_daemon_access: true", "MP0401"),
        ("prots: {80: 80}", "MP0201"),
        ("source: registry.example.net/shop/frontend:1.10", "MP0401"),
    ] {
        let report = on_the_image(&format!("{web}{line}\n"));
        let errors: Vec<String> = report
            .problems()
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| problem.code.to_string())
            .collect();
        assert_eq!(errors, [code], "{line}");
    }
    assert!(!on_the_image(&format!("{web}capabilities_add: [NET_BIND_SERVICE]\n")).has_errors());
}

/// What stands in the policy as a comment is a policy too.
#[test]
fn the_rules_to_start_from() {
    let policy = std::fs::read_to_string(folder().join("image/policy.yaml")).unwrap();
    let (_, rules) = policy.split_once("# images:\n").unwrap();
    let rules: Vec<&str> = rules
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap())
        .collect();
    let rules = format!("images:\n{}\n", rules.join("\n"));
    let image = ImageLayer {
        policy: Some(Text {
            name: "policy.yaml",
            bytes: rules.as_bytes(),
        }),
        ..ImageLayer::default()
    };
    assert_eq!(policy_key_files(rules.as_bytes()).len(), 2);
    let web = std::fs::read(folder().join("web.yaml")).unwrap();
    let report = read(
        Text {
            name: "web.yaml",
            bytes: &web,
        },
        &image,
    );
    // Their keys are everybody's own.
    let others = report
        .problems()
        .iter()
        .filter(|problem| problem.code != Code::TrustKey);
    assert_eq!(
        others
            .filter(|problem| problem.severity == Severity::Error)
            .count(),
        0,
        "{}",
        report.render(Style::Plain)
    );
    assert_eq!(
        report
            .problems()
            .iter()
            .filter(|problem| problem.code == Code::TrustKey)
            .count(),
        2
    );
}

/// The third line says the mistake in words, and one at least is found; what is found is in the golden files.
#[test]
fn every_mistake_is_one() {
    let mut number = 0;
    for entry in std::fs::read_dir(folder().join("invalid")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().take(3).collect();
        let [header, schema, mistake] = lines.as_slice() else {
            panic!("{}: too short", path.display());
        };
        assert!(header.starts_with('#'), "{}", path.display());
        assert!(
            ["# schema: rejects", "# schema: cannot tell"].contains(schema),
            "{}: {schema}",
            path.display()
        );
        assert!(mistake.starts_with("# "), "{}: {mistake}", path.display());
        assert!(
            !parse(text.as_bytes(), "user data").problems().is_empty(),
            "{}",
            path.display()
        );
        number += 1;
    }
    assert!(number >= 30, "{number}");
}

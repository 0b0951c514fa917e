//! Every key with what it takes and what it refuses, through the public entry.

mod firewall;
mod lifecycle;
mod logs;
mod nested;
mod options;
mod registries;
mod secrets;
mod storage;

use std::net::{IpAddr, Ipv4Addr};

use crate::config::{
    Code, Config, EnvValue, HealthCheck, Networking, Probe, Problem, Protocol, Report, RestartPolicy,
    Severity, Style, parse,
};

/// A complete file with `lines` after line 5.
fn file(lines: &str) -> String {
    format!(
        "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1.0\"\nruntime: Docker\n\
         source: registry.example.org/team/app:1.0\n{lines}\n"
    )
}

fn report(lines: &str) -> Report {
    parse(file(lines).as_bytes(), "user data")
}

/// Taken without a word.
fn clean(lines: &str) -> Config {
    let (config, problems) = warned(lines);
    assert!(problems.is_empty(), "{lines}: {problems:?}");
    config
}

fn warned(lines: &str) -> (Config, Vec<Problem>) {
    report(lines)
        .into_config()
        .unwrap_or_else(|problems| panic!("{lines}: {problems:?}"))
}

/// The one warning of a file that is taken.
fn warning(lines: &str) -> (Config, Problem) {
    let (config, mut problems) = warned(lines);
    assert_eq!(problems.len(), 1, "{lines}: {problems:?}");
    (config, problems.remove(0))
}

/// The one error of a file.
fn error(lines: &str) -> Problem {
    let report = report(lines);
    assert!(report.config().is_none(), "{lines}");
    let mut errors: Vec<Problem> = report
        .problems()
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .cloned()
        .collect();
    assert_eq!(errors.len(), 1, "{lines}: {errors:?}");
    errors.remove(0)
}

fn code(lines: &str) -> Code {
    error(lines).code
}

fn environment(lines: &str) -> Vec<(String, String)> {
    let (config, _) = warned(lines);
    let plain = |(name, value): &(String, EnvValue)| match value {
        EnvValue::Plain(text) => (name.clone(), text.clone()),
        EnvValue::Secret(reference) => (name.clone(), reference.canonical()),
    };
    config.environment().iter().map(plain).collect()
}

#[test]
fn the_least_file_and_its_defaults() {
    let config = clean("");
    assert_eq!(
        (config.application_id(), config.application_version()),
        ("my-app", "1.0")
    );
    assert_eq!(config.source().registry(), "registry.example.org");
    assert!(
        config.ports().is_empty() && config.environment().is_empty() && config.registry_auths().is_empty()
    );
    assert!(!config.root() && !config.privileged() && !config.read_only());
    assert_eq!(config.networking(), Networking::Bridge);
    assert_eq!(config.restart(), RestartPolicy::OnFailure);
    assert_eq!(
        (config.hostname(), config.shm_size(), config.health_check()),
        (None, None, None)
    );
}

#[test]
fn null_means_that_a_key_is_left_out() {
    let nulls = "ports:\nenvironment: ~\ncapabilities_add: null\nroot:\nhostname:\nnetworking:\nshm_size:\nrestart:\n\
                 health_check_path:\nhealth_check_port:\ndockercfg:\nvolumes:\nmounts:\nnotify_cfn:\nruntime_x: 1";
    let (config, problems) = warned(nulls);
    assert_eq!(problems.len(), 1, "only the unknown key: {problems:?}");
    assert_eq!(config.canonical(), clean("").canonical());
    assert_eq!(
        clean("ports: {}\nenvironment: {}\ncapabilities_drop: []").canonical(),
        clean("").canonical()
    );
    assert_eq!(code("source:"), Code::Missing);
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_text() {
    let text = "#taupage-ami-config\nsorce: x\nports: {80: 0}\nroot: 'false'\nheath_check_path: /\n";
    let report = parse(text.as_bytes(), "f.yaml");
    let found: Vec<(&str, usize)> = report
        .problems()
        .iter()
        .map(|problem| (problem.code.as_str(), problem.place.map_or(0, |place| place.line)))
        .collect();
    assert_eq!(
        found,
        [
            ("MP0301", 0),
            ("MP0301", 0),
            ("MP0301", 0),
            ("MP0201", 2),
            ("MP0311", 3),
            ("MP0302", 4),
            ("MP0201", 5)
        ]
    );
    assert!(report.has_errors() && report.has_warnings());
    let shown = report.render(Style::Plain);
    assert!(
        shown.contains("did you mean `source`?") && shown.contains("--> f.yaml:2:1"),
        "{shown}"
    );
}

#[test]
fn identity() {
    for bad in ["a", "1a", "My-app", "a-", "a_b", "-a", "a b"] {
        assert_eq!(code(&format!("application_id: {bad}")), Code::BadValue, "{bad}");
    }
    for good in ["ab", "a1", "my-app-2"] {
        assert_eq!(
            warned(&format!("application_id: {good}")).0.application_id(),
            good
        );
    }
    for bad in ["-1", "'1.'", "a b", "a/b", "''"] {
        assert_eq!(
            code(&format!("application_version: {bad}")),
            Code::BadValue,
            "{bad}"
        );
    }
    for (written, text) in [
        ("1.0", "1.0"),
        ("1.10", "1.10"),
        ("0755", "0755"),
        ("2020-01-01", "2020-01-01"),
        ("1e+3", "x"),
    ] {
        let lines = format!("application_version: {written}");
        if text == "x" {
            assert_eq!(code(&lines), Code::BadValue);
            continue;
        }
        let (config, problems) = warned(&lines);
        assert_eq!(config.application_version(), text);
        assert!(
            problems.iter().any(|problem| problem.code == Code::SourceText),
            "{written}"
        );
    }
    for plain in ["17", "6478e18", "a.b-c_d", "cd42"] {
        let (config, problems) = warned(&format!("application_version: {plain}"));
        assert_eq!(config.application_version(), plain);
        assert!(
            problems.iter().all(|problem| problem.code == Code::DuplicateKey),
            "{plain}"
        );
    }
    assert_eq!(code("application_id: 'app-{{x}}'"), Code::Template);
    assert_eq!(code("runtime: Podman"), Code::BadValue);
    let (_, problems) = warned("runtime: docker");
    assert!(problems.iter().any(|problem| problem.code == Code::Coerced));
}

#[test]
fn images_by_grammar_and_by_policy() {
    let digest = format!("sha256:{}", "0".repeat(64));
    for good in [
        "nginx:1.2".to_owned(),
        "localhost:5000/a/b:1".into(),
        format!("a.example/b@{digest}"),
        format!("b:1@{digest}"),
    ] {
        assert_eq!(warned(&format!("source: {good}")).0.source().to_string(), good);
    }
    for bad in [
        "nginx",
        "nginx:latest",
        "a.example:5000/b",
        "a:1-SNAPSHOT",
        "a:SNAPSHOT",
    ] {
        assert_eq!(code(&format!("source: {bad}")), Code::MutableImage, "{bad}");
    }
    for bad in ["Nginx:1", "'https://a.example/b:1'", "'a b:1'", "a:b:c"] {
        assert_eq!(code(&format!("source: {bad}")), Code::ImageReference, "{bad}");
    }
    assert_eq!(
        code("source: 'a.example/b:{{Arguments.Version}}'"),
        Code::Template
    );
    assert_eq!(code("source: aws:kms:aGk="), Code::SecretNotHere);
    assert_eq!(code("source: [a]"), Code::WrongType);
}

#[test]
fn environment_values_are_what_python_printed() {
    let lines = "environment:\n  A: yes\n  B: 0755\n  C: 22:30\n  D: 1_000\n  E: 1e5\n  F: 1.50\n  G:\n  H: 2001-12-14\n  \
                 I: 'no'\n  J: 6478e18\n  k.l: x\n  7: seven\n  M: 1e+16.0\n  N: 1.0e+16\n  O: \"a=b # c: *\"\n  P: http://x/?a&amp;b";
    let expected = [
        ("A", "True"),
        ("B", "493"),
        ("C", "1350"),
        ("D", "1000"),
        ("E", "1e5"),
        ("F", "1.5"),
        ("G", "None"),
        ("H", "2001-12-14"),
        ("I", "no"),
        ("J", "6478e18"),
        ("k.l", "x"),
        ("7", "seven"),
        ("M", "1e+16.0"),
        ("N", "1e+16"),
        ("O", "a=b # c: *"),
        ("P", "http://x/?a&amp;b"),
    ];
    let found = environment(lines);
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn environment_names_and_values_that_cannot_be() {
    assert_eq!(code("environment: {'': x}"), Code::EnvironmentName);
    assert_eq!(code("environment: {'A=B': x}"), Code::EnvironmentName);
    assert_eq!(code("environment: {\"A\\0B\": x}"), Code::EnvironmentName);
    assert_eq!(code("environment: {A: \"x\\0y\"}"), Code::BadValue);
    assert_eq!(code("environment: {A: [x]}"), Code::WrongType);
    assert_eq!(code("environment: {A: {b: c}}"), Code::WrongType);
    assert_eq!(code("environment: [A=b]"), Code::WrongType);
    assert_eq!(code("environment: {A: {{x}}}"), Code::Template);
    assert_eq!(code("environment:\n  A: !Ref X"), Code::Template);
    for name in ["APPLICATION_ID", "APPLICATION_VERSION", "CREDENTIALS_DIR"] {
        let (config, problem) = warning(&format!("environment: {{{name}: x, B: y}}"));
        assert_eq!(problem.code, Code::EnvironmentOverridden);
        assert_eq!(config.environment().len(), 1);
    }
    assert_eq!(
        environment("environment: {80: a, '80': b}"),
        [("80".to_owned(), "b".to_owned())]
    );
    assert_eq!(
        environment("environment: {A: a, A: b}"),
        [("A".to_owned(), "b".to_owned())]
    );
    assert_eq!(warning("environment: {on: x}").1.code, Code::Coerced);
}

#[test]
fn kms_values() {
    let config = clean("environment:\n  A: aws:kms:aGVsbG8=\n  B: |\n    aws:kms:aGVs\n    bG8=\n");
    for (_, value) in config.environment() {
        let EnvValue::Secret(reference) = value else {
            panic!("{value:?}")
        };
        assert_eq!(reference.canonical(), "aws:kms:aGVsbG8=");
    }
    for bad in ["'aws:kms:'", "aws:kms:hunter2", "aws:kms:hunter2hunter2%"] {
        let problem = error(&format!("environment: {{DB_PASSWORD: {bad}}}"));
        assert_eq!(problem.code, Code::BadCiphertext, "{bad}");
        assert_eq!(problem.key.as_deref(), Some("environment.DB_PASSWORD"));
        assert!(!format!("{problem:?}").contains("hunter2"));
    }
    assert_eq!(code("hostname: aws:kms:aGVsbG8="), Code::SecretNotHere);
}

#[test]
fn ports_in_every_form() {
    let ports = |lines: &str| -> Vec<String> {
        let show = |port: &crate::config::PortMapping| {
            let ip = port.host_ip.map(|ip| format!("{ip}!")).unwrap_or_default();
            format!("{ip}{}:{}/{}", port.host, port.container, port.protocol)
        };
        warned(lines).0.ports().iter().map(show).collect()
    };
    assert_eq!(ports("ports: {80: 8080}"), ["80:8080/tcp"]);
    assert_eq!(ports("ports: {'80': '8080'}"), ["80:8080/tcp"]);
    assert_eq!(ports("ports:\n  53/udp: 53"), ["53:53/udp"]);
    assert_eq!(ports("ports:\n  8600: 8600/udp"), ["8600:8600/udp"]);
    assert_eq!(ports("ports:\n  53/UDP: 53/udp"), ["53:53/udp"]);
    assert_eq!(ports("ports:\n  53/tcp: 53/udp"), ["53:53/udp"]);
    assert_eq!(warning("ports:\n  53/tcp: 53/udp").1.code, Code::PortProtocol);
    assert_eq!(
        ports("ports:\n  8000-8002: 9000-9002"),
        ["8000:9000/tcp", "8001:9001/tcp", "8002:9002/tcp"]
    );
    assert_eq!(
        ports("ports:\n  127.0.0.1:80: 8080\n  '[::1]:80': 8080"),
        ["127.0.0.1!80:8080/tcp", "::1!80:8080/tcp"]
    );
    assert_eq!(
        ports("ports:\n  80: 80\n  80/udp: 80"),
        ["80:80/tcp", "80:80/udp"]
    );
    let config = clean("ports:\n  10.0.0.1:80: 8080");
    assert_eq!(
        config.ports()[0].host_ip,
        Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)))
    );
    assert_eq!(config.ports()[0].protocol, Protocol::Tcp);
}

#[test]
fn ports_that_cannot_be() {
    for bad in [
        "0: 80",
        "80: 0",
        "65536: 80",
        "80: 99999999999999999999",
        "a: 80",
        "80: b",
        "80:",
        "80: [80]",
        "80: 1.5",
        "-80: 80",
        "80: 127.0.0.1:80",
        "host:80: 80",
        "80-82: 80",
        "80: 80-82",
        "82-80: 80-82",
        "yes: 80",
        "'': 80",
        "80/: 80",
        "80/tcp/udp: 80",
        "300.0.0.1:80: 80",
        "1-65535: 1-65535",
    ] {
        assert_eq!(code(&format!("ports:\n  {bad}")), Code::Port, "{bad}");
    }
    let problem = error("ports:\n  8600: 8600/upd");
    assert_eq!(
        (problem.code, problem.help.as_deref()),
        (Code::Port, Some("did you mean `/udp`?"))
    );
    assert_eq!(code("ports: [80]"), Code::WrongType);
    for twice in [
        "80: 1\n  80/tcp: 2",
        "80: 1\n  127.0.0.1:80: 2",
        "80-90: 80-90\n  85: 85",
        "80: 1\n  '80': 2",
    ] {
        assert_eq!(code(&format!("ports:\n  {twice}")), Code::PortTaken, "{twice}");
    }
}

#[test]
fn capabilities() {
    let config =
        clean("capabilities_add: [NET_BIND_SERVICE, sys_ptrace, SYS_PTRACE]\ncapabilities_drop: [ALL]");
    assert_eq!(config.capabilities_add(), ["NET_BIND_SERVICE", "SYS_PTRACE"]);
    assert_eq!(config.capabilities_drop(), ["ALL"]);
    let (config, problem) = warning("capabilities_add: [CAP_CHOWN]");
    assert_eq!(
        (config.capabilities_add()[0].as_str(), problem.code),
        ("CHOWN", Code::Coerced)
    );
    let problem = error("capabilities_add: [NET_BIND_SERVICES]");
    assert_eq!(
        (problem.code, problem.help.as_deref()),
        (Code::Capability, Some("did you mean `NET_BIND_SERVICE`?"))
    );
    assert_eq!(code("capabilities_drop: SYS_ADMIN"), Code::WrongType);
    assert_eq!(code("capabilities_drop: [1]"), Code::WrongType);
}

#[test]
fn flags() {
    let config = clean("root: yes\nprivileged: True\nread_only: on");
    assert!(config.root() && config.privileged() && config.read_only());
    for key in ["root", "privileged", "docker_daemon_access"] {
        for value in ["'false'", "'no'", "\"true\"", "0", "y", "[]"] {
            assert_eq!(
                code(&format!("{key}: {value}")),
                Code::WrongType,
                "{key}: {value}"
            );
        }
    }
    for (value, taken) in [
        ("'true'", true),
        ("'Yes'", true),
        ("\"False\"", false),
        ("'no'", false),
    ] {
        let (config, problem) = warning(&format!("read_only: {value}"));
        assert_eq!((config.read_only(), problem.code), (taken, Code::Coerced));
    }
    assert_eq!(code("read_only: 1"), Code::WrongType);
    assert_eq!(code("read_only: maybe"), Code::WrongType);
    clean("docker_daemon_access: false");
    assert_eq!(code("docker_daemon_access: true"), Code::NotAllowed);
}

#[test]
fn container_options() {
    let config = clean("hostname: web-1.example\nnetworking: host\nshm_size: 256m\nrestart: never");
    assert_eq!(config.hostname(), Some("web-1.example"));
    assert_eq!(config.networking(), Networking::Host);
    assert_eq!(config.shm_size(), Some(256 << 20));
    assert_eq!(config.restart(), RestartPolicy::Never);
    assert_eq!(clean("shm_size: 67108864").shm_size(), Some(64 << 20));
    assert_eq!(code("hostname: a_b"), Code::BadValue);
    assert_eq!(code("networking: container:other"), Code::Networking);
    assert_eq!(
        error("networking: brige").help.as_deref(),
        Some("did you mean `bridge`?")
    );
    for bad in ["0", "lots", "1t", "-5"] {
        assert_eq!(code(&format!("shm_size: {bad}")), Code::BadValue, "{bad}");
    }
    assert_eq!(code("shm_size: true"), Code::WrongType);
    for (bad, help) in [
        ("no", "write `restart: never`"),
        ("unless-stopped", "write `restart: always`"),
        ("on_failure", "did you mean `on-failure`?"),
        ("on-failures", "did you mean `on-failure`?"),
    ] {
        assert_eq!(
            error(&format!("restart: {bad}")).help.as_deref(),
            Some(help),
            "{bad}"
        );
    }
    assert_eq!(code("restart: on-failure:10"), Code::BadValue);
}

#[test]
fn health_checks() {
    let of = |lines: &str| clean(lines).health_check().unwrap();
    let check = |path: &str, port, timeout_seconds| HealthCheck {
        probe: Probe::Http {
            port,
            path: path.into(),
            statuses: Vec::new(),
            headers: Vec::new(),
        },
        timeout_seconds,
        interval_seconds: 2,
        probe_timeout_seconds: 5,
        healthy_threshold: 1,
        unhealthy_threshold: 3,
        watch_interval_seconds: 10,
        start_period_seconds: timeout_seconds,
    };
    assert_eq!(
        of("health_check_path: /health\nports: {9090: 1, 8080: 2, 53/udp: 53}"),
        check("/health", 8080, 60)
    );
    assert_eq!(
        of("health_check_path: /h?x=1\nhealth_check_port: '81'\nhealth_check_timeout_seconds: '300'"),
        check("/h?x=1", 81, 300)
    );
    assert_eq!(
        of("health_check_path: /\nports:\n  10-12: 10-12\n  127.0.0.1:9: 9\n  80: 80"),
        check("/", 80, 60)
    );
    assert!(
        error("health_check_path: health\nports: {80: 80}")
            .help
            .unwrap()
            .contains('/')
    );
    assert_eq!(code("health_check_path: /h"), Code::HealthCheck);
    assert_eq!(
        code("health_check_path: /h\nports: {53/udp: 53}"),
        Code::HealthCheck
    );
    assert_eq!(
        code("health_check_path: /a b\nports: {80: 80}"),
        Code::HealthCheck
    );
    for bad in [
        "health_check_port: 0",
        "health_check_port: 65536",
        "health_check_timeout_seconds: 0",
        "health_check_timeout_seconds: 86401",
    ] {
        assert_eq!(
            code(&format!("health_check_path: /\nports: {{80: 80}}\n{bad}")),
            Code::BadValue,
            "{bad}"
        );
    }
    assert_eq!(
        code("health_check_path: /\nports: {80: 0}"),
        Code::Port,
        "a broken mapping is reported once"
    );
    assert_eq!(warning("health_check_port: 80").1.code, Code::HealthCheck);
}

#[test]
fn every_other_key_has_its_fate() {
    let problem = error("mounts: {/data: {partition: /dev/xvdf, erase_on_boot: 'false'}}");
    assert_eq!(problem.code, Code::WrongType);
    assert_eq!(problem.key.as_deref(), Some("mounts./data.erase_on_boot"));
    assert_eq!(warning("xray_enabled: true").1.code, Code::NoEffectYet);
    clean("ssh_ports:\nlogging:");
    for gone in [
        "newrelic_account_key: x",
        "appdynamics_application: x",
        "opa_url: x",
        "token_service_url: x",
    ] {
        let problem = warning(gone).1;
        assert_eq!(problem.code, Code::Retired, "{gone}");
        assert!(problem.help.unwrap().contains("instead"));
    }
    assert_eq!(
        warning("heath_check_path: /x").1.help.as_deref(),
        Some("did you mean `health_check_path`?")
    );
    assert_eq!(warning("my_team_key: 1").1.suggestion(), None);
    assert_eq!(warning("1: x").1.code, Code::UnknownKey);
}

#[test]
fn what_is_no_map_is_said_so() {
    let only = |text: &str| {
        let report = parse(format!("#taupage-ami-config\n{text}").as_bytes(), "user data");
        assert_eq!(report.problems().len(), 1, "{text}: {:?}", report.problems());
        report.problems()[0].code
    };
    assert_eq!(only(""), Code::NotAMap);
    assert_eq!(only("# nothing\n---\n"), Code::NotAMap);
    assert_eq!(only("- a\n- b\n"), Code::NotAMap);
    assert_eq!(only("hello"), Code::NotAMap);
    assert_eq!(only("{{everything}}"), Code::Template);
    assert_eq!(only("a: 'x"), Code::Syntax);
}

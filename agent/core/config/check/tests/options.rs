//! The options that docker run and compose know too.

use super::{clean, code, error, warning};
use crate::config::{Code, EnvValue, Gpus, HostEntry, Probe, Seccomp, Tmpfs, Ulimit};

fn plain(text: &str) -> EnvValue {
    EnvValue::Plain(text.to_owned())
}

#[test]
fn limits() {
    let config = clean(
        "memory: 512m\ncpus: 1.5\npids_limit: 100\nulimits: {nofile: 1024, nproc: '10:20', core: {soft: 0, hard: -1}}\n\
         stop_signal: int\nstop_timeout: 1m30s\nlog_budget: 30m",
    );
    let options = config.options();
    assert_eq!(options.memory, Some(512 << 20));
    assert_eq!(options.nano_cpus, Some(1_500_000_000));
    assert_eq!(options.pids_limit, Some(100));
    let limit = |name: &str, soft, hard| Ulimit {
        name: name.into(),
        soft,
        hard,
    };
    assert_eq!(
        options.ulimits,
        [
            limit("nofile", 1024, 1024),
            limit("nproc", 10, 20),
            limit("core", 0, -1)
        ]
    );
    assert_eq!(options.stop_signal.as_deref(), Some("SIGINT"));
    assert_eq!(options.stop_timeout, Some(90));
    assert_eq!(options.log_budget, Some(30 << 20));
    assert_eq!(clean("cpus: 2").options().nano_cpus, Some(2_000_000_000));
    assert_eq!(
        clean("stop_signal: '15'").options().stop_signal.as_deref(),
        Some("15")
    );
    for (bad, wanted) in [
        ("memory: 1m", Code::BadValue),
        ("memory: [1]", Code::WrongType),
        ("cpus: 0.001", Code::BadValue),
        ("cpus: many", Code::BadValue),
        ("cpus: -1", Code::BadValue),
        ("pids_limit: 0", Code::BadValue),
        ("ulimits: {nofiles: 1}", Code::BadValue),
        ("ulimits: {nofile: -2}", Code::BadValue),
        ("ulimits: {nofile: '20:10'}", Code::BadValue),
        ("ulimits: {nofile: {soft: 1}}", Code::Missing),
        ("stop_signal: SIGINTT", Code::BadValue),
        ("stop_signal: 0", Code::BadValue),
        ("stop_timeout: 2h", Code::BadValue),
        ("stop_timeout: soon", Code::BadValue),
        ("log_budget: 1k", Code::BadValue),
    ] {
        assert_eq!(code(bad), wanted, "{bad}");
    }
    assert_eq!(error("ulimits: {nofiles: 1}").suggestion(), Some("nofile"));
    assert_eq!(error("stop_signal: SIGINTT").suggestion(), Some("SIGINT"));
}

#[test]
fn what_runs_as_whom() {
    let config =
        clean("entrypoint: [/app]\ncommand: serve --port '80 80'\nuser: '1000:1000'\nseccomp: /etc/p.json");
    let options = config.options();
    assert_eq!(options.entrypoint.as_deref(), Some(&["/app".to_owned()][..]));
    assert_eq!(options.command.as_ref().unwrap().join("|"), "serve|--port|80 80");
    assert_eq!(options.user.as_deref(), Some("1000:1000"));
    assert_eq!(options.seccomp, Some(Seccomp::Profile("/etc/p.json".into())));
    assert_eq!(clean("entrypoint: []").options().entrypoint, Some(vec![]));
    assert_eq!(
        clean("args: [8080, true]")
            .options()
            .command
            .as_ref()
            .unwrap()
            .join("|"),
        "8080|true"
    );
    assert_eq!(clean("user: 1000").options().user.as_deref(), Some("1000"));
    assert_eq!(clean("user: 0\nroot: true").options().user.as_deref(), Some("0"));
    assert_eq!(clean("gpus: none").options().gpus, Some(Gpus::None));
    for bad in [
        "command: [a]\nargs: [b]",
        "command: 'a \"b'",
        "user: www-data",
        "user: '1:2:3'",
        "user: 0",
        "user: '000:5'",
        "seccomp: unconfind",
        "seccomp: /",
    ] {
        assert_eq!(code(bad), Code::BadValue, "{bad}");
    }
    assert_eq!(code("command: [[a]]"), Code::WrongType);
    assert_eq!(code("command: {a: b}"), Code::WrongType);
    assert_eq!(error("seccomp: unconfind").suggestion(), Some("unconfined"));
    assert_eq!(code("command: ['aws:kms:aGk=']"), Code::SecretNotHere);
}

#[test]
fn names_files_and_memory() {
    let config = clean(
        "tmpfs: {/run: 'size=1m', /cache: }\ndns: [10.0.0.2, '::1']\nextra_hosts: {db: 10.0.0.12, me: host-gateway}\n\
         files:\n  /etc/app.ini: |\n    [server]\n  /etc/flag: yes",
    );
    let options = config.options();
    let tmpfs = |path: &str, options: &str| Tmpfs {
        path: path.into(),
        options: options.into(),
    };
    assert_eq!(options.tmpfs, [tmpfs("/run", "size=1m"), tmpfs("/cache", "")]);
    assert_eq!(options.dns.len(), 2);
    let host = |name: &str, address: &str| HostEntry {
        name: name.into(),
        address: address.into(),
    };
    assert_eq!(
        options.extra_hosts,
        [host("db", "10.0.0.12"), host("me", "host-gateway")]
    );
    assert_eq!(options.files[0].content, plain("[server]\n"));
    assert_eq!(options.files[1].content, plain("True"));
    assert_eq!(
        clean("tmpfs: ['/run:size=1m', /cache]").options().tmpfs,
        options.tmpfs
    );
    assert_eq!(clean("tmpfs: /cache").options().tmpfs, [tmpfs("/cache", "")]);
    assert_eq!(clean("dns: 10.0.0.2").options().dns.len(), 1);
    assert_eq!(
        clean("extra_hosts: ['db:10.0.0.12', 'me=host-gateway']")
            .options()
            .extra_hosts,
        options.extra_hosts
    );
    for bad in [
        "tmpfs: {run: ''}",
        "tmpfs: {/: ''}",
        "tmpfs: {/a/../b: ''}",
        "tmpfs: {/a: 'size=1m, mode=1'}",
        "tmpfs: [/a, /a]",
        "tmpfs: [/a/]",
        "tmpfs: [/a//b]",
        "tmpfs: [/proc]",
        "files: {/proc/x: y}",
        "files: {/a: x}\ntmpfs: [/a]",
        "files: {/etc/ssl/certs/my.pem: x}\nmount_certs: true",
        "files: {/var/run/docker.sock: x}\ntmpfs: [/var/run/docker.sock]",
        "files: {/./a: x}",
        "dns: [ns.example.org]",
        "extra_hosts: {db: db.example.org}",
        "extra_hosts: [db]",
        "files: {app.ini: x}",
    ] {
        assert_eq!(code(bad), Code::BadValue, "{bad}");
    }
    assert_eq!(code("files: {/a: [x]}"), Code::WrongType);
    let fetched = clean("files: {/a: 'aws:ssm:/my-app/key'}")
        .options()
        .files
        .clone();
    assert!(matches!(&fetched[0].content, EnvValue::Secret(_)), "{fetched:?}");
}

#[test]
fn ways_to_ask_for_health() {
    let probe = |lines: &str| clean(lines).health_check().unwrap().probe;
    assert_eq!(
        probe("health_check_type: tcp\nports: {5432: 15432}"),
        Probe::Tcp { port: 15_432 },
        "the container's side of the published port"
    );
    assert_eq!(
        probe("health_check_type: tcp\nhealth_check_port: 99"),
        Probe::Tcp { port: 99 }
    );
    assert_eq!(
        probe("health_check_command: [ok, -q]"),
        Probe::Exec {
            command: vec!["ok".into(), "-q".into()]
        }
    );
    let check = clean(
        "health_check_path: /\nports: {80: 80}\nhealth_check_interval_seconds: 10\n\
         health_check_probe_timeout_seconds: 3\nhealth_check_healthy_threshold: 2",
    )
    .health_check()
    .unwrap();
    assert_eq!(
        (
            check.interval_seconds,
            check.probe_timeout_seconds,
            check.healthy_threshold
        ),
        (10, 3, 2)
    );
    assert_eq!(code("health_check_type: tcp"), Code::HealthCheck);
    assert_eq!(code("health_check_type: exec"), Code::HealthCheck);
    assert_eq!(
        code("health_check_type: http\nports: {80: 80}"),
        Code::HealthCheck
    );
    assert_eq!(
        code("health_check_path: /\nhealth_check_command: [a]\nports: {80: 80}"),
        Code::HealthCheck
    );
    assert_eq!(error("health_check_type: htp").suggestion(), Some("http"));
    let slow = "health_check_path: /\nports: {80: 80}\nhealth_check_healthy_threshold: 10\nhealth_check_interval_seconds: 10";
    assert_eq!(code(slow), Code::HealthCheck, "90 s never fit into 60");
    clean(&format!("{slow}\nhealth_check_timeout_seconds: 120"));
    assert_eq!(
        warning("health_check_path: /\nports: {80: 80}\nhealth_check_timeout_seconds: 1000")
            .1
            .code,
        Code::HealthCheck
    );
    assert_eq!(
        code("health_check_path: /\nports: {80: 80}\nnetworking: none"),
        Code::HealthCheck
    );
    assert_eq!(
        probe("health_check_type: tcp\nports: {5432: 15432}\nnetworking: host"),
        Probe::Tcp { port: 5432 }
    );
    assert_eq!(
        warning("health_check_type: tcp\nports: {80: 80}\nhealth_check_path: /")
            .1
            .code,
        Code::HealthCheck
    );
    assert_eq!(
        warning("health_check_interval_seconds: 3").1.code,
        Code::HealthCheck
    );
}

#[test]
fn boot_and_end() {
    assert_eq!(clean("boot_timeout: 10m").boot_timeout().as_secs(), 600);
    assert_eq!(clean("boot_timeout: 120").boot_timeout().as_secs(), 120);
    assert_eq!(clean("deployment_id: d1").deployment_id(), Some("d1"));
    assert_eq!(code("boot_timeout: 5"), Code::BadValue);
}
